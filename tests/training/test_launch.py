"""How a training is handed to Ray Train."""

from pathlib import Path
from typing import Any

import pytest

from urm_ray.config import Config
from urm_ray.config_training import DpoConfig, RewardConfig
from urm_ray.run_folder import Stage
from urm_ray.training import launch


@pytest.fixture
def scaling(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """What Ray Train is asked for by a training with the given settings."""
    asked: dict[str, Any] = {}

    class Trainer:
        def __init__(self, loop: Any, **arguments: Any) -> None:
            asked.update(arguments)

        def fit(self) -> None:
            pass

    def of(**settings: Any) -> Any:
        config = RewardConfig(**settings)
        launch.launch(print, {}, config, Stage(str(tmp_path), "reward", "digest"), None)  # type: ignore[arg-type]
        return asked["scaling_config"]

    monkeypatch.setattr(launch, "ElasticTrainer", Trainer)
    return of


def test_a_training_runs_where_it_is_sent(scaling):
    sent = scaling(workers=8, num_cpus=12, use_gpu=True, accelerator_type="H100")
    assert sent.num_workers == 8
    assert sent.resources_per_worker == {"CPU": 12, "GPU": 1.0}
    assert sent.label_selector == {"ray.io/accelerator-type": "H100"}
    assert scaling(use_gpu=True).label_selector is None


@pytest.mark.parametrize(
    ("settings", "capabilities", "warned"),
    [
        ({"bf16": True}, {"avx2": True, "avx512_bf16": False}, True),
        ({"bf16": True}, {"avx512_bf16": True}, False),
        ({"bf16": True}, {"architecture": "aarch64", "bf16": True}, False),
        ({"bf16": True, "use_gpu": True}, {"avx2": True}, False),
        ({"bf16": False}, {"avx2": True}, False),
    ],
)
def test_bfloat16_is_warned_of_where_a_cpu_has_none(settings, capabilities, warned):
    said = launch.slow_precision(RewardConfig(**settings), capabilities)
    assert (said is not None) == warned
    assert said is None or "set bf16 to false" in said


def test_where_a_training_runs_changes_no_result():
    sent = {"reward": {"accelerator_type": "H100"}}
    assert Config(**sent).digest_of("reward") == Config().digest_of("reward")  # type: ignore[arg-type]
    policy = {"policies": {"image_generation": {"dpo": DpoConfig(accelerator_type="L40S")}}}
    alone = {"policies": {"image_generation": {"dpo": DpoConfig()}}}
    digests = [Config(**part).policy("image_generation").digest_of("dpo") for part in (policy, alone)]  # type: ignore[arg-type]
    assert digests[0] == digests[1]
