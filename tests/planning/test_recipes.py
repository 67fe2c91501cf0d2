"""Every shipped recipe has a plan, without weights and without a hub."""

import pytest
from helpers import ROOT

from urm_ray.config_file import load
from urm_ray.planning.plan import plan

QUICK = ["align_my_sdxl", "judge_qwen2_5_vl_3b"]
OTHERS = [p.stem for p in sorted((ROOT / "jobs/configs").glob("*.yaml")) if p.stem not in (*QUICK, "unifiedreward_mix")]
SECTIONS = ["Plan for", "Models, counted", "Memory of pools", "Work;", "Throughputs", "Bytes, GiB"]
COUNTS = {
    # As model cards and papers state them, in billions.
    "align_my_sdxl": [("unet", 2.567), ("vae", 0.084), ("text_encoder_2", 0.695)],
    "dpo_wan_1_3b": [("transformer", 1.419)],
}


def lines_of(name: str, *changes: str) -> list[str]:
    return "\n".join(plan(load(ROOT / f"jobs/configs/{name}.yaml", list(changes)))).splitlines()


@pytest.mark.parametrize("name", [*QUICK, *(pytest.param(name, marks=pytest.mark.long) for name in OTHERS)])
def test_a_recipe_has_a_plan_without_errors(name):
    lines = lines_of(name)
    for section in SECTIONS:
        assert any(line.startswith(section) for line in lines), section
    assert "Errors: none" in lines
    for part, billions in COUNTS.get(name, []):
        assert f"{part} {billions:.3f} B" in "\n".join(lines)


def test_what_does_not_fit_is_an_error_that_names_the_setting():
    own = "policies.image_generation.dpo"
    lines = lines_of("align_my_sdxl", f"{own}.gradient_checkpointing=false", f"{own}.batch=16")
    errors = lines[next(i for i, line in enumerate(lines) if line.startswith("Errors")) :]
    assert errors[0] != "Errors: none"
    assert any(own in line for line in errors)
