"""What a family of diffusion pipelines has to say so that its denoiser can be trained."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch

from urm_ray.config_policy import SamplerConfig
from urm_ray.denoisers.autoencoder import posterior_of_frames
from urm_ray.media import MediaError
from urm_ray.store import StoreError


@dataclass(frozen=True)
class Shot:
    """Sizes of a decoded picture (one frame, no fps) or clip, in pixels."""

    frames: int
    height: int
    width: int
    fps: float | None


Conditioning = dict[str, torch.Tensor]
"""What the denoiser is told beside noisy latents and timestep, by name."""


class Family:
    """A family of pipelines of diffusers. One instance serves one checkpoint.

    Latents of a picture are (C, h, w) and those of a clip (C, F, h, w), in the numbers that the denoiser was trained
    on, whatever layout it takes them in: `predict` packs and unpacks. Errors are means over all axes, so layout does
    not matter to them.
    """

    makes: Literal["image", "video"] = "image"
    denoiser: str = "unet"
    """The part that is trained, as model_index.json names it."""
    with_denoiser: tuple[str, ...] = ()
    """Other parts without which the pipeline cannot load it."""
    encoders: tuple[str, ...] = ("vae", "text_encoder", "tokenizer")
    """The parts that `conditioning` and `posterior` need."""

    def __init__(self, config: Mapping[str, Any]) -> None:
        """config: of the denoiser, as its config.json has it; older files lack newer keys."""
        self.config = config

    @property
    def patch(self) -> int:
        """Height and width, in latents, of what is one token to the denoiser; 1 for a U-Net."""
        return 1

    @property
    def idle(self) -> tuple[str, ...]:
        """Modules of the denoiser, by name, that no output depends on; they are not trained."""
        return ()

    def prepare(self, denoiser: Any) -> None:
        """Mends a denoiser that was loaded to be trained where it would not stand half precision, in which weights are
        cast and buffers are not."""

    def conditioning(self, pipeline: Any, prompt: str, shot: Shot, sampler: SamplerConfig) -> Conditioning:
        """The conditioning of one pair, without a batch axis: what the pipeline itself would give its denoiser for this
        prompt, for media of this size, without classifier-free guidance.

        pipeline: of this family with its `encoders` loaded, and no denoiser.
        """
        raise NotImplementedError

    def predict(
        self, denoiser: Any, noisy: torch.Tensor, timesteps: torch.Tensor, conditioning: Conditioning
    ) -> torch.Tensor:
        """The denoiser's prediction, shaped as `noisy`, in its own type.

        noisy: (N, ...) latents in float32; timesteps: (N,) on the scheduler's scale, whole numbers in int64 where the
        policy predicts epsilon or v, and sigma * 1000 in float32 for flow matching; conditioning: each (N, ...), in
        float32. The denoiser may be wrapped by an engine or an adapter.
        """
        raise NotImplementedError

    def posterior(self, vae: Any, clips: Sequence[torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
        """Mean and standard deviation of the latents of clips (F, 3, H, W) in -1..1 of one size.

        Returns (N, C, h, w) for pictures, (N, C, F, h, w) for clips. Here every frame is encoded as a picture.
        """
        mean, std = posterior_of_frames(vae, clips)
        return (mean, std) if self.makes == "video" else (mean.squeeze(2), std.squeeze(2))

    def multiple(self, pipeline: Any) -> int:
        """What height and width in pixels have to be multiples of."""
        return getattr(pipeline, "vae_scale_factor", 1) * self.patch

    def check(self, pipeline: Any, chosen: Shot, rejected: Shot) -> None:
        """MediaError where media of these sizes, which are equal, cannot be encoded and denoised as they are."""
        of = self.multiple(pipeline)
        if chosen.height % of or chosen.width % of:
            raise MediaError(f"{chosen.height} x {chosen.width} pixels: the policy takes multiples of {of}")

    def tokens(self, shape: Sequence[int]) -> int:
        """How many tokens latents (C, h, w) or (C, F, h, w) are to the denoiser; schedulers with a shift that depends
        on resolution go by it."""
        return math.prod(shape[1:]) // self.patch**2

    def dtype_of(self, denoiser: Any) -> torch.dtype:
        """The type in which the denoiser takes latents."""
        return next(denoiser.parameters()).dtype

    def put(self, pipeline: Any, denoiser: Any) -> None:
        """Puts a trained denoiser into a whole pipeline, which is then saved."""
        setattr(pipeline, self.denoiser, denoiser)

    def call_options(self, pipeline: Any, sampler: SamplerConfig) -> dict[str, Any]:
        """What the call of a pipeline, loaded whole, takes that others do not; sizes too, where it has none of its own.

        StoreError where it cannot sample as configured.
        """
        of = self.multiple(pipeline)
        if any(size % of for size in (sampler.height, sampler.width) if size):
            raise StoreError(
                f"sampler: {sampler.height} x {sampler.width} pixels: {type(pipeline).__name__} takes multiples of {of}"
            )
        return {}
