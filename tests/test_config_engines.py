import pytest
from helpers import of_policy

from urm_ray.config_benchmarks import BenchmarkConfig
from urm_ray.config_file import ConfigError, build, build_as

SERVED = {"path": "lab/judge", "engine": "http", "http": {"base_url": "http://judges:8000/v1", "model": "judge"}}


def digest(**judge):
    return build({"judge": judge}).digest_of("judge")


@pytest.mark.parametrize(
    ("judge", "about"),
    [
        ({"engine": "http", "path": "lab/judge"}, "set judge.http.base_url"),
        (SERVED | {"path": ""}, "name it in judge.path"),
        (SERVED | {"http": SERVED["http"] | {"base_url": "judges:8000"}}, "http:// or https://"),
        (SERVED | {"http": SERVED["http"] | {"base_url": "https://me:secret@judges/v1"}}, "api_key_env"),
        (SERVED | {"http": SERVED["http"] | {"base_url": "https://judges/v1?key=secret"}}, "api_key_env"),
        (SERVED | {"http": SERVED["http"] | {"api_key": "secret"}}, "judge.http.api_key"),
        ({"vllm": {"engine": {"max_model_len": 9}}}, "judge.vllm.max_model_len"),
        ({"vllm": {"engine": {"trust_" + "remote_code": True}}}, "no code of a checkpoint"),
        ({"vllm": {"engine": {"load_format": "auto"}}}, "safetensors alone"),
        ({"engine": "sglang"}, "judge.engine"),
        ({"engine": "vllm", "actors": {"num_gpus": 0.5}}, "num_gpus of a judge's pool"),
        (
            {"engine": "vllm", "actors": {"num_gpus": 1}, "vllm": {"tensor_parallel_size": 2}},
            r"tensor_parallel_size \(2",
        ),
    ],
)
def test_an_engine_that_cannot_work_is_refused(judge, about):
    with pytest.raises(ConfigError, match=about) as caught:
        build({"judge": judge})
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("gpus", [0, 2])
def test_vllm_gets_a_whole_engines_gpus_or_none(gpus):
    pool = {"num_gpus": gpus}
    judge = {"engine": "vllm", "actors": pool, "vllm": {"tensor_parallel_size": 2}}
    assert build({"judge": judge} | of_policy(generate={"judge_pool": pool})).judge.engine == "vllm"
    with pytest.raises(ConfigError, match="num_gpus of a judge's pool"):
        build({"judge": judge} | of_policy(evaluate={"judge_pool": {"num_gpus": 1}}))


def test_a_server_is_put_to_benchmarks_as_one_judge():
    values = {"judges": {"a": "lab/a", "b": "lab/b"}, "benchmarks": {"mmrb2": "data"}}
    assert build_as(BenchmarkConfig, values | {"judge": {"engine": "vllm"}}).judges
    with pytest.raises(ConfigError, match="serves one of them"):
        build_as(BenchmarkConfig, values | {"judge": SERVED})


def test_where_and_how_patiently_a_server_is_asked_does_not_change_a_digest():
    same = digest(**SERVED)
    for change in (
        {"base_url": "https://other/v1"},
        {"api_key_env": "JUDGE_KEY"},
        {"concurrency": 3},
        {"timeout_s": 5, "retries": 0, "backoff_s": 9, "max_backoff_s": 10, "retry_statuses": [500]},
    ):
        assert digest(**SERVED | {"http": SERVED["http"] | change}) == same, change
    assert digest(**SERVED, batch=7, attention="eager", dtype="bfloat16") == same  # the server's own affair
    assert digest(**SERVED | {"http": SERVED["http"] | {"model": "another"}}) != same
    assert digest(**SERVED, min_mass=0.3) != same


def test_where_vllm_runs_does_not_change_a_digest_and_what_it_computes_does():
    same = digest(engine="vllm")
    for change in ({"tensor_parallel_size": 4}, {"gpu_memory_utilization": 0.5}, {"cache_gb": 1}, {"python": "/opt/v"}):
        assert digest(engine="vllm", vllm=change) == same, change
    for change in ({"max_model_len": 512}, {"max_num_seqs": 8}, {"engine": {"timeout_s": 1}}):
        assert digest(engine="vllm", vllm=change) != same, change
    assert digest(engine="vllm", dtype="bfloat16") != same


def test_settings_of_engines_not_in_use_do_not_change_a_digest():
    same = digest()
    assert digest(http={"model": "judge"}, vllm={"max_model_len": 512}, overlap=2) == same
    assert digest(engine="vllm") != same
    assert digest(batch=7) != same
