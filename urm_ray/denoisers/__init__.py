"""What families of diffusion pipelines do differently: conditioning, latents and the call of the denoiser."""
