from types import SimpleNamespace

import pyarrow as pa
import pytest

from urm_ray import store
from urm_ray.config_training import BudgetConfig, PoolConfig
from urm_ray.pipeline import balance
from urm_ray.pipeline.balance import Notes, Pools, seconds_a_row
from urm_ray.run_folder import Stage

UNITS = [{"unit": n, "rows": 8} for n in range(60)]
TWO = {"sampler_pool": PoolConfig(), "judge_pool": PoolConfig()}


def pools_of(stage: Stage, pools=TWO, **budget) -> Pools:
    return Pools(stage, pools, BudgetConfig(**budget))


@pytest.fixture
def stage(tmp_path) -> Stage:
    return Stage(str(tmp_path), "generate", "0" * 32)


@pytest.fixture
def notes(monkeypatch) -> Notes:
    """In this process, as actors call it."""
    kept = Notes()
    called = SimpleNamespace(note=SimpleNamespace(remote=kept.note), all=SimpleNamespace(remote=lambda: kept.calls))
    monkeypatch.setattr(balance, "_notes", lambda: called)
    monkeypatch.setattr(balance.ray, "get", lambda calls: calls)
    return kept


@pytest.mark.parametrize(
    ("seconds", "total", "sizes"),
    [
        ((1, 1), 8, (4, 4)),
        ((3, 1), 8, (6, 2)),
        ((1, 7), 8, (1, 7)),
        ((1, 100), 8, (1, 7)),
        ((2, 1), 4, (3, 1)),
        ((5, 3), 3, (2, 1)),
        ((1, 2), 2, (1, 1)),
    ],
)
def test_each_pool_gets_what_keeps_the_others_from_waiting(seconds, total, sizes):
    assert BudgetConfig(actors=total).split(dict(zip(TWO, seconds, strict=True)), TWO) == dict(
        zip(TWO, sizes, strict=True)
    )


def test_no_other_split_is_faster():
    budget = BudgetConfig(gpus=9)
    pools = {"sampler_pool": PoolConfig(num_gpus=1), "judge_pool": PoolConfig(num_gpus=2)}
    for seconds in ((1.0, 1.0), (4.0, 1.0), (1.0, 5.0), (0.3, 0.7), (2.0, 3.0)):
        took = dict(zip(pools, seconds, strict=True))
        sizes = budget.split(took, pools)
        rates = {
            (a, b): min(a / seconds[0], b / seconds[1])
            for a in range(1, 10)
            for b in range(1, 5)
            if a + 2 * b <= budget.total
        }
        assert rates[sizes["sampler_pool"], sizes["judge_pool"]] == pytest.approx(max(rates.values()))


def test_sizes_stay_within_what_a_pool_allows():
    pools = {"sampler_pool": PoolConfig(actors=2), "judge_pool": PoolConfig(max_actors=3)}
    seconds = {"sampler_pool": 1.0, "judge_pool": 50.0}
    assert BudgetConfig(actors=12).split(seconds, pools) == {"sampler_pool": 2, "judge_pool": 3}


def test_nothing_is_spent_that_speeds_nothing_up():
    pools = {"sampler_pool": PoolConfig(num_gpus=1), "judge_pool": PoolConfig(num_gpus=4)}
    assert BudgetConfig(gpus=7).split({"sampler_pool": 1.0, "judge_pool": 9.0}, pools) == dict.fromkeys(pools, 1)


def test_the_first_call_of_an_actor_and_time_between_calls_do_not_count():
    calls = [
        ("judge_pool", "a", 0.0, 90.0, 8),
        ("judge_pool", "a", 100.0, 104.0, 8),
        ("judge_pool", "a", 200.0, 204.0, 8),
    ]
    assert seconds_a_row(calls) == {"judge_pool": 0.5}
    assert seconds_a_row([*calls, ("judge_pool", "b", 0.0, 16.0, 16)]) == {"judge_pool": 0.75}


def test_calls_at_the_same_time_count_once():
    calls = [("judge_pool", "a", float(start), start + 4.0, 2) for start in (0, 1, 2, 3)]
    assert seconds_a_row(calls) == {"judge_pool": 1.0}


def test_a_pool_of_which_nothing_came_has_no_rate():
    assert seconds_a_row([("sampler_pool", "a", 0.0, 1.0, 0)]) == {}


def worked(pools: Pools, notes: Notes, **seconds: float) -> list[tuple[int, dict[str, int]]]:
    """Units of each round and the sizes of the pools in it; actors take so many seconds for a row."""
    rounds = []
    for part in pools.rounds(UNITS):
        rounds.append((len(part), {name: pool.actors for name, pool in pools.items()}))
        if pools._notes:
            for name, each in seconds.items():
                for number in range(3):
                    notes.note((name, "actor", 100.0 * number, 100.0 * number + 8 * each, 8))
    return rounds


def test_pools_are_measured_at_the_first_units_and_then_balanced(stage, notes, capsys):
    pools = pools_of(stage, actors=8)
    assert worked(pools, notes, sampler_pool=3.0, judge_pool=1.0) == [
        (12, {"sampler_pool": 4, "judge_pool": 4}),
        (48, {"sampler_pool": 6, "judge_pool": 2}),
    ]
    assert pools.facts() == {
        "pools": {
            "sampler_pool": {"actors": 6, "seconds_a_row": 3.0},
            "judge_pool": {"actors": 2, "seconds_a_row": 1.0},
        }
    }
    assert capsys.readouterr().out == (
        "[generate] measured, in seconds of an actor for a row: sampler_pool 3, judge_pool 1\n"
        "[generate] pools that share 8 actors, in actors: sampler_pool 6, judge_pool 2\n"
    )


def test_what_was_measured_is_not_measured_again_unless_actors_are_others(stage, notes):
    worked(pools_of(stage, actors=8), notes, sampler_pool=3.0, judge_pool=1.0)
    assert worked(pools_of(stage, actors=8), notes) == [(60, {"sampler_pool": 6, "judge_pool": 2})]
    assert pools_of(stage, actors=8).facts()["pools"]["judge_pool"] == {"actors": 2, "seconds_a_row": 1.0}
    assert worked(pools_of(stage, actors=4), notes) == [(60, {"sampler_pool": 3, "judge_pool": 1})]
    others = TWO | {"judge_pool": PoolConfig(accelerator_type="H100")}
    assert len(worked(pools_of(stage, others, actors=8), notes, sampler_pool=1.0, judge_pool=1.0)) == 2


def test_few_units_are_not_measured(stage, notes, capsys):
    assert worked(pools_of(stage, actors=40), notes) == [(60, {"sampler_pool": 20, "judge_pool": 20})]
    assert "too few units" in capsys.readouterr().out
    assert not store.exists(stage.path("rates.json"))


def test_a_pool_that_is_alone_gets_all_without_a_measure(stage, notes):
    judge = {"sampler_pool": PoolConfig(actors=3), "judge_pool": PoolConfig(num_gpus=1)}
    pools = pools_of(stage, judge, gpus=4)
    assert worked(pools, notes) == [(60, {"sampler_pool": 3, "judge_pool": 4})]
    assert pools.facts() == {"pools": {"judge_pool": {"actors": 4}}}


def test_without_a_budget_pools_are_as_they_are_configured(stage):
    pools = Pools(stage, {"judge_pool": PoolConfig(actors=2, max_actors=5)}, None)
    assert list(pools.rounds(UNITS)) == [UNITS]
    assert pools["judge_pool"] == PoolConfig(actors=2, max_actors=5)
    assert pools.timed("judge_pool", str) is str
    assert pools.facts() == {}


def test_actors_note_their_calls_while_they_are_measured(stage, notes):
    class Double:
        def __call__(self, batch: pa.Table) -> pa.Table:
            return pa.concat_tables([batch, batch])

    pools = pools_of(stage, actors=8)
    for _ in pools.rounds(UNITS):
        made = pools.timed("judge_pool", Double)()(pa.table({"row": [1, 2]}))
        assert len(made) == 4
        assert pools.timed("judge_pool", Double).__name__ == "Double"
    (call,) = notes.calls
    assert (call[0], call[4]) == ("judge_pool", 4)
    assert call[2] <= call[3]
