"""Pools that share a budget, with engines of known rates."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from sizes.engines import generated, run_of

from urm_ray.pipeline.context import connect
from urm_ray.pipeline.run import Run
from urm_ray.run_folder import Stage

pytestmark = pytest.mark.local

POOL = {"num_cpus": 0.05}
UNIT = 2


@pytest.fixture(scope="module")
def ray_here() -> Iterator[None]:
    import ray

    with pytest.MonkeyPatch.context() as patched:
        tests = str(Path(__file__).resolve().parents[1])
        patched.setenv("PYTHONPATH", os.pathsep.join([tests, os.environ.get("PYTHONPATH", "")]))
        connect()
        yield
        ray.shutdown()


def rate(stage: Stage, units: int) -> float:
    """Prompts a second while the last so many units were written."""
    written = sorted(Path(file).stat().st_mtime for file in stage.units("judged"))[-units:]
    return UNIT * (units - 1) / (written[-1] - written[0])


def balanced(folder: Path, prompts: int) -> Run:
    return run_of(
        folder, prompts, {"unit_rows": UNIT, "sampler_pool": POOL, "judge_pool": POOL, "budget": {"actors": 4}}
    )


@pytest.mark.long
def test_pools_that_share_actors_are_balanced_by_what_is_measured(
    ray_here: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # Three samplers keep one judge busy; so slow that what Ray needs for a row counts little.
    stage = generated(balanced(tmp_path, 28), 1.2, 0.4)
    found = stage.manifest()["pools"]
    assert {name: pool["actors"] for name, pool in found.items()} == {"sampler_pool": 3, "judge_pool": 1}
    assert found["sampler_pool"]["seconds_a_row"] == pytest.approx(1.2, rel=0.3)
    assert found["judge_pool"]["seconds_a_row"] == pytest.approx(0.4, rel=0.5)
    printed = capsys.readouterr().out
    assert "measured, in seconds of an actor for a row: sampler_pool 1." in printed
    assert "[generate-image_generation] pools that share 4 actors, in actors: sampler_pool 3, judge_pool 1" in printed


@pytest.mark.long
def test_pools_in_balance_do_more_than_pools_of_equal_sizes(ray_here: None, tmp_path: Path) -> None:
    # Two samplers and two judges make two thirds of what four actors can.
    both = POOL | {"actors": 2}
    even = run_of(tmp_path / "even", 64, {"unit_rows": UNIT, "sampler_pool": both, "judge_pool": both})
    stages = [generated(run, 0.6, 0.2) for run in (balanced(tmp_path / "balanced", 64), even)]
    assert "pools" not in stages[1].manifest()
    assert stages[0].digest == stages[1].digest
    files = [[Path(file).read_bytes() for file in stage.units("judged")] for stage in stages]
    assert files[0] == files[1]
    fast, slow = (rate(stage, 16) for stage in stages)
    assert fast > 1.2 * slow
    assert fast > 0.7 / 0.2
