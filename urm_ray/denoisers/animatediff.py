"""AnimateDiff: the U-Net of Stable Diffusion with modules for motion, frames encoded one by one (arXiv 2307.04725)."""

from __future__ import annotations

from typing import Any

import torch

from urm_ray.config_policy import SamplerConfig
from urm_ray.denoisers.family import Conditioning, Family, Shot
from urm_ray.media import MediaError
from urm_ray.store import StoreError


class AnimateDiff(Family):
    """Its checkpoint is a whole pipeline: a Stable Diffusion pipeline and a motion adapter, joined and saved once.

    What is saved has the modules for motion twice, in the U-Net and as the adapter; training leaves both equal.
    """

    makes = "video"
    with_denoiser = ("motion_adapter",)

    def misfit(self, frames: int) -> str | None:
        """What is wrong with clips of so many frames, if anything: it knows places up to a longest."""
        longest = self.config.get("motion_max_seq_length")  # None where the adapter still lies apart, and alone says
        return f"{frames} frames: the policy makes {longest} at most" if longest and frames > longest else None

    def check(self, pipeline: Any, chosen: Shot, rejected: Shot) -> None:
        super().check(pipeline, chosen, rejected)
        if wrong := self.misfit(chosen.frames):
            raise MediaError(wrong)

    def call_options(self, pipeline: Any, sampler: SamplerConfig) -> dict[str, Any]:
        if wrong := self.misfit(sampler.frames):
            raise StoreError(f"sampler.frames: {wrong}")
        return super().call_options(pipeline, sampler)

    def prepare(self, denoiser: Any) -> None:
        from diffusers.models.embeddings import SinusoidalPositionalEmbedding

        for module in denoiser.modules():
            if isinstance(module, SinusoidalPositionalEmbedding):  # adds a buffer, and all would be float32 from there
                module.register_forward_hook(lambda _, args, placed: placed.to(args[0].dtype))

    def conditioning(self, pipeline: Any, prompt: str, shot: Shot, sampler: SamplerConfig) -> Conditioning:
        return {"prompt_embeds": pipeline.encode_prompt(prompt, pipeline.device, 1, False)[0][0]}

    def predict(
        self, denoiser: Any, noisy: torch.Tensor, timesteps: torch.Tensor, conditioning: Conditioning
    ) -> torch.Tensor:
        dtype = self.dtype_of(denoiser)
        words = conditioning["prompt_embeds"].to(dtype).repeat_interleave(noisy.shape[2], 0)  # each frame reads them
        return denoiser(noisy.to(dtype), timesteps, words).sample

    def put(self, pipeline: Any, denoiser: Any) -> None:
        super().put(pipeline, denoiser)
        if pipeline.motion_adapter is not None:
            trained, names = denoiser.state_dict(), pipeline.motion_adapter.state_dict()
            pipeline.motion_adapter.load_state_dict({name: trained[name] for name in names})
