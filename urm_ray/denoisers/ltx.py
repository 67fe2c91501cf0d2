"""LTX-Video: flow matching over packed latents that each stand for 8 frames of 32 x 32 pixels (arXiv 2501.00103)."""

from __future__ import annotations

from typing import Any

import torch

from urm_ray.config_policy import SamplerConfig
from urm_ray.denoisers.call import max_sequence_length
from urm_ray.denoisers.clip_transformer import ClipTransformer
from urm_ray.denoisers.family import Conditioning, Shot
from urm_ray.media import MediaError
from urm_ray.store import StoreError

DECODING = {"decode_timestep": 0.05, "decode_noise_scale": 0.025}
"""What diffusers recommends for autoencoders that take a timestep (LTX-Video 0.9.1 and later)."""


class LTX(ClipTransformer):
    """Its transformer is told where latents lie in seconds, so a clip's frames a second are a condition."""

    def compression(self, pipeline: Any) -> tuple[int, int]:
        return pipeline.vae_temporal_compression_ratio, pipeline.vae_spatial_compression_ratio

    def check(self, pipeline: Any, chosen: Shot, rejected: Shot) -> None:
        super().check(pipeline, chosen, rejected)
        if not chosen.fps or chosen.fps != rejected.fps:
            raise MediaError(f"frames a second must be known and equal, not {chosen.fps} and {rejected.fps}")

    def call_options(self, pipeline: Any, sampler: SamplerConfig) -> dict[str, Any]:
        if sampler.steps < 2 and pipeline.scheduler.config.get("shift_terminal"):
            raise StoreError(f"sampler.steps: {sampler.steps}: the policy's scheduler spreads its steps and needs two")
        timed = pipeline.vae.config.get("timestep_conditioning")
        return super().call_options(pipeline, sampler) | {"frame_rate": sampler.fps} | (DECODING if timed else {})

    def conditioning(self, pipeline: Any, prompt: str, shot: Shot, sampler: SamplerConfig) -> Conditioning:
        words, mask, _, _ = pipeline.encode_prompt(
            prompt,
            do_classifier_free_guidance=False,
            max_sequence_length=max_sequence_length(pipeline, sampler),
            device=pipeline.device,
        )
        time, space = self.compression(pipeline)
        scale = torch.tensor([time / float(shot.fps or 1), space, space])
        return {"prompt_embeds": words[0], "prompt_attention_mask": mask[0], "rope_interpolation_scale": scale}

    def statistics(self, vae: Any) -> Any:
        # Weights of the autoencoder, and not part of its configuration.
        per_channel = {name: getattr(vae, name).tolist() for name in ("latents_mean", "latents_std")}
        return per_channel | {"scaling_factor": vae.config.scaling_factor}

    def predict(
        self, denoiser: Any, noisy: torch.Tensor, timesteps: torch.Tensor, conditioning: Conditioning
    ) -> torch.Tensor:
        dtype = self.dtype_of(denoiser)
        frames, height, width = noisy.shape[2:]
        scale = conditioning["rope_interpolation_scale"].T[..., None, None, None, None]  # three of (N, 1, 1, 1, 1)
        tokens = denoiser(
            hidden_states=noisy.to(dtype).flatten(2).transpose(1, 2),
            encoder_hidden_states=conditioning["prompt_embeds"].to(dtype),
            timestep=timesteps,
            encoder_attention_mask=conditioning["prompt_attention_mask"],
            num_frames=frames,
            height=height,
            width=width,
            rope_interpolation_scale=tuple(scale),
        ).sample
        return tokens.transpose(1, 2).unflatten(2, (frames, height, width))
