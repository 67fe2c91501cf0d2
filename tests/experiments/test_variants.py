from collections import Counter

import pytest
from experiments.fakes import TASK, TASKS, base_of

from urm_ray.config import Config
from urm_ray.config_file import ConfigError
from urm_ray.experiments import constructions, judges, orders, rounds
from urm_ray.experiments.variants import Variant, aligned, derived, subject
from urm_ray.pipeline.run import key

PLACES = dict[str, str]
"""Folders of a variant's steps by stage."""


@pytest.fixture
def base(tmp_path) -> Config:
    return base_of(tmp_path)


def places(variant: Variant) -> PLACES:
    return {key(*step): variant.run.stage(*step).uri for step in variant.steps()}


def test_a_derived_configuration_differs_in_what_was_named_and_in_nothing_else(base):
    changes = {"run.seed": 3, "pairs.keep": 5, f"policies.{TASK}.path": "/elsewhere"}
    new = derived(base, changes)
    assert (new.run.seed, new.pairs.keep, new.policy(TASK).path) == (3, 5, "/elsewhere")
    back = {"run.seed": 7, "pairs.keep": None, f"policies.{TASK}.path": base.policy(TASK).path}
    assert derived(new, back) == base
    assert derived(base, {}) == base


@pytest.mark.parametrize("changes", [{"run.sed": 1}, {"pairs.keep": 0}, {"policies.image_making.path": "x"}])
def test_a_change_that_does_not_fit_is_refused(base, changes):
    with pytest.raises(ConfigError):
        derived(base, changes)


def test_the_task_is_one_of_the_runs(tmp_path):
    assert subject(base_of(tmp_path)) == TASKS[0]
    assert subject(base_of(tmp_path, experiments={"task": TASKS[1]})) == TASKS[1]
    with pytest.raises(ConfigError, match="video_generation is none of the run's tasks"):
        subject(base_of(tmp_path, experiments={"task": "video_generation"}))


def test_joint_and_single_judges_share_their_preferences_and_differ_in_training(base):
    joint, *single = judges.variants(base)
    assert [v.name for v in single] == [f"single-{task}" for task in TASKS]
    assert list(places(joint)) == [*(f"prepare-{task}" for task in TASKS), "reward", "judge"]
    for task, variant in zip(TASKS, single, strict=True):
        assert list(places(variant)) == [f"prepare-{task}", "reward", "judge"]
        assert places(variant)[f"prepare-{task}"] == places(joint)[f"prepare-{task}"]
        assert variant.config.reward.steps == joint.config.reward.steps
    assert len({places(v)["reward"] for v in (joint, *single)}) == 3


def test_all_that_is_compared_differs_in_its_pairs_and_shares_what_comes_before(base):
    found = [places(v) for v in constructions.variants(base)]
    joint = next(judges.variants(base))
    assert len(found) == 2 * 4
    for one, seed in zip(found, [7] * 4 + [8] * 4, strict=True):
        assert f"dpo-{TASK}" in one
        assert f"dpo-{TASKS[1]}" not in one
        assert (one["reward"] == places(joint)["reward"]) == (seed == 7)
    for same in ("reward", f"generate-{TASK}", f"baseline-{TASK}"):
        assert len({one[same] for one in found}) == 2, same
    for own in (f"pairs-{TASK}", f"dpo-{TASK}", f"evaluate-{TASK}"):
        assert len({one[own] for one in found}) == 8, own


def test_orders_differ_in_how_verdicts_are_read_and_not_in_what_was_asked(base):
    found = {v.name: v for v in orders.variants(base)}
    one, both = found["seed7-pair_point-first-order"], found["seed7-pair_point"]
    assert places(one)[f"generate-{TASK}"] == places(both)[f"generate-{TASK}"]
    assert places(one)[f"dpo-{TASK}"] != places(both)[f"dpo-{TASK}"]
    every = found["seed7-pair_point-all-pairs"]
    assert (every.config.pairs.keep, both.config.pairs.keep) == (None, 30)
    assert f"dpo-{TASK}" not in places(every)


def test_both_orders_and_the_first_round_are_what_experiment_2_makes(base):
    wanted = places(aligned(base, 7))
    for experiment in (constructions, orders):
        assert wanted in [places(v) for v in experiment.variants(base)]
    assert places(next(rounds.variants(base))) == wanted


def test_the_second_round_waits_for_the_first(base):
    first, second = rounds.variants(base)
    assert second.config.policy(TASK).path == first.run.stage("dpo", TASK).path("model")
    assert not first.done()
    assert not second.done()
    assert second.config.pairs == first.config.pairs


def test_what_experiments_have_in_common_is_done_once(base):
    found: Counter[str] = Counter()
    seen = set()
    for experiment in (judges, constructions, orders, rounds):
        for variant in experiment.variants(base):
            if variant.name != rounds.SECOND:
                new = set(places(variant).values()) - seen
                found.update(uri.rpartition("/")[2].rpartition("-")[0] for uri in new)
                seen |= new
    assert found == {
        f"prepare-{TASKS[0]}": 2,
        f"prepare-{TASKS[1]}": 2,
        "reward": 4,  # joint for two seeds, two single
        "judge": 3,
        f"generate-{TASK}": 2,
        f"pairs-{TASK}": 8 + 2 + 4,
        f"dpo-{TASK}": 8 + 2,
        f"baseline-{TASK}": 2,
        f"evaluate-{TASK}": 8 + 2,
    }
