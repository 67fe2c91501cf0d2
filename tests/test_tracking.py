import importlib.util
import json
import math
from pathlib import Path

import pytest
from tracked import mlflow_curves, mlflow_runs, tensorboard_curves, wandb_curves, wandb_records

from urm_ray import store, tracking
from urm_ray.config import Config
from urm_ray.config_file import ConfigError, build
from urm_ray.config_tracking import TrackingConfig
from urm_ray.pipeline.run import Run, execute
from urm_ray.tracking import Trackers, TrackingError, flat, log_figures, need_trackers

KEY = "0123456789abcdef0123456789abcdef01234567"
FOLDER = "dpo-image_generation-0123456789ab"
CURVE = [(1, 0.75), (2, 0.5), (3, 0.25)]
KINDS = ["tensorboard", "mlflow", "wandb"]


@pytest.fixture
def stage(tmp_path: Path) -> Path:
    return tmp_path / "quickstart" / FOLDER


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Trackers that need no network, and a key that nobody may see."""
    uri = f"file:{tmp_path}/mlruns"
    for name, value in {
        "MLFLOW_TRACKING_URI": uri,
        "MLFLOW_ALLOW_FILE_STORE": "true",
        "WANDB_MODE": "offline",
        "WANDB_API_KEY": KEY,
        "WANDB_SILENT": "true",
    }.items():
        monkeypatch.setenv(name, value)
    return uri


def told(config: TrackingConfig, stage: Path | str, steps: list[tuple[int, float]], end: bool = True) -> None:
    """What one process tells."""
    trackers = Trackers(config, str(stage), {"lr": 0.001, "lora": {"rank": 4}, "note": f"token={KEY}"})
    for step, loss in steps:
        trackers.log({"train/loss": loss, "train/lr": math.nan}, step)
    if end:
        trackers.end()


@pytest.fixture
def stopped_and_resumed(stage: Path) -> Path:
    """A stage that was killed after its second step, and went on from its first."""
    config = TrackingConfig(to=KINDS, project="aligned")
    told(config, stage, CURVE[:2], end=False)
    told(config, stage, CURVE[1:])
    return stage


def test_a_stage_that_was_killed_goes_on_in_the_same_run_and_no_step_is_told_twice(
    stopped_and_resumed: Path, elsewhere: str
) -> None:
    assert tensorboard_curves(stopped_and_resumed) == {"train/loss": CURVE}
    (run,) = mlflow_runs(elsewhere, "aligned")
    assert mlflow_curves(elsewhere, run) == {"train/loss": CURVE}
    assert run.info.run_name == f"quickstart/{FOLDER}"
    assert run.info.status == "FINISHED"
    assert run.data.params["lr"] == "0.001"
    assert wandb_curves(stopped_and_resumed) == {"train/loss": CURVE}
    (ours,) = {
        (r.run.run_id, r.run.project, r.run.display_name, r.run.run_group)
        for r in wandb_records(stopped_and_resumed)
        if r.HasField("run")
    }
    assert ours[1:] == ("aligned", f"quickstart/{FOLDER}", "quickstart")
    assert ours[0] == json.loads((stopped_and_resumed / tracking.FILE).read_text())["run"]


def test_no_key_is_in_any_file(stopped_and_resumed: Path, tmp_path: Path) -> None:
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert {"tracking.json", "lr"} <= {path.name for path in files}
    assert not [path for path in files if KEY.encode() in path.read_bytes()]


def downloaded(stage: str, to: Path) -> Path:
    for file in store.tree(stage):
        (to / file.name).parent.mkdir(parents=True, exist_ok=True)
        (to / file.name).write_bytes(store.read_bytes(store.join(stage, file.name)))
    return to


def test_curves_of_a_stage_on_an_object_store_lie_there_and_those_before_a_kill_stay(
    objects, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place, config = objects.uri("runs", "quickstart", FOLDER), TrackingConfig(to=["tensorboard"])
    monkeypatch.setattr(tracking, "UPLOAD_S", 0.0)
    told(config, place, CURVE[:2], end=False)
    assert tensorboard_curves(downloaded(place, tmp_path / "killed")) == {"train/loss": CURVE[:2]}
    told(config, place, CURVE[1:])
    assert tensorboard_curves(downloaded(place, tmp_path / "ended")) == {"train/loss": CURVE}
    assert len(list((tmp_path / "ended/tensorboard").iterdir())) == 2


def test_what_is_told_often_is_copied_to_an_object_store_seldom_and_at_the_end(objects, tmp_path: Path) -> None:
    place = objects.uri("runs", "quickstart", FOLDER)
    curve = [(step, 1 / 2**step) for step in range(20)]
    told(TrackingConfig(to=["tensorboard"]), place, curve)
    assert tensorboard_curves(downloaded(place, tmp_path / "ended")) == {"train/loss": curve}
    copies = [path for method, path in objects.asked if method == "PUT" and "tfevents" in path]
    assert len(copies) == 2


@pytest.mark.parametrize("values", [{"api_key": KEY}, {"to": ["comet"]}, {"to": "wandb"}, {"project": ""}])
def test_a_section_that_cannot_work_or_holds_a_key_is_refused(values: dict) -> None:
    with pytest.raises(ConfigError, match="tracking"):
        build({"tracking": values})


def test_a_package_that_is_missing_is_told_in_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    there = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "wandb" else there(name))
    need_trackers(TrackingConfig(to=["tensorboard", "mlflow"]))
    with pytest.raises(TrackingError, match="wandb is not installed: pip install"):
        need_trackers(TrackingConfig(to=KINDS))


def test_mlflow_is_not_let_write_into_a_workers_own_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    need_trackers(TrackingConfig(to=["wandb"]))
    with pytest.raises(TrackingError, match="MLFLOW_TRACKING_URI"):
        need_trackers(TrackingConfig(to=["mlflow"]))


def test_a_tracker_that_is_not_there_at_the_start_is_told_without_its_password(
    stage: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "postgres+nothing://me:verysecret@host/db")
    with pytest.raises(TrackingError, match="mlflow cannot be used") as caught:
        Trackers(TrackingConfig(to=["mlflow"]), str(stage), {})
    assert "verysecret" not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_tracker_that_fails_later_is_told_no_more_and_stops_nothing(
    stage: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Failing:
        id, asked = None, 0

        def __init__(self, told: object) -> None: ...

        def log(self, figures: object, step: int) -> None:
            Failing.asked += 1
            raise OSError(f"no answer to token={KEY}")

    monkeypatch.setitem(tracking.TRACKERS, "wandb", Failing)
    told(TrackingConfig(to=["wandb", "tensorboard"]), stage, CURVE)
    assert Failing.asked == 1
    assert tensorboard_curves(stage) == {"train/loss": CURVE}
    said = capsys.readouterr().err
    assert said.count("wandb is told no more") == 1
    assert KEY not in said


FIGURES = {
    "image_generation": {
        "judge": {"pair_accuracy": {"value": 0.75, "ci95": [0.5, 0.875], "n": 9}, "unparsed": 0},
        "gain": {"value": None, "ci95": None, "n": 0},
        "headline": "whole",
    }
}


def test_figures_of_an_evaluation_are_told_once_with_their_intervals(stage: Path) -> None:
    config = TrackingConfig(to=["tensorboard"])
    for _ in range(2):
        log_figures(config, str(stage), FIGURES)
    name = "image_generation/judge/pair_accuracy"
    assert tensorboard_curves(stage) == {
        name: [(0, 0.75)],
        f"{name}/low": [(0, 0.5)],
        f"{name}/high": [(0, 0.875)],
        "image_generation/judge/unparsed": [(0, 0.0)],
    }


def test_a_stage_that_measured_something_shows_it_and_is_done(tmp_path: Path) -> None:
    run = Run(build({"run": {"dir": str(tmp_path / "run")}, "tracking": {"to": ["tensorboard"]}}))
    stage = run.folder.stage("judge", "0123456789abcdef")
    manifest = execute(run, stage, lambda *_: {"figures": FIGURES})
    assert tensorboard_curves(stage.uri)["image_generation/judge/pair_accuracy"] == [(0, 0.75)]
    assert manifest["figures"] == FIGURES
    assert stage.done


def test_figures_that_cannot_be_told_stop_nothing(
    stage: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "nothing://here")
    log_figures(TrackingConfig(to=["mlflow"]), str(stage), FIGURES)
    assert "mlflow cannot be used" in capsys.readouterr().err


def test_nothing_is_written_where_nothing_is_tracked(stage: Path) -> None:
    log_figures(TrackingConfig(), str(stage), FIGURES)
    log_figures(TrackingConfig(to=["tensorboard"]), str(stage), {})
    assert not stage.exists()


def test_figures_without_a_value_have_no_name() -> None:
    assert dict(flat({"a": {"value": None, "ci95": (None, None)}, "b": True, "c": {"d": 2}})) == {"b": 1.0, "c/d": 2.0}


def test_where_curves_are_shown_names_no_stage_otherwise(tmp_path: Path, vlm_path: str) -> None:
    def digests(values: dict) -> dict[str, str]:
        base = {"run": {"dir": str(tmp_path / "run")}, "judge_base": {"path": vlm_path}}
        policies = {"image_generation": {"path": vlm_path}}
        return Run(Config.model_validate(base | {"policies": policies} | values)).digests

    assert digests({"tracking": {"to": KINDS, "project": "other"}}) == digests({})
