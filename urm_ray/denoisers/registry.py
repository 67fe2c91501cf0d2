"""The family of a pipeline, by the name of its class in model_index.json."""

from __future__ import annotations

from typing import Any

from urm_ray.denoisers.animatediff import AnimateDiff
from urm_ray.denoisers.cogvideox import CogVideoX
from urm_ray.denoisers.family import Family
from urm_ray.denoisers.flux import Flux
from urm_ray.denoisers.ltx import LTX
from urm_ray.denoisers.stable_diffusion import StableDiffusion
from urm_ray.denoisers.stable_diffusion_3 import StableDiffusion3
from urm_ray.denoisers.stable_diffusion_xl import StableDiffusionXL
from urm_ray.denoisers.text_to_video_sd import TextToVideoSD
from urm_ray.denoisers.wan import Wan
from urm_ray.models import part_config, pipeline_class
from urm_ray.store import StoreError

FAMILIES: dict[str, type[Family]] = {
    "AnimateDiffPipeline": AnimateDiff,
    "CogVideoXPipeline": CogVideoX,
    "FluxPipeline": Flux,
    "LTXPipeline": LTX,
    "StableDiffusion3Pipeline": StableDiffusion3,
    "StableDiffusionPipeline": StableDiffusion,
    "StableDiffusionXLPipeline": StableDiffusionXL,
    "TextToVideoSDPipeline": TextToVideoSD,
    "WanPipeline": Wan,
}


def family_of(path: str) -> Family:
    """The family of the pipeline at a path; reads no weights. StoreError where its denoiser cannot be trained."""
    name = pipeline_class(path)
    if name not in FAMILIES:
        raise StoreError(f"{path} holds a {name}, whose denoiser cannot be trained; those of {_known()} can")
    return FAMILIES[name](part_config(path, FAMILIES[name].denoiser))


def family_for(pipeline: Any) -> Family | None:
    """The family of a pipeline that is loaded with its denoiser; None where it is not known, and may only sample."""
    family = FAMILIES.get(type(pipeline).__name__)
    return None if family is None else family(getattr(pipeline, family.denoiser).config)


def _known() -> str:
    return ", ".join(sorted(FAMILIES))
