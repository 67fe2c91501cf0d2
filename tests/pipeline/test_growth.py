"""A pool that may grow starts actors that wait for nodes, where there is no room for them."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from urm_ray.pipeline import growth
from urm_ray.pipeline.growth import Growth


class Pool:
    """One of Ray Data."""

    def __init__(self, size: int, most: int) -> None:
        self.running, self.pending, self.most, self.calls_of_each = size, 0, most, 2.0

    def current_size(self) -> int:
        return self.running + self.pending

    def max_size(self) -> int:
        return self.most

    def get_pool_util(self) -> float:
        return self.calls_of_each * self.running / self.current_size()

    def num_pending_actors(self) -> int:
        return self.pending

    def scale(self, request: Any) -> None:
        assert request.delta > 0
        self.pending += request.delta

    def nodes_come(self, count: int) -> None:
        self.running, self.pending = self.running + count, self.pending - count


class Operator:
    _inputs_complete = True

    def __init__(self, pool: Pool) -> None:
        self.pools, self.left = [pool], 9

    def get_autoscaling_actor_pools(self) -> list[Pool]:
        return self.pools

    def has_completed(self) -> bool:
        return False

    def total_enqueued_input_blocks(self) -> int:
        return self.left


class Execution:
    """One of a single operator, and its clock."""

    def __init__(self, pool: Pool, patched: pytest.MonkeyPatch) -> None:
        self.now, self.operator, self.growth = 100.0, Operator(pool), Growth()
        self._data_context = SimpleNamespace(
            autoscaling_config=SimpleNamespace(actor_pool_util_upscaling_threshold=1.75)
        )
        self._topology = {self.operator: self.operator}
        patched.setattr(growth.time, "monotonic", lambda: self.now)

    def goes_on(self, seconds: int) -> None:
        for _ in range(seconds):
            self.now += 1.0
            self.growth.on_execution_step(self)


def test_a_pool_that_is_crowded_and_does_not_grow_is_doubled(monkeypatch: pytest.MonkeyPatch) -> None:
    pool = Pool(size=2, most=16)
    execution = Execution(pool, monkeypatch)
    execution.goes_on(4)
    assert pool.pending == 0  # Ray Data may yet find room
    execution.goes_on(60)
    assert pool.pending == 2
    pool.nodes_come(1)
    execution.goes_on(60)
    assert (pool.running, pool.pending) == (3, 1)  # the other one's node is still to come
    pool.nodes_come(1)
    execution.goes_on(10)
    assert (pool.running, pool.pending) == (4, 4)


def test_it_has_no_more_actors_than_it_may(monkeypatch: pytest.MonkeyPatch) -> None:
    pool = Pool(size=6, most=8)
    execution = Execution(pool, monkeypatch)
    execution.goes_on(20)
    assert pool.pending == 2
    pool.nodes_come(2)
    execution.goes_on(20)
    assert pool.current_size() == 8


def test_crowds_that_pass_do_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    pool = Pool(size=1, most=8)
    execution = Execution(pool, monkeypatch)
    for _ in range(5):
        pool.calls_of_each = 2.0
        execution.goes_on(4)
        pool.calls_of_each = 1.0
        execution.goes_on(2)
    assert pool.pending == 0


def test_a_pool_does_not_grow_for_what_its_actors_have_already(monkeypatch: pytest.MonkeyPatch) -> None:
    pool = Pool(size=1, most=8)
    execution = Execution(pool, monkeypatch)
    execution.operator.left = 0
    execution.goes_on(60)
    assert pool.pending == 0
