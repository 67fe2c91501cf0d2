"""The denoiser out of a policy, and back into it when it is trained."""

from __future__ import annotations

from typing import Any

from urm_ray.denoisers.registry import family_of
from urm_ray.models import load_pipeline


def load_denoiser(path: str) -> Any:
    """The denoiser of the pipeline at a path, in float32 on the CPU, from where a trainer takes it.

    What no output depends on (`Family.idle`) is frozen.
    """
    family = family_of(path)
    pipeline = load_pipeline(path, device="cpu", only=(family.denoiser, *family.with_denoiser))
    denoiser = getattr(pipeline, family.denoiser)
    for name, module in denoiser.named_modules():
        if name in family.idle:
            module.requires_grad_(False)
    family.prepare(denoiser)
    return denoiser


def save_policy(path: str, denoiser: Any, folder: str) -> None:
    """Writes the pipeline at `path` to a folder, as diffusers does, with its denoiser replaced by a trained one."""
    whole = load_pipeline(path, device="cpu")
    family_of(path).put(whole, denoiser)
    whole.save_pretrained(folder)
