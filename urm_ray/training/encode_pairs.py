"""Preference pairs through the frozen parts of a diffusion policy, once, before it is trained.

What is kept is the posterior of the latents and not one draw of it, so that training still draws anew at every step.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import torch

from urm_ray import schema
from urm_ray.config_training import DpoConfig
from urm_ray.media import MediaError, decode_image
from urm_ray.models import load_pipeline, makes
from urm_ray.training.encoded import pack
from urm_ray.training.guards import TrainingError
from urm_ray.training.losses import sample_errors
from urm_ray.training.noising import Noising, predict

COLUMNS = ["pair_id", "prompt_id", "prompt", "chosen", "rejected", "dropped"]
ENCODERS = ("vae", "text_encoder", "tokenizer", "scheduler")
SIDES = ("chosen", "rejected")
FRAMES = 16
"""Pictures in one pass of the autoencoder."""
MAX_FRAMES = 512
"""Of a longer clip, this many are taken, evenly spread."""


def denoiser_dtype(config: DpoConfig) -> str:
    """The type in which policy and reference run; both must round alike, since beta multiplies their difference."""
    return "bfloat16" if config.bf16 else "float32"


def load_denoiser(path: str, config: DpoConfig, device: str) -> Any:
    """The U-Net of a policy as its own reference: frozen, in the type of the training."""
    pipeline = load_pipeline(path, denoiser_dtype(config), device, only=("unet",))
    return pipeline.unet.requires_grad_(False).eval()


class EncodePairs:
    """Turns `schema.PREFERENCE_PAIR` (or SIFTED_SET) rows into as many `schema.ENCODED_PAIR` rows.

    A pair goes through the models on its own, so its bytes do not depend on its neighbours. A row that sifting dropped
    stays dropped; one whose media cannot be encoded is dropped with the reason.
    dtype: of the encoders and of what is stored. With `reference: stored` the reference runs here, and nowhere else.
    """

    def __init__(self, path: str, config: DpoConfig, seed: int, dtype: str = "float32", device: str = "auto") -> None:
        self.pipeline = load_pipeline(path, dtype, device, only=ENCODERS)
        parts = set(self.pipeline.components)
        if "unet" not in parts or "text_encoder_2" in parts:
            raise TrainingError(
                f"Diffusion-DPO trains a U-Net that reads one text encoder, and {path} holds a "
                f"{type(self.pipeline).__name__}"
            )
        self.video = makes(type(self.pipeline).__name__) == "video"
        self.config, self.noising = config, Noising(self.pipeline.scheduler, config, seed)
        self.reference = load_denoiser(path, config, device) if config.reference == "stored" else None

    def __call__(self, table: pa.Table) -> pa.Table:
        rows = [self._row(row) for row in table.select(COLUMNS).to_pylist()]
        return schema.table_of(rows, schema.ENCODED_PAIR)

    def _row(self, row: dict[str, Any]) -> dict[str, Any]:
        made = dict.fromkeys(schema.ENCODED_PAIR.names) | {
            name: row[name] for name in ("pair_id", "prompt_id", "dropped")
        }
        if row["dropped"] is not None:
            return made
        try:
            return made | self._encoded(row)
        except MediaError as error:
            return made | {"dropped": f"media_error: {error}"}

    @torch.inference_mode()
    def _encoded(self, row: dict[str, Any]) -> dict[str, Any]:
        mean, std = self._posterior([self._frames(row[side]["media"]) for side in SIDES])
        embedding = self.pipeline.encode_prompt(row["prompt"], self.pipeline.device, 1, False)[0]
        made: dict[str, Any] = {"embedding": pack(embedding[0])}
        for side, name in enumerate(SIDES):
            made |= {f"{name}_mean": pack(mean[side]), f"{name}_std": pack(std[side])}
        if self.reference is not None:
            errors = self._reference_errors(mean.float(), std.float(), embedding, row["pair_id"])
            made |= {f"{name}_reference": errors[side].tolist() for side, name in enumerate(SIDES)}
        return made

    def _frames(self, media: dict[str, Any] | None) -> torch.Tensor:
        """(F, 3, H, W) in -1..1; a picture is one frame."""
        if self.video:
            from urm_ray.clips import Sampling, decode_clip

            frames = decode_clip(media, Sampling(maximum=MAX_FRAMES)).frames
        else:
            frames = [decode_image(media)]
        pixels = np.stack([np.asarray(frame) for frame in frames])
        return torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 127.5 - 1

    def _posterior(self, clips: list[torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
        """Mean and standard deviation of the scaled latents, (2, C, h, w) or (2, C, F, h, w)."""
        if clips[0].shape != clips[1].shape:
            shapes = " and ".join(" x ".join(map(str, clip.shape)) for clip in clips)
            raise MediaError(f"chosen and rejected differ in frames or size: {shapes}")
        vae = self.pipeline.vae
        parts = [
            vae.encode(pixels.to(self.pipeline.device, vae.dtype)).latent_dist
            for pixels in torch.cat(clips).split(FRAMES)
        ]
        both = []
        for latents in (torch.cat([p.mean for p in parts]), torch.cat([p.std for p in parts])):
            if not torch.isfinite(latents).all():
                raise MediaError("the autoencoder's latents are not numbers; many overflow in float16")
            latents = (latents * vae.config.scaling_factor).unflatten(0, (2, -1)).transpose(1, 2)
            both.append(latents if self.video else latents.squeeze(2))
        return both[0], both[1]

    def _reference_errors(
        self, mean: torch.Tensor, std: torch.Tensor, embedding: torch.Tensor, pair_id: str
    ) -> torch.Tensor:
        """Denoising errors of the reference (2, K) in each of the K draws that training will take."""
        errors = []
        for number in range(self.config.stored_draws):
            noised = self.noising(mean, std, [pair_id], [number])
            errors.append(sample_errors(predict(self.reference, noised, embedding), noised.target))
        return torch.stack(errors, 1)
