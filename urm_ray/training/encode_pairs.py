"""Preference pairs through the frozen parts of a diffusion policy, once, before it is trained.

What is kept is the posterior of the latents and not one draw of it, so that training still draws anew at every step.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import torch

from urm_ray import schema
from urm_ray.config_policy import SamplerConfig
from urm_ray.config_training import DpoConfig
from urm_ray.denoisers.checkpoint import load_denoiser
from urm_ray.denoisers.family import Conditioning, Shot
from urm_ray.denoisers.registry import family_of
from urm_ray.media import MediaError, decode_image
from urm_ray.models import load_pipeline, pick_device, torch_dtype
from urm_ray.training.encoded import pack, pack_named
from urm_ray.training.losses import sample_errors
from urm_ray.training.noising import Noising, predict
from urm_ray.training.objectives import objective_of

COLUMNS = ["pair_id", "prompt_id", "prompt", "chosen", "rejected", "dropped"]
SIDES = ("chosen", "rejected")
MAX_FRAMES = 512
"""Of a longer clip, this many are taken, evenly spread."""
DEFAULT_SAMPLER = SamplerConfig()


def load_reference(path: str, config: DpoConfig, device: str) -> Any:
    """The denoiser of a policy as its own reference: frozen, in the type of the training.

    Policy and reference must round alike, since beta multiplies their difference. So all of its weights are cast, and
    its buffers, such as tables of places, are not: as DeepSpeed casts the policy. Loaded in half precision it would
    have some modules in float32.
    """
    denoiser = load_denoiser(path).requires_grad_(False).eval()
    for weight in denoiser.parameters():
        weight.data = weight.data.to(torch_dtype("bfloat16" if config.bf16 else "float32"))
    return denoiser.to(pick_device(device))


class EncodePairs:
    """Turns `schema.PREFERENCE_PAIR` (or SIFTED_SET) rows into as many `schema.ENCODED_PAIR` rows.

    A pair goes through the models on its own, so its bytes do not depend on its neighbours. A row that sifting dropped
    stays dropped; one whose media cannot be encoded is dropped with the reason.
    sampler: how the policy made its candidates, where that conditions it. With `reference: stored` the reference runs
    here, and nowhere else. StoreError for a pipeline whose denoiser cannot be trained.
    """

    def __init__(
        self,
        path: str,
        config: DpoConfig,
        seed: int,
        device: str = "auto",
        sampler: SamplerConfig = DEFAULT_SAMPLER,
    ) -> None:
        self.family, self.config, self.sampler = family_of(path), config, sampler
        self.dtype = torch_dtype(config.encode_dtype)
        self.pipeline = load_pipeline(path, config.encode_dtype, device, only=(*self.family.encoders, "scheduler"))
        self.noising = Noising(objective_of(self.pipeline.scheduler, config, self.family.tokens), config, seed)
        self.reference = load_reference(path, config, device) if config.reference == "stored" else None

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
        clips = [self._frames(row[side]["media"]) for side in SIDES]
        shots = [_shot(clip, row[side]["media"]) for clip, side in zip(clips, SIDES, strict=True)]
        if clips[0].shape != clips[1].shape:
            shapes = " and ".join(" x ".join(map(str, clip.shape)) for clip in clips)
            raise MediaError(f"chosen and rejected differ in frames or size: {shapes}")
        self.family.check(self.pipeline, *shots)
        mean, std = (latents.to(self.dtype) for latents in self.family.posterior(self.pipeline.vae, clips))
        if not (torch.isfinite(mean).all() and torch.isfinite(std).all()):
            raise MediaError("the autoencoder's latents are not numbers; many overflow in float16")
        conditioning = self.family.conditioning(self.pipeline, row["prompt"], shots[0], self.sampler)
        if bad := [name for name, told in conditioning.items() if not torch.isfinite(told).all()]:
            raise MediaError(f"what the denoiser is told of the prompt is not numbers: {', '.join(bad)}")
        made: dict[str, Any] = {"conditioning": pack_named(conditioning)}
        for side, name in enumerate(SIDES):
            made |= {f"{name}_mean": pack(mean[side]), f"{name}_std": pack(std[side])}
        if self.reference is not None:
            errors = self._reference_errors(mean.float(), std.float(), conditioning, row["pair_id"])
            if not torch.isfinite(errors).all():
                raise MediaError("the reference's errors are not numbers")
            made |= {f"{name}_reference": errors[side].tolist() for side, name in enumerate(SIDES)}
        return made

    def _frames(self, media: dict[str, Any] | None) -> torch.Tensor:
        """(F, 3, H, W) in -1..1; a picture is one frame."""
        if self.family.makes == "video":
            from urm_ray.clips import Sampling, decode_clip

            frames = decode_clip(media, Sampling(maximum=MAX_FRAMES)).frames
        else:
            frames = [decode_image(media)]
        pixels = np.stack([np.asarray(frame) for frame in frames])
        return torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 127.5 - 1

    def _reference_errors(
        self, mean: torch.Tensor, std: torch.Tensor, conditioning: Conditioning, pair_id: str
    ) -> torch.Tensor:
        """Denoising errors of the reference (2, K) in each of the K draws that training will take."""
        told = {name: value[None].to(mean.device) for name, value in conditioning.items()}
        errors = []
        for number in range(self.config.stored_draws):
            noised = self.noising(mean, std, [pair_id], [number])
            errors.append(sample_errors(predict(self.family, self.reference, noised, told), noised.target))
        return torch.stack(errors, 1)


def _shot(clip: torch.Tensor, media: dict[str, Any]) -> Shot:
    frames, _, height, width = clip.shape
    return Shot(frames, height, width, media["fps"])
