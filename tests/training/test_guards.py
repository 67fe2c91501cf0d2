import errno
import math

import pytest
import torch
from helpers import small_disk
from hypothesis import given
from hypothesis import strategies as st
from ray.exceptions import RayTaskError

from urm_ray import store
from urm_ray.training.guards import (
    CollapseGuard,
    TrainingError,
    forget_stop,
    need_finite,
    need_reference_start,
    room,
    until_stopped,
)


@pytest.mark.parametrize("loss", [math.nan, math.inf, -math.inf])
def test_a_loss_that_is_not_a_number_stops_at_once_and_names_its_pairs(loss):
    with pytest.raises(TrainingError, match=r"micro-batch 7 is -?(nan|inf); its pairs are a, b: .*lower lr"):
        need_finite(loss, 7, ["a", "b"])
    need_finite(1e30, 7, ["a", "b"])


def test_a_first_loss_that_is_not_ln_2_is_refused():
    need_reference_start(math.log(2) + 9e-4, 1e-3)
    for loss in (math.log(2) + 2e-3, math.log(2) - 2e-3):
        with pytest.raises(TrainingError, match="not ln 2: the reference is not the policy"):
            need_reference_start(loss, 1e-3)


WORSE = st.sampled_from([-0.2, 0.4, 0.6, 3.0])


@given(st.lists(st.tuples(WORSE, WORSE), max_size=12), st.integers(0, 4))
def test_only_both_sides_together_and_for_long_enough_are_a_collapse(logs, patience):
    guard = CollapseGuard(0.5, patience, ("errors", "above"))
    both = "".join("x" if chosen > 0.5 and rejected > 0.5 else "." for chosen, rejected in logs)
    for step, sides in enumerate(logs):
        if patience and both[: step + 1].endswith("x" * patience):
            with pytest.raises(TrainingError):
                guard.check(*sides, step)
            return
        guard.check(*sides, step)


def test_a_collapse_is_told_with_what_to_do():
    guard = CollapseGuard(0.25, 2, ("denoising errors of winners and losers", "above"))
    guard.check(0.3, 0.3, 10)
    said = "at step 20 the denoising errors of winners and losers have both been more than 25% above .* for 2 logs"
    with pytest.raises(TrainingError, match=said + ".*lower lr, raise beta or take fewer steps"):
        guard.check(0.3, 0.3, 20)


def test_a_training_that_a_guard_has_stopped_is_not_tried_again_by_itself(tmp_path):
    calls = []

    def loop(settings):
        calls.append(settings)
        if len(calls) == 1:
            raise TrainingError("the loss is not a number: lower lr")

    settings = {"stage": str(tmp_path)}
    for _ in range(3):
        with pytest.raises(TrainingError, match="the loss is not a number: lower lr"):
            until_stopped(loop)(settings)
    assert calls == [settings]
    forget_stop(str(tmp_path))  # the same command again, by a person
    until_stopped(loop)(settings)
    assert calls == [settings] * 2


def test_a_worker_that_died_of_something_else_is_tried_again(tmp_path):
    calls = []

    def loop(settings):
        calls.append(settings)
        raise OSError("the node is gone")

    for _ in range(2):
        with pytest.raises(OSError, match="the node is gone"):
            until_stopped(loop)({"stage": str(tmp_path)})
    assert len(calls) == 2


def test_a_training_that_cannot_say_why_it_stopped_ends_with_its_own_error(tmp_path):
    (tmp_path / "stopped").write_text("in the way")

    def loop(settings):
        raise TrainingError("no free space")

    with pytest.raises(TrainingError, match="no free space"):
        until_stopped(loop)({"stage": str(tmp_path)})


def test_a_checkpoint_that_will_not_fit_is_told_with_its_size_before_it_is_written(tmp_path):
    with room(str(tmp_path), 1), room(str(tmp_path / "not" / "there"), 1):
        pass
    said = rf"no free space for a checkpoint in {tmp_path}/stage: \d+\.\d MiB are left, {1 << 40}\.0 MiB are needed for"
    with pytest.raises(TrainingError, match=said + " this checkpoint alone"), room(f"{tmp_path}/stage", 1 << 60):
        pytest.fail("it was begun")


def test_a_disk_that_fills_while_torch_saves_ends_the_training(tmp_path):
    with small_disk(tmp_path / "disk", 1) as folder:
        said = rf"no free space for a checkpoint in {folder}: \d\.\d MiB are left; make room"
        with pytest.raises(TrainingError, match=said), room(str(folder)):
            torch.save({"weights": torch.ones(1 << 20)}, folder / "optimizer.pt")


def test_a_file_of_the_run_that_does_not_fit_ends_the_training_in_its_own_words(tmp_path):
    said = r"no free space in .*/history\.json: .* MiB are left, .* MiB are needed for this file alone"
    with small_disk(tmp_path / "disk", 1) as folder, pytest.raises(TrainingError, match=said), room(str(tmp_path)):
        store.write_json(f"{folder}/history.json", "x" * (2 << 20))


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, "full"),
        RuntimeError("[enforce fail at inline_container.cc:671] . unexpected pos 640 vs 598"),
        RuntimeError("PytorchStreamWriter failed writing file data/0: file write failed"),
    ],
)
def test_what_tells_of_a_full_disk_ends_the_training_and_nothing_else_does(tmp_path, error):
    with pytest.raises(TrainingError, match="no free space for a model in"), room(str(tmp_path), what="model"):
        raise error
    with pytest.raises(RuntimeError, match="the node is gone"), room(str(tmp_path)):
        raise RuntimeError("the node is gone")
    with pytest.raises(TrainingError, match="not a number"), room(str(tmp_path)):
        raise TrainingError("not a number")
    elsewhere = RayTaskError("encode", "No space left on device", error).as_instanceof_cause()
    with pytest.raises(RayTaskError), room(str(tmp_path)):
        raise elsewhere
