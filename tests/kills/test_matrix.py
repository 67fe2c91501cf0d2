"""Whatever is killed in whichever stage, the run ends with what a run holds that nothing was killed in."""

from __future__ import annotations

import contextlib
import json
import re
import shutil
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import torch
from kills.nodes import Nodes, ended, kill, until
from local.smoke import OWN, TASK, arguments
from safetensors.torch import load_file

pytestmark = pytest.mark.local

PROMPTS = 6
EVERY = 2
"""Steps between the checkpoints of the smoke run."""


@dataclass(frozen=True)
class Victim:
    """A stage that can be killed. done: the files below its folder of which there is one more with each part that is
    done. worker: words in the title of the processes that work on it."""

    stage: str
    done: str
    worker: str


VICTIMS = {
    "prepare": Victim(f"prepare-{TASK}", "*/unit-*.parquet", "PrepareUnit"),
    "reward": Victim("reward", "train/checkpoint_*/trainer_state.json", "RayTrainWorker"),
    "generate": Victim(f"generate-{TASK}", "judged/unit-*.parquet", "MapBatches(Judge)"),
    "dpo": Victim(f"dpo-{TASK}", "train/checkpoint_*/trainer_state.json", "RayTrainWorker"),
    "evaluate": Victim(f"evaluate-{TASK}", "after/unit-*.parquet", "MapBatches(Judge)"),
}
ALL = ("driver", "actor", "node")
TRAININGS, ASKING = ("reward", "dpo"), ("generate", "evaluate")
QUICK = {"generate": ALL}
"""What `make test` kills; what is left out here is marked long."""
CELLS = list(QUICK.items())
LONG = [(name, kills) for name in VICTIMS for kills in [ALL, *((kind,) for kind in ALL)] if (name, kills) not in CELLS]


@pytest.fixture(scope="module")
def calls(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file in which workers note which prompts they sample and judge."""
    return tmp_path_factory.mktemp("calls") / "calls.txt"


@pytest.fixture(scope="module")
def nodes(calls: Path) -> Iterator[Nodes]:
    nodes = Nodes(calls)
    yield nodes
    nodes.end()


def folder_of(run: Path, stage: str) -> Path:
    return next(run.glob(f"{stage}-*"))


def content(folder: Path) -> dict[str, bytes]:
    """Every file of a stage but those that tell the time, and what trainings round."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    told = ("manifest.json", "seconds.json", "history.json", ".safetensors")
    return {str(path.relative_to(folder)): path.read_bytes() for path in files if not path.name.endswith(told)}


def facts(folder: Path) -> dict[str, Any]:
    manifest = json.loads((folder / "manifest.json").read_text())
    rounded = ("seconds", "at_work", "first_loss", "final_loss")
    return {name: value for name, value in manifest.items() if name not in rounded}


def losses(folder: Path) -> list[float]:
    return [entry["loss"] for entry in json.loads((folder / "history.json").read_text())]


def weights_of(folder: Path) -> dict[str, torch.Tensor]:
    files = sorted((folder / "model").rglob("*.safetensors"))
    return {f"{file.name} {name}": value for file in files for name, value in load_file(file).items()}


def parts_done(victim: Victim, folder: Path) -> Any:
    """What grows while a stage is at work: how many files there are, or the step of the last checkpoint."""
    found = list(folder.glob(victim.done))
    if not victim.done.endswith(".json"):
        return len(found)
    steps = [0]
    for file in found:
        with contextlib.suppress(OSError, ValueError):  # it is being replaced by the next
            steps.append(json.loads(file.read_text())["global_step"])
    return max(steps)


@pytest.mark.parametrize(
    ("name", "kills"),
    [*CELLS, *(pytest.param(*cell, marks=pytest.mark.long) for cell in LONG)],
    ids=lambda value: value if isinstance(value, str) else "-".join(value),
)
def test_a_killed_stage_ends_as_one_that_nothing_was_killed_in(
    name: str, kills: tuple[str, ...], nodes: Nodes, smoke_run: Path, calls: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    shutil.copytree(smoke_run, run)
    folder = folder_of(run, VICTIMS[name].stage)
    shutil.rmtree(folder)
    found = killed(name, kills, nodes, run, calls, arguments("pipeline", run))
    own = folder_of(smoke_run, VICTIMS[name].stage)
    assert content(own) == content(folder)
    assert facts(own) == facts(folder)
    if name in TRAININGS:
        steps = [int(step) for step in re.findall(r"step (\d+)/", found.printed)]
        assert min(steps) > found.parts - EVERY, "it began anew"
        assert losses(own) == pytest.approx(losses(folder), rel=1e-5)
        for name, weights in weights_of(own).items():
            torch.testing.assert_close(weights_of(folder)[name], weights, rtol=1e-3, atol=1e-5)
    elif name in ASKING:
        counted = Counter(calls.read_text().splitlines())
        assert len(counted) == 2 * PROMPTS
        for known in found.called:  # what was written when something was killed was never asked for again
            assert known
            assert {call: counted[call] for call in known} == known


@pytest.mark.long
@pytest.mark.parametrize("second", ["actor", "node"])
def test_units_of_several_prompts_are_asked_for_again_while_under_way_alone(
    second: str, nodes: Nodes, smoke_run: Path, calls: Path, tmp_path: Path
) -> None:
    folders = []
    for kills in ((), ("driver", second)):
        run = tmp_path / f"{len(kills)}"
        shutil.copytree(smoke_run, run)
        for stage in ("generate", "pairs"):
            shutil.rmtree(folder_of(run, f"{stage}-{TASK}"))
        command = arguments("generate_pairs", run, "--set", f"{OWN}.generate.unit_rows=2")
        found = killed("generate", kills, nodes, run, calls, command, unit_rows=2)
        folders.append([folder_of(run, f"{stage}-{TASK}") for stage in ("generate", "pairs")])
    counted = Counter(calls.read_text().splitlines())
    assert len(counted) == 2 * PROMPTS
    for known in found.called:
        assert known
        assert len({call.split()[1] for call in known}) % 2 == 0
        assert {call: counted[call] for call in known} == known
    for own, folder in zip(*folders, strict=True):
        assert content(own) == content(folder)
        assert facts(own) == facts(folder)


@dataclass
class Killed:
    """What is left of killing. printed: by the last driver. parts: that were done when the one before was killed.
    called: of the engines, at each kill, for what was done."""

    printed: str
    parts: int
    called: list[Counter[str]]


def killed(
    name: str, kills: tuple[str, ...], nodes: Nodes, run: Path, calls: Path, command: list[str], unit_rows: int = 1
) -> Killed:
    """Runs a job to its end, killing in a stage. run: of the job, without a folder of the stage. command: the job.

    Judges wait at each kill behind the unit that it comes after, so that no machine is too quick, nor too slow, for it.
    """
    victim, called, behind = VICTIMS[name], list[Counter[str]](), 0
    calls.write_text("")
    leave = calls.with_suffix(".leave")
    for file in (leave, calls.with_suffix(".judged")):
        file.unlink(missing_ok=True)
    # The first kill of a training comes at its second checkpoint: the first one is there then, whole and known to Ray.
    before = EVERY if name in TRAININGS and len(kills) < 3 else 0

    def let_judge(done: int) -> None:
        if name in ASKING:
            leave.write_text(str((done + 1) * unit_rows))

    let_judge(before)
    driver = nodes.start(command)
    for kind in kills:

        def found(kind: str = kind, before: int = before) -> Any:
            folders = list(run.glob(f"{victim.stage}-*"))
            if folders and parts_done(victim, folders[0]) > before:
                return nodes.workers(victim.worker)[:1] if kind == "actor" else nodes.busiest()
            return None

        victims = until(found, driver, f"{kind} to kill, and more than {before} of {victim.done}")
        if kind == "driver":
            kill(driver.pid)
            driver.communicate()
        elif kind == "actor":
            kill(victims[0].pid)
        else:
            nodes.remove(victims)
        folder = folder_of(run, victim.stage)
        assert not (folder / "manifest.json").exists(), "it was over before it was killed"
        before = parts_done(victim, folder)
        if name in ASKING:
            called.append(calls_for_done(victim, folder, calls))
        if kind == "driver":
            driver, behind = nodes.start(command), before
        let_judge(before)
    leave.unlink(missing_ok=True)
    printed = ended(driver)
    assert f"== {victim.stage}: done in" in printed
    return Killed(printed, behind, called)


def calls_for_done(victim: Victim, folder: Path, calls: Path) -> Counter[str]:
    """How often the engines were called for each prompt whose unit is written."""
    units = folder.glob(victim.done)
    done = {i for file in units for i in pq.read_table(file, columns=["prompt_id"])["prompt_id"].to_pylist()}
    return Counter(call for call in calls.read_text().splitlines() if call.split()[1] in done)
