"""What a GPU has and does, and how much of it a program gets."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

import yaml

from urm_ray.config_planning import ThroughputConfig
from urm_ray.store import StoreError

GIB = 2**30
CONTEXT_GIB = 1.5
"""CUDA's context, NCCL's buffers and the workspaces of libraries, on each GPU."""
FRAGMENTED = 0.05
"""Share of the memory that is free but in pieces too small to be used."""

SOURCES = {
    "vlm_training": "assumed; DeepSpeed with SDPA attention on 7 B models mostly gets 0.3 to 0.45",
    "denoiser_training": (
        "assumed; published Diffusion-DPO runs of SD 1.5 and SDXL, 2.96 and 0.24 pairs a second on an A100, come to "
        "0.06 with their encoders in the loop, which here run once"
    ),
    "reading": "assumed; long prompts in large batches",
    "denoising": "assumed; SDXL, 30 steps at 1024 x 1024 in 3.5 s on an A100, comes to 0.37",
    "bandwidth": "assumed",
    "layer_seconds": "assumed; transformers decodes 7 B models in 25 to 30 ms a step on any recent GPU",
}
"""Where each setting of `ThroughputConfig` is from, unless the configuration sets it."""


@dataclass(frozen=True)
class Device:
    """memory in GiB, bfloat16 and float32 in TFLOPS, bandwidth in TB/s."""

    name: str
    memory: float
    bfloat16: float
    float32: float
    bandwidth: float
    source: str

    @property
    def usable(self) -> float:
        """Bytes for tensors."""
        return (self.memory * (1 - FRAGMENTED) - CONTEXT_GIB) * GIB

    def flops(self, dtype: str) -> float:
        """Operations a second at best."""
        return 1e12 * (self.float32 if dtype == "float32" else self.bfloat16)


@cache
def devices() -> dict[str, Device]:
    table = yaml.safe_load((files("urm_ray.planning") / "devices.yaml").read_text("utf-8"))
    return {name: Device(name, **facts) for name, facts in table.items()}


def device(name: str) -> Device:
    """The GPU of this name; StoreError where it is not known."""
    if name not in devices():
        near = difflib.get_close_matches(name, devices(), 1, 0.3)
        hint = f"; did you mean {near[0]}?" if near else ""
        raise StoreError(f"planning.gpu: no {name!r} among {', '.join(devices())}{hint}")
    return devices()[name]


def stated(config: ThroughputConfig) -> list[tuple[str, float, str]]:
    """(name, value, where it is from) of each rate that hours are reckoned with."""
    set_by_user = config.model_fields_set
    return [
        (name, getattr(config, name), "set in planning.throughputs" if name in set_by_user else source)
        for name, source in SOURCES.items()
    ]
