"""Configurations of runs with models that come with the package, and the plans of them."""

from __future__ import annotations

from typing import Any

from urm_ray.config import Config
from urm_ray.config_file import build
from urm_ray.planning.survey import Survey

IMAGE, VIDEO, ABOUT_IMAGE = "image_generation", "video_generation", "image_understanding"
PATHS = {IMAGE: "text_to_image", VIDEO: "text_to_video", ABOUT_IMAGE: "answerer", "video_understanding": "answerer"}


def merged(under: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    both = {k: merged(under[k], v) for k, v in over.items() if isinstance(v, dict) and isinstance(under.get(k), dict)}
    return under | over | both


def config(*tasks: str, **changes: Any) -> Config:
    """A run of these tasks (IMAGE alone if none is named) in which nothing is wrong. changes: sections laid over it;
    `policy` over the policy of the first task."""
    named = tasks or (IMAGE,)
    training = {"steps": 20, "batch": 4, "workers": 2, "checkpoint_steps": 10}
    policy = {
        "sampler": {"candidates": 4, "steps": 4, "frames": 16, "answers": {"max_new_tokens": 300}},
        "dpo": training,
        "vlm_dpo": training,
        "evaluate": {"scorer": "module:Class"},
    }
    base: dict[str, Any] = {
        "tasks": list(named),
        "judge_base": {"path": "urm_ray.scenes:checkpoints/vlm"},
        "prepare": {"train_pairs": 100, "train_points": 100, "train_prompts": 200, "heldout_prompts": 50},
        "reward": training,
        "policies": {t: policy | {"path": f"urm_ray.scenes:checkpoints/{PATHS[t]}"} for t in named},
    }
    own = {"policies": {named[0]: changes.pop("policy", {})}}
    return build(merged(merged(base, own), changes))


def survey(*tasks: str, **changes: Any) -> Survey:
    return Survey(config(*tasks, **changes))


def on_gpus(**pools: Any) -> dict[str, Any]:
    """The sections of a policy whose pools and training have a GPU for each actor and worker."""
    one = {"actors": 1, "num_gpus": 1}
    both = {"sampler_pool": one, "judge_pool": one}
    return {"generate": both | pools, "evaluate": both, "dpo": {"use_gpu": True, "encode_pool": one}}
