import json
from pathlib import Path

import pytest
import yaml
from experiments import fakes
from experiments.fakes import PROMPTS, TASK, TASKS, base_of

from urm_ray import store
from urm_ray.config import Config
from urm_ray.config_file import build
from urm_ray.experiments import run as experiments
from urm_ray.experiments.variants import derived
from urm_ray.pipeline.run import Run
from urm_ray.store import StoreError

Rows = dict[tuple[int, str, str], dict]
"""Findings by experiment, variant and figure."""


@pytest.fixture(autouse=True)
def without_ray(monkeypatch) -> None:
    monkeypatch.setattr(experiments, "run_steps", fakes.run_steps)


@pytest.fixture
def base(tmp_path) -> Config:
    return base_of(tmp_path)


def only(base: Config, *numbers: int) -> Run:
    return Run(derived(base, {"experiments.only": list(numbers)}))


def rows_of(base: Config) -> Rows:
    found = json.loads(Path(base.run.dir, "experiments.json").read_text())
    return {(e["number"], f["variant"], f["figure"]): f for e in found["experiments"] for f in e["findings"]}


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Config:
    """A configuration whose experiments are done."""
    base = base_of(tmp_path_factory.mktemp("experiments"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(experiments, "run_steps", fakes.run_steps)
        experiments.run_experiments(Run(base))
    return base


@pytest.fixture(scope="module")
def rows(finished) -> Rows:
    return rows_of(finished)


def test_every_figure_has_its_n_and_its_interval(rows):
    assert {number for number, _, _ in rows} == {1, 2, 3, 4}
    assert {name for _, _, name in rows} > {"joint", "gain, all seeds", "pairs that flip", "gain over before"}
    counts = ("pairs", "pairs trained on")
    for (_, _, name), found in rows.items():
        if name in counts:
            assert (found["value"], found["ci95"]) == (30, [None, None])
        elif not name.startswith("Spearman"):  # the judges here were asked about pairs alone
            assert found["n"] > 0
            assert found["ci95"][0] <= found["value"] <= found["ci95"][1]


def test_judges_are_compared_over_the_same_pairs(rows):
    for task in TASKS:
        assert rows[1, task, "single-task"]["value"] == 0.6
        assert rows[1, task, "joint"]["value"] == 0.8
        gain = rows[1, task, "joint less single"]
        assert gain["value"] == pytest.approx(0.2)
        assert gain["n"] == 100
        assert gain["ci95"][0] > 0
        assert "Table IX" in rows[1, task, "joint"]["paper"]


def test_gains_of_constructions_are_paired_and_pooled_over_seeds(rows):
    gains = {"random": 0.0, "point only": 0.1, "pair only": 0.2, "pair + point": 0.4}
    for row, gain in gains.items():
        for seed in (7, 8):
            assert rows[2, row, f"gain, seed {seed}"]["value"] == pytest.approx(gain, abs=1e-5)
            assert rows[2, row, f"gain, seed {seed}"]["n"] == 20
        pooled = rows[2, row, "gain, all seeds"]
        assert (pooled["value"], pooled["n"]) == (pytest.approx(gain, abs=1e-5), 40)
        # Prompts differ by more than the gain, but a prompt stands against itself.
        assert pooled["ci95"] == pytest.approx([gain, gain], abs=1e-5)
        assert rows[2, row, "pairs"]["value"] == 30
        if row != "pair + point":
            assert rows[2, row, "less pair + point"]["value"] == pytest.approx(gain - 0.4, abs=1e-5)
    assert (2, "pair + point", "less pair + point") not in rows


def test_chosen_is_held_against_rejected_by_the_independent_scorer(rows):
    for row in ("point only", "pair only", "pair + point"):
        assert rows[2, row, "chosen is better"]["value"] == 1.0
    by_chance = rows[2, "random", "chosen is better"]
    assert by_chance["n"] == 60
    assert 0.1 < by_chance["value"] < 0.9


def test_position_bias_is_what_the_judge_has_and_the_readings_say(rows):
    # In each fourth prompt the second pair is answered "first" twice; else each candidate wins in both orders.
    first = rows[3, "both orders", "verdicts for the first shown"]
    assert first["value"] == pytest.approx((3 / 4 * 2 + 1 / 4 * 3) / 4)
    assert first["n"] == 2 * PROMPTS * 4
    assert rows[3, "both orders", "pairs that flip"]["value"] == pytest.approx(1 / 8)
    assert rows[3, "both orders", "pairs that flip"]["n"] == 2 * PROMPTS * 2
    alone = rows[3, "one order", "verdicts for the first shown"]
    assert alone["value"] == pytest.approx((3 / 4 * 1 + 1 / 4 * 2) / 2)
    assert alone["n"] == 2 * PROMPTS * 2
    assert (3, "one order", "pairs that flip") not in rows


def test_orders_tell_what_is_kept_of_all_and_what_equal_numbers_gain(rows):
    for row, gain in (("one order", 0.3), ("both orders", 0.4)):
        assert (rows[3, row, "prompts kept"]["value"], rows[3, row, "prompts kept"]["n"]) == (1.0, 2 * PROMPTS)
        assert rows[3, row, "pairs trained on"]["value"] == 30
        assert rows[3, row, "gain, all seeds"]["value"] == pytest.approx(gain, abs=1e-5)
    assert rows[3, "both orders", "less one order"]["value"] == pytest.approx(0.1, abs=1e-5)


def test_the_second_round_starts_where_the_first_one_ended(rows):
    start = sum(n / 100 for n in range(20)) / 20
    for row, worth in (("before", 0.0), ("first round", 0.4), ("second round", 0.45)):
        assert rows[4, row, "whole"]["value"] == pytest.approx(start + worth, abs=1e-5)
    assert rows[4, "second round", "gain over before"]["value"] == pytest.approx(0.45, abs=1e-5)
    assert rows[4, "second round", "gain over the round before"]["value"] == pytest.approx(0.05, abs=1e-5)


def test_the_tables_hold_what_the_figures_are(finished):
    text = Path(finished.run.dir, "experiments.md").read_text()
    assert text.count("\n**") + text.startswith("**") == 4
    assert "| 0.600 (0.502 to 0.691), n 100 | 0.800 (0.711 to 0.867), n 100 | +0.200 (" in text
    assert "| Pair + point | 30 | +0.400 (+0.400 to +0.400), n 20 |" in text
    assert "| 68.28 |" in text
    lines = [line for line in text.splitlines() if line.startswith("|")]
    tables = "\n".join(text.splitlines()).split("\n\n")
    for table in tables:
        widths = {line.count("|") for line in table.splitlines() if line.startswith("|")}
        assert len(widths) <= 1
    assert len(lines) == 4 * 2 + 2 + 4 + 2 + 3


def test_a_second_call_runs_nothing_and_says_the_same(finished, rows, monkeypatch):
    def nothing(run, steps):
        assert all(run.stage(*step).done for step in steps)

    monkeypatch.setattr(experiments, "run_steps", nothing)
    text = Path(finished.run.dir, "experiments.md").read_bytes()
    Path(finished.run.dir, "experiments.md").unlink()
    experiments.run_experiments(Run(finished))
    assert Path(finished.run.dir, "experiments.md").read_bytes() == text
    assert rows_of(finished) == rows


def test_experiments_that_were_not_asked_for_are_kept_if_they_are_done(base):
    experiments.run_experiments(only(base, 3))
    assert {number for number, _, _ in rows_of(base)} == {3}
    experiments.run_experiments(only(base, 1))
    assert {number for number, _, _ in rows_of(base)} == {1, 3}
    # Under other settings they are not done.
    other = derived(base, {"experiments.pairs": 20})
    experiments.run_experiments(only(other, 1))
    assert {number for number, _, _ in rows_of(other)} == {1}


def test_what_was_found_is_written_before_the_next_one_starts(base, monkeypatch):
    def fails_at_dpo(run, steps):
        if "dpo" in dict(steps):
            raise RuntimeError("killed")
        fakes.run_steps(run, steps)

    monkeypatch.setattr(experiments, "run_steps", fails_at_dpo)
    with pytest.raises(RuntimeError, match="killed"):
        experiments.run_experiments(Run(base))
    assert {number for number, _, _ in rows_of(base)} == {1}
    # The same command goes on from there.
    monkeypatch.setattr(experiments, "run_steps", fakes.run_steps)
    experiments.run_experiments(Run(base))
    assert {number for number, _, _ in rows_of(base)} == {1, 2, 3, 4}


def test_each_variant_leaves_its_configuration(finished):
    files = sorted(Path(finished.run.dir, "variants").glob("*.yaml"))
    assert len(files) == 1 + 2 + 8 + 2 + 4 + 1
    written = yaml.safe_load(Path(finished.run.dir, "variants/seed8-random.yaml").read_text())
    config = build(written["config"])
    assert (config.run.seed, config.pairs.construction, config.pairs.keep) == (8, "random", 30)
    assert build(yaml.safe_load(Path(finished.run.dir, "config.yaml").read_text())["config"]) == finished


def test_time_counts_shared_stages_once(finished):
    found = json.loads(Path(finished.run.dir, "experiments.json").read_text())
    spent = [store.read_json(str(f))["seconds"] for f in Path(finished.run.dir).glob("*/manifest.json")]
    assert found["seconds"] == pytest.approx(sum(spent), abs=0.06)


def test_a_plan_names_what_there_is_to_do_and_does_nothing(base):
    lines = list(experiments.plan_experiments(only(base, 1, 4)))
    assert [line for line in lines if line.startswith("experiment")] == [
        f"experiment {e.number}: {e.title}" for e in experiments.EXPERIMENTS if e.number in (1, 4)
    ]
    assert lines[-1].strip() == "to do, once there is the policy that it starts from"
    assert sum(line.strip().startswith("reward") for line in lines) == 1 + 2 + 1
    assert not list(Path(base.run.dir).glob("*/manifest.json"))
    experiments.run_experiments(only(base, 4))
    lines = list(experiments.plan_experiments(only(base, 1, 4)))
    assert any(line.split()[:2] == [f"dpo-{TASK}", "done"] for line in lines)
    assert any(line.split()[:3] == ["judge", "to", "do"] for line in lines)


def test_a_checkpoint_that_is_not_there_is_told_at_once(base):
    missing = derived(base, {"judge_base.path": "/nowhere/vlm"})
    with pytest.raises(StoreError, match="there is no checkpoint at /nowhere/vlm"):
        list(experiments.plan_experiments(Run(missing)))
