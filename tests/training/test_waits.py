import time

import pytest
import torch

from urm_ray.training.waits import TimedBatches


class Ranks:
    """Stands for an accelerator of several ranks; the others have waited for these shares of their time."""

    device = "cpu"

    def __init__(self, *others: float) -> None:
        self.others = others

    def gather(self, own: torch.Tensor) -> torch.Tensor:
        return torch.cat([own, torch.tensor(self.others)])


def slow(*seconds: float):
    for number, one in enumerate(seconds):
        time.sleep(one)
        yield number


class Slow(list):
    def __iter__(self):
        return slow(*list.__iter__(self))


def run(batches: TimedBatches, step: float) -> None:
    for _ in batches:
        time.sleep(step)


def test_the_share_is_that_of_the_time_until_a_batch_is_there():
    batches = TimedBatches(Slow([0.1] * 3))
    run(batches, 0.05)
    assert batches.share(Ranks()) == pytest.approx(2 / 3, abs=0.1)


def test_each_call_begins_anew():
    batches = TimedBatches(Slow([0.0, 0.0, 0.3]))
    made = iter(batches)
    next(made)
    time.sleep(0.1)
    assert batches.share(Ranks()) < 0.1
    next(made)
    next(made)
    assert batches.share(Ranks()) > 0.9


def test_the_rank_that_waited_longest_counts():
    batches = TimedBatches([1, 2])
    run(batches, 0.02)
    assert batches.share(Ranks(0.2, 0.7)) == pytest.approx(0.7)


def test_batches_and_their_number_are_untouched():
    batches = TimedBatches([3, 1, 2])
    assert len(batches) == 3
    assert list(batches) == [3, 1, 2]
    assert TimedBatches([]).share(Ranks()) == 0
