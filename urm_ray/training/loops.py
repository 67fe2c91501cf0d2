"""What workers of Ray Train run, by name alone: drivers and controllers hand it on, and have no need of torch."""

from __future__ import annotations

from typing import Any


def reward_loop(settings: dict[str, Any]) -> None:
    from urm_ray.training.reward_sft import reward_loop

    reward_loop(settings)


def dpo_loop(settings: dict[str, Any]) -> None:
    from urm_ray.training.dpo_loop import dpo_loop

    dpo_loop(settings)


def vlm_dpo_loop(settings: dict[str, Any]) -> None:
    from urm_ray.training.vlm_dpo import vlm_dpo_loop

    vlm_dpo_loop(settings)
