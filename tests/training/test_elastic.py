from types import SimpleNamespace

import pytest
import ray.train
from ray.train import DataConfig, FailureConfig, RunConfig, ScalingConfig
from ray.train.torch import TorchTrainer
from ray.train.v2._internal.execution.failure_handling import FailureDecision
from ray.train.v2.api.exceptions import WorkerGroupError

from urm_ray.config_training import TrainConfig
from urm_ray.training import elastic
from urm_ray.training.elastic import (
    ElasticTrainer,
    EvenlyCarried,
    Shares,
    batches_of_worker,
    most_workers,
    of_other_workers,
)
from urm_ray.training.guards import TrainingError
from urm_ray.training.stream import DealtBatches, ShardBatches


@pytest.mark.parametrize(("possible", "most"), [(0, 0), (1, 1), (2, 2), (3, 3), (4, 4), (5, 4), (7, 6), (20, 12)])
def test_there_are_as_many_workers_as_divide_the_shares_evenly(possible, most):
    assert most_workers(possible, 12) == most


@pytest.mark.parametrize(("cpus", "workers"), [(4.0, 4), (3.0, 2), (1.0, 1)])
def test_the_number_that_ray_would_take_is_lowered_to_one_that_carries_all(cpus, workers):
    policy = EvenlyCarried(ScalingConfig(num_workers=(1, 4), resources_per_worker={"CPU": 1}))
    assert policy._count_possible_workers({"node": {"CPU": cpus}}) == workers


@pytest.mark.parametrize(("world", "dealt"), [(4, [[0], [1], [2], [3]]), (2, [[0, 1], [2, 3]]), (1, [[0, 1, 2, 3]])])
def test_shares_are_the_same_whatever_the_number_of_workers(monkeypatch, world, dealt):
    def split(self, datasets, world_size, *args, worker_node_ids, **kwargs):
        assert worker_node_ids is None
        return [{"train": SimpleNamespace(share=n)} for n in range(world_size)]

    monkeypatch.setattr(DataConfig, "configure", split)
    workers = Shares(4).configure({"train": None}, world, worker_handles=None, worker_node_ids=["n"] * world)
    got = [worker["train"] for worker in workers]
    assert [[one.share for one in (first, *first.further)] for first in got] == dealt


@pytest.mark.parametrize(("further", "kind"), [([], ShardBatches), (["b"], DealtBatches)])
def test_a_worker_goes_on_after_the_steps_that_were_done(monkeypatch, further, kind):
    monkeypatch.setattr(ray.train, "get_dataset_shard", lambda name: SimpleNamespace(further=further))
    config = TrainConfig(workers=2, min_workers=1, steps=100, accumulate=3)
    batches = batches_of_worker(config, lambda rows: {}, done=7, seed=1, window=10)
    assert type(batches) is kind
    assert batches.start == 21
    assert len(batches) == 300 * (1 + len(further))


@pytest.mark.parametrize(
    ("files", "world", "others"),
    [
        (["zero_pp_rank_0_mp_rank_00_optim_states.pt", "zero_pp_rank_1_mp_rank_00_optim_states.pt"], 2, False),
        (["zero_pp_rank_0_mp_rank_00_optim_states.pt", "zero_pp_rank_1_mp_rank_00_optim_states.pt"], 1, True),
        (["bf16_zero_pp_rank_0_mp_rank_00_optim_states.pt"], 2, True),
        (["mp_rank_00_model_states.pt"], 2, False),
    ],
)
def test_state_in_the_shares_of_other_workers_is_told_by_its_files(tmp_path, monkeypatch, files, world, others):
    monkeypatch.setattr(elastic.ray.train, "get_context", lambda: SimpleNamespace(get_world_size=lambda: world))
    (tmp_path / "global_step4").mkdir()
    for name in files:
        (tmp_path / "global_step4" / name).touch()
    assert of_other_workers(tmp_path) is others


@pytest.mark.parametrize(
    ("errors", "decision"),
    [
        ([OSError("the node is gone")], FailureDecision.RETRY),
        ([TrainingError("no free space")], FailureDecision.RAISE),
        ([OSError("the other has gone"), TrainingError("no free space")], FailureDecision.RAISE),
    ],
)
def test_workers_that_a_guard_has_stopped_are_not_started_again(monkeypatch, errors, decision):
    asked = {}

    def run(self, **arguments):
        asked.update(arguments)

    monkeypatch.setattr(TorchTrainer, "_initialize_and_run_controller", run)
    trainer = ElasticTrainer(print, run_config=RunConfig(failure_config=FailureConfig(max_failures=3)))
    trainer._initialize_and_run_controller(failure_policy=None)
    failed = WorkerGroupError("failed", dict(enumerate(errors)))
    assert asked["failure_policy"].make_decision(failed) is decision
