"""One micro-batch through a diffusion policy on the meta device, as its training and its sampler run it."""

from __future__ import annotations

from typing import Any

import torch

from urm_ray.config_training import DpoConfig
from urm_ray.denoisers.family import Conditioning, Family
from urm_ray.planning.rehearsal import Rehearsal, rehearse
from urm_ray.planning.shots import Shots


def _batched(told: Conditioning, rows: int) -> Conditioning:
    return {name: torch.stack([tensor] * rows) for name, tensor in told.items()}


def _latents(made: Shots, rows: int) -> torch.Tensor:
    return torch.empty(rows, *made.latents, device="meta")


def dpo_pass(
    family: Family, denoiser: Any, reference: Any | None, made: Shots, told: Conditioning, config: DpoConfig
) -> Rehearsal:
    """Forward and backward of Diffusion-DPO on `config.batch` pairs; the reference's forward pass comes in between.

    reference: a frozen copy; None where it is stored, or the policy itself without its adapter.
    """
    rows = 2 * config.batch

    def run() -> None:
        held = [_latents(made, rows) for _ in range(4)]  # mean and deviation, noisy latents and target
        times, both = torch.empty(rows, dtype=torch.long, device="meta"), _batched(told, rows)
        predicted = family.predict(denoiser, held[2], times, both)
        if config.reference != "stored":
            with torch.no_grad():
                held.append(family.predict(denoiser if reference is None else reference, held[2], times, both))
        (predicted.float() - held[3]).square().mean().backward()

    return rehearse(run, *(module for module in (denoiser, reference) if module is not None))


def denoising_pass(family: Family, denoiser: Any, made: Shots, told: Conditioning, rows: int) -> Rehearsal:
    """One step of sampling; guidance doubles the rows."""

    def run() -> None:
        times = torch.empty(rows, dtype=torch.long, device="meta")
        with torch.no_grad():
            family.predict(denoiser, _latents(made, rows), times, _batched(told, rows))

    return rehearse(run, denoiser)


def decoding_pass(vae: Any, made: Shots, rows: int, clips: bool) -> Rehearsal:
    """Latents to pixels. An autoencoder of single pictures takes the frames of a clip as so many pictures."""
    return rehearse(lambda: _decoded(vae, made, rows, clips), vae)


def encoding_pass(vae: Any, made: Shots, clips: bool) -> Rehearsal:
    """The pixels of one clip, or of 16 pictures or frames at most, to latents."""

    def run() -> None:
        dtype, frames = next(vae.parameters()).dtype, min(2 * made.frames, 16)
        shape = (1, 3, made.frames) if clips else (frames, 3)
        with torch.no_grad():
            vae.encode(torch.empty(*shape, made.height, made.width, dtype=dtype, device="meta"))

    return rehearse(run, vae)


def _decoded(vae: Any, made: Shots, rows: int, clips: bool) -> None:
    channels, *grid = made.latents
    latents = torch.empty(rows, channels, *grid, dtype=next(vae.parameters()).dtype, device="meta")
    if not clips and len(grid) == 3:
        latents = latents.transpose(1, 2).flatten(0, 1)
    with torch.no_grad():
        vae.decode(latents)
