import pytest
from deepspeed.runtime.zero.stage3 import estimate_zero3_model_states_mem_needs
from deepspeed.runtime.zero.stage_1_and_2 import estimate_zero2_model_states_mem_needs

from urm_ray.config_training import TrainConfig
from urm_ray.planning.states import states
from urm_ray.training.zero import zero_config

P = 3_000_000_000


def of(stage: int, workers: int, trained: int = P, frozen: int = 0, **more):
    return states(trained, frozen, TrainConfig(zero_stage=stage, workers=workers, **{"bf16": True, **more}))


@pytest.mark.parametrize("workers", [1, 8, 64])
def test_zero_2_is_what_deepspeed_reckons_and_a_copy_of_gradients(workers):
    """DeepSpeed's own estimate: 2 bytes for weights, whole, and 18 for each worker's share: master weights, moments,
    gradients in half precision and in float32. When it steps it joins the former into one tensor, too: 2 more."""
    theirs = estimate_zero2_model_states_mem_needs(P, workers, 1, cpu_offload=False)[1]
    ours = of(2, workers, accumulate=2)
    assert ours.always + ours.step - 2 * P / workers == pytest.approx(theirs, rel=1e-6)
    assert ours.kept == 2 * P / workers


@pytest.mark.parametrize("workers", [2, 8, 64])
def test_zero_3_is_what_deepspeed_reckons_but_for_what_is_gathered_and_buffers(workers):
    """DeepSpeed's own estimate: 18 bytes for each worker's share, and 4 for each parameter of the largest layer. The
    gradients in half precision that it keeps are 2 more, joined 2 again, its bucket has a fixed size, and of what is
    gathered it releases nothing before a billion parameters are."""
    layer = 100_000_000
    theirs = estimate_zero3_model_states_mem_needs(P, layer, workers, 1, cpu_offload=False, cpu_offload_params=False)[1]
    ours = of(3, workers)
    bucket = 2 * zero_config(TrainConfig(zero_stage=3))["zero_optimization"]["reduce_bucket_size"]
    one_group = min(P / workers, 1_000_000_000)
    assert ours.always - bucket + 4 * P / workers == pytest.approx(theirs - 4 * layer, rel=1e-6)
    assert ours.step == pytest.approx(2 * P / workers + (2 + 4) * one_group)
    assert (ours.kept, ours.buffers) == (2 * P / workers, 2 * 1_000_000_000)


def test_sharding_more_never_takes_more_for_good():
    for workers in (2, 8):
        always = [of(stage, workers).always for stage in (0, 1, 2, 3)]
        assert always[0] > always[1] == always[2] > always[3]
        kept = [of(stage, workers, accumulate=4).kept for stage in (0, 1, 2, 3)]
        assert kept[0] == kept[1] == 2 * P
        assert kept[2] == kept[3] == 2 * P / workers
    assert of(2, 16).always < of(2, 8).always


def test_without_bf16_there_are_master_weights_under_zero_alone():
    whole, sharded = of(0, 1, bf16=False), of(1, 1, bf16=False)
    assert (whole.weights, whole.optimizer) == (4 * P, 8 * P)
    assert (sharded.weights, sharded.optimizer) == (4 * P, 12 * P)
    assert of(0, 1).optimizer == 12 * P


def test_frozen_parameters_have_weights_and_nothing_else():
    for stage in (0, 1, 2):
        some, all_ = of(stage, 4, P // 10, P - P // 10), of(stage, 4)
        assert some.weights == all_.weights
        assert some.optimizer == pytest.approx(all_.optimizer / 10)
    assert of(3, 4, 0, P).weights == 2 * P / 4


def test_one_micro_batch_a_step_keeps_no_gradients_beforehand():
    assert of(1, 2).kept == of(2, 2).kept == 0
    assert (of(1, 2).growing, of(2, 2).growing) == (2, 1)
    assert of(1, 2, accumulate=2).growing == 0
