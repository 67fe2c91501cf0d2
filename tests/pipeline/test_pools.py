import pytest

from urm_ray.config import JudgeConfig
from urm_ray.config_training import PoolConfig
from urm_ray.pipeline.pools import actor_pool, beside, judge_pool

SERVED = {"path": "lab/judge", "http": {"base_url": "http://judges:8000/v1", "model": "judge"}}


def test_a_pool_has_as_many_actors_as_it_may():
    fixed, growing = actor_pool(PoolConfig(actors=3)), actor_pool(PoolConfig(actors=2, max_actors=5))
    assert (fixed["compute"].min_size, fixed["compute"].max_size) == (3, 3)
    assert (growing["compute"].min_size, growing["compute"].max_size) == (2, 5)
    assert "num_gpus" not in fixed
    assert "label_selector" not in fixed


def test_a_pool_is_where_its_labels_are():
    placed = actor_pool(PoolConfig(accelerator_type="H100", labels={"group": "!judge"}))
    assert placed["label_selector"] == {"group": "!judge", "ray.io/accelerator-type": "H100"}


def test_tasks_beside_pools_take_no_cpu_and_are_as_many_as_the_pools_need():
    small = beside({"sampler_pool": PoolConfig(), "judge_pool": PoolConfig()})
    large = beside({"sampler_pool": PoolConfig(actors=8, max_actors=40), "judge_pool": PoolConfig(actors=24)})
    assert small["num_cpus"] == large["num_cpus"] == 0
    assert (small["compute"].size, large["compute"].size) == (4, 16)


def test_a_judge_in_transformers_is_asked_about_one_batch_at_a_time():
    pool = PoolConfig(actors=2, num_gpus=1, accelerator_type="H100")
    assert judge_pool(pool, JudgeConfig()) == actor_pool(pool)


@pytest.mark.parametrize("engine", ["vllm", "http"])
def test_an_engine_that_schedules_questions_itself_is_asked_about_several(engine):
    made = judge_pool(PoolConfig(num_gpus=1), JudgeConfig(engine=engine, overlap=5, **SERVED))
    assert made["compute"].max_concurrent_calls_per_actor == 5
    assert made["compute"].enable_true_multi_threading
    assert made["num_gpus"] == 1
    assert "runtime_env" not in made


def test_vllm_runs_with_the_interpreter_that_has_it():
    judge = JudgeConfig(engine="vllm", vllm={"python": "/opt/vllm/bin/python"})
    assert judge_pool(PoolConfig(), judge)["runtime_env"] == {"py_executable": "/opt/vllm/bin/python"}
