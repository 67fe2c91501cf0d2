"""The settings of a plan (`--plan`): the GPUs that there are, how fast they work, and what the data is taken to be."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from urm_ray.config_training import Section, Task

Side = Annotated[int, Field(ge=1)]


class RowsConfig(Section):
    """Rows of one task that data not yet there will have, held-out ones among them."""

    pairs: int | None = Field(None, ge=0)
    points: int | None = Field(None, ge=0)
    prompts: int | None = Field(None, ge=0)


class AssumedConfig(Section):
    """What is not known of the data before it is read; it decides tokens and bytes."""

    rows: dict[Task, RowsConfig] = Field(default_factory=dict)
    """Where there are fewer than `prepare` asks for, and the data is not there to be counted."""
    prompt_tokens: int = Field(60, ge=1)
    """Of a caption or question."""
    answer_tokens: int = Field(250, ge=1)
    """Of an answer to a question about pictures or clips."""
    verdict_tokens: int = Field(300, ge=1)
    """That a judge writes, where its answers are decoded."""
    picture: tuple[Side, Side] = (1024, 1024)
    """Height and width in pixels of pictures in preferences, and of those that questions are about."""
    clip: tuple[Side, Side] = (480, 720)
    clip_seconds: float = Field(5.0, gt=0)
    clip_fps: float = Field(16.0, gt=0)
    pairs_kept: float = Field(0.85, gt=0, le=1)
    """Share of prompts whose candidates become a preference pair."""


class ThroughputConfig(Section):
    """How fast GPUs work, as shares of what their maker states; the plan prints each with where it is from."""

    vlm_training: float = Field(0.35, gt=0, le=1)
    denoiser_training: float = Field(0.15, gt=0, le=1)
    reading: float = Field(0.4, gt=0, le=1)
    """Of questions by a VLM, with no decoding; and of autoencoders and text encoders."""
    denoising: float = Field(0.3, gt=0, le=1)
    bandwidth: float = Field(0.5, gt=0, le=1)
    """Of memory, where tokens are decoded: each step reads all weights, and the keys and values so far."""
    layer_seconds: float = Field(0.0009, ge=0)
    """Least time that a decoding step takes for each layer, however small the model: launching its kernels."""
    measured: dict[str, Annotated[float, Field(gt=0)]] = Field(default_factory=dict)
    """Rows a second on one GPU that were measured, by the names in the plan's table of work; they stand in for what is
    reckoned from the shares above."""


class PlanningConfig(Section):
    gpu: str = "H100-80GB"
    """One of `urm_ray/planning/devices.yaml`."""
    gpus: int = Field(8, ge=1)
    gpus_per_node: int = Field(8, ge=1)
    models: dict[str, str] = Field(default_factory=dict)
    """For a path that is not there yet, a folder or a known name that has the same architecture."""
    assumed: AssumedConfig = AssumedConfig()
    throughputs: ThroughputConfig = ThroughputConfig()
