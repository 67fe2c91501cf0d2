"""What Prometheus finds at a Ray node is what the stages' manifests say."""

from __future__ import annotations

import re
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from kills.small_run import TASK, generated, run_of

from urm_ray.pipeline import generate_pairs
from urm_ray.pipeline.context import connect
from urm_ray.pipeline.run import execute
from urm_ray.pipeline.training_progress import TrainingProgress
from urm_ray.run_folder import Stage

pytestmark = pytest.mark.local

PROMPTS = [f"a plain prompt {n}" for n in range(10)] + ["the judge fails", "the sampler fails"]
SAMPLE = re.compile(r"ray_urm_ray_(\w+?)(?:_total)?\{(.*)\} (\S+)")
Shown = dict[tuple[str, str, str], float]
"""By metric, stage and the value of the metric's own tag."""


@pytest.fixture(scope="module")
def ray_here() -> Iterator[None]:
    import ray

    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("PYTHONPATH", str(Path(__file__).resolve().parents[1]))
        patched.setenv("RAY_metrics_report_interval_ms", "1000")
        connect()
        yield
        ray.shutdown()


def scraped() -> Shown:
    import ray

    port = ray.nodes()[0]["MetricsExportPort"]
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics") as answer:
        text = answer.read().decode()
    found: Shown = {}
    for name, labels, value in SAMPLE.findall(text):
        tags = dict(re.findall(r'(\w+)="(.*?)"', labels))
        own = next((tags[tag] for tag in ("outcome", "reason", "part", "pool") if tag in tags), "")
        found[name, tags["stage"], own] = float(value)
    return found


def until(wanted: Shown) -> Shown:
    """What is scraped once it holds what is wanted, or after a while what is there."""
    end = time.monotonic() + 30
    while not wanted.items() <= (found := scraped()).items() and time.monotonic() < end:
        time.sleep(0.5)
    return found


def test_what_is_scraped_adds_up_to_what_the_manifests_say(
    ray_here: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stage = generated(tmp_path, PROMPTS, construction="point")
    run = run_of(tmp_path / "run", PROMPTS, construction="point")
    sifted = run.stage("pairs", TASK)
    execute(run, sifted, lambda run, stage: generate_pairs.pairs(run, stage, TASK))
    made, kept = stage.manifest(), sifted.manifest()["audit"]
    rows = stage.rows("judged").to_pylist()
    outcomes = Counter(v["outcome"] for row in rows for v in [*row["pair_verdicts"], *row["point_verdicts"]])
    candidates = sum(c["error"] is None for row in rows for c in row["candidates"])
    wanted: Shown = {("rows", name, ""): len(PROMPTS) for name in ("generate", "pairs")}
    wanted |= {("rows_to_do", name, ""): len(PROMPTS) for name in ("generate", "pairs")}
    wanted |= {("candidates", "generate", ""): candidates, ("pairs", "pairs", ""): kept["kept"]}
    wanted |= {("verdicts", "generate", outcome): n for outcome, n in outcomes.items()}
    wanted |= {("dropped", "pairs", reason): n for reason, n in kept["dropped"].items() if n}
    found = until(wanted)
    assert made["prompts"] == len(PROMPTS)
    assert {key: found.get(key) for key in wanted} == wanted
    assert {own for name, _, own in found if name == "verdicts"} == set(outcomes)
    aside = {own: n for (name, stage, own), n in found.items() if (name, stage) == ("put_aside", "generate")}
    assert sum(aside.values()) == sum(made["quarantined"].values()) > 0
    assert aside["candidate"] == 2
    assert 0 < found["questions", "generate", "Judge"] <= outcomes.total()
    assert {own for name, _, own in found if name == "actor_seconds"} == {"Sample", "Judge"}
    # Engines that do not know their tokens show none.
    assert not [key for key in found if key[0].startswith("tokens")]
    lines = capsys.readouterr().out
    assert re.search(rf"\[generate-{TASK}\] 12/12 rows, {candidates} candidates, .* verdicts \(.*unparsed\)", lines)
    assert "at work Sample " in lines
    assert stage.noted() is None


def test_a_training_shows_its_loss_its_steps_and_how_long_it_waits(ray_here: None, tmp_path: Path) -> None:
    stage = Stage(str(tmp_path / f"dpo-{TASK}-0123"), f"dpo-{TASK}", "0123")
    logged = TrainingProgress(stage)
    logged(1, 20, {"loss": 0.7})
    logged(5, 20, {"loss": 0.5, "waiting": 0.25, "lr": 1e-5})
    wanted = {"loss": 0.5, "waiting": 0.25, "step": 5.0, "steps": 20.0}
    shown: Shown = {(f"training_{name}", "dpo", ""): value for name, value in wanted.items()}
    assert shown.items() <= until(shown).items()
    noted = stage.noted()
    assert noted
    assert {name: noted[name] for name in wanted} == wanted
    assert noted["left_s"] > 0
