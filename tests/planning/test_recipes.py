"""Every shipped recipe has a plan, without weights and without a hub, and sensible figures in it."""

import re

import pytest
import yaml
from helpers import ROOT

from urm_ray.config_file import load
from urm_ray.config_policy import understands
from urm_ray.planning.amounts import examples, passes, rows
from urm_ray.planning.plan import plan
from urm_ray.training.objectives import objective_of

FOLDER = ROOT / "jobs/configs"
QUICK = ["align_my_sdxl", "judge_my_images"]
"""Others take long."""
RECIPES = [p.stem for p in sorted(FOLDER.glob("*.yaml")) if p.stem != "unifiedreward_mix"]
SMALL = ("quickstart", "smoke", "experiments")
"""Runs of models that come with the package."""
SECTIONS = ["Plan for", "Models, counted", "Memory of pools", "Work;", "Throughputs", "Bytes, GiB"]
COUNTS = {
    # As model cards and papers state them, in billions.
    "align_my_sdxl": [("unet", 2.567), ("vae", 0.084), ("text_encoder_2", 0.695)],
    "dpo_wan_1_3b": [("transformer", 1.419)],
}
PASSES = (2.5, 3.7)
"""Of trainings, all of which say that they have 3; pairs of prompts are fewer than prompts (`pairs_kept`)."""
MOST_GIB = 1500
"""Of storage, most of it two checkpoints of 32 B parameters."""
SDXL = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear", "prediction_type": "epsilon"}
SPACING = {"stabilityai/stable-diffusion-xl-base-1.0": "leading", "stabilityai/sdxl-turbo": "trailing"}
"""Of the schedulers that these pipelines are published with."""


def lines_of(name: str, *changes: str) -> list[str]:
    return "\n".join(plan(load(FOLDER / f"{name}.yaml", list(changes)))).splitlines()


@pytest.mark.parametrize("name", [p if p in QUICK else pytest.param(p, marks=pytest.mark.long) for p in RECIPES])
def test_a_recipe_has_a_plan_without_errors(name):
    lines = lines_of(name)
    text = " ".join(" ".join(lines).split())
    for section in SECTIONS:
        assert any(line.startswith(section) for line in lines), section
    assert "Errors: none" in lines
    assert "?" not in text
    assert "not known" not in text
    for part, billions in COUNTS.get(name, []):
        assert f"{part} {billions:.3f} B" in text
    (storage,) = re.findall(r"Together ([\d,.]+) GiB of storage", text)
    assert float(storage.replace(",", "")) < MOST_GIB
    passes = [float(found) for found in re.findall(r"steps are ([\d.]+) passes", text)]
    assert bool(passes) == (name != "judge_my_images")
    assert name in SMALL or all(PASSES[0] <= found <= PASSES[1] for found in passes), passes


@pytest.mark.parametrize("name", [name for name in RECIPES if name.startswith(("judge_llava", "judge_qwen"))])
def test_a_judge_of_the_mix_has_three_epochs(name):
    config = load(FOLDER / f"{name}.yaml", [])
    made = examples(config, {task: rows(config, task) for task in config.tasks})
    assert passes(config.reward, sum(made.values())) == pytest.approx(3, abs=0.01)
    assert config.reward.warmup_steps == round(0.3 * config.reward.steps)
    mix = yaml.safe_load((FOLDER / "unifiedreward_mix.yaml").read_text())["sources"]
    found = [there for of in config.planning.assumed.rows.values() for there in (of.pairs or 0, of.points or 0)]
    held_out = 1000 + 2000  # pairs of some prompts, and the points of both their sides
    assert sum(found) == sum(part["expected"] for part in mix) - held_out


def test_what_does_not_fit_is_an_error_that_names_the_setting():
    own = "policies.image_generation.dpo"
    lines = lines_of("align_my_sdxl", f"{own}.gradient_checkpointing=false", f"{own}.batch=16")
    errors = lines[next(i for i, line in enumerate(lines) if line.startswith("Errors")) :]
    assert errors[0] != "Errors: none"
    assert any(own in line for line in errors)


@pytest.mark.parametrize(
    "name", [name for name in RECIPES if name.startswith(("align", "dpo")) and "llava" not in name]
)
def test_where_a_recipe_samples_there_is_a_signal_to_learn_from(name):
    from diffusers import EulerDiscreteScheduler

    config = load(FOLDER / f"{name}.yaml", [])
    (task,) = (task for task in config.tasks if not understands(task))
    policy = config.policy(task)
    if policy.path not in SPACING:
        assert not policy.dpo.zero_terminal_snr, "a flow's target is known from pure noise, too"
        return
    scheduler = EulerDiscreteScheduler(**SDXL, timestep_spacing=SPACING[policy.path], steps_offset=1)
    scheduler.set_timesteps(policy.sampler.steps)
    visited = scheduler.timesteps.long()
    objective = objective_of(scheduler, policy.dpo)
    assert (objective.alphas[visited] > 1e-3).all()
    assert policy.dpo.timesteps is None or set(visited.tolist()) <= set(policy.dpo.timesteps)
