"""A whole run while something is killed every now and then: it ends, and nothing is missing in it.

    pytest -m long tests/kills/test_random_killer.py -k smoke          some ten minutes on 2 cores
    pytest -m long tests/kills/test_random_killer.py -k quickstart     some two hours

What is killed when is drawn from URM_RAY_KILL_SEED (0).
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from kills.nodes import Nodes, kill

pytestmark = [pytest.mark.local, pytest.mark.long]

IN_FLIGHT = 16
"""Units that a kill may cost, as in the matrix, with the larger units of these runs."""


@pytest.fixture
def nodes(tmp_path: Path) -> Iterator[Nodes]:
    (tmp_path / "calls.txt").touch()
    nodes = Nodes(tmp_path / "calls.txt")
    yield nodes
    nodes.end()


def kill_something(nodes: Nodes, driver: subprocess.Popen[bytes], dice: random.Random) -> str | None:
    """Kills a driver, a worker that is at work, or a node with all that is on it; None where nothing was there."""
    kind = dice.choice(("driver", "worker", "worker", "node"))
    if kind == "driver":
        kill(driver.pid)
    elif kind == "node":
        nodes.remove(dice.choice(nodes.nodes))
    else:
        workers = sorted(nodes.workers("ray::"), key=lambda process: process.pid)
        if not workers:
            return None
        kill(dice.choice(workers).pid)
    return kind


@pytest.mark.parametrize(
    ("config", "every_s", "most"),
    [("smoke.yaml", 20.0, 12), ("quickstart.yaml", 120.0, 40)],
    ids=["smoke", "quickstart"],
)
@pytest.mark.timeout(4 * 3600)
def test_a_run_ends_whatever_is_killed_in_it(
    config: str, every_s: float, most: int, nodes: Nodes, tmp_path: Path
) -> None:
    dice, run, log = random.Random(int(os.environ.get("URM_RAY_KILL_SEED", "0"))), tmp_path / "run", tmp_path / "log"
    # More failures of trainings than anybody would allow, for as many kills as nobody has.
    settings = [f"run.dir={run}", "reward.max_failures=100"]
    for task in ("image_generation", "video_generation", "image_understanding", "video_understanding"):
        settings.append(f"policies.{task}.{'vlm_dpo' if 'understanding' in task else 'dpo'}.max_failures=100")
    command = ["jobs/pipeline.py", "--config", f"jobs/configs/{config}"]
    command += [word for setting in settings for word in ("--set", setting)]
    killed: Counter[str] = Counter()
    with log.open("ab") as output:
        while True:
            driver = nodes.start(command, output)
            while driver.poll() is None:
                with_time_left = killed.total() < most
                try:
                    driver.wait(dice.uniform(0.3, 1.7) * every_s if with_time_left else None)
                except subprocess.TimeoutExpired:
                    killed.update(filter(None, [kill_something(nodes, driver, dice)]))
                time.sleep(0.1)
            if driver.returncode != -9:
                break
    said = log.read_text(errors="replace")
    assert driver.returncode == 0, said[-4000:]
    print(dict(killed))
    assert killed.total() >= 3
    report = json.loads((run / "report.json").read_text())
    for task, found in report["tasks"].items():
        judged = json.loads(next(run.glob(f"generate-{task}-*/manifest.json")).read_text())
        assert judged["prompts"] == found["pairs"]["prompts"]
        assert not any("process ended" in reason for reason in judged["quarantined"]), judged["quarantined"]
    counted = Counter((tmp_path / "calls.txt").read_text().splitlines())
    # A prompt is sampled twice and judged twice where a policy is measured before and after, too.
    again = sum(times - 2 for times in counted.values() if times > 2)
    assert again <= IN_FLIGHT * killed.total(), counted.most_common(5)
