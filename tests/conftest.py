"""What every test relies on: no hub, no deadlines that a busy machine breaks, and the same examples in every run."""

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
os.environ.setdefault("OMP_NUM_THREADS", "1")  # tiny models gain nothing from threads, and lose much on a busy machine

settings.register_profile(
    "urm",
    deadline=None,
    derandomize=True,
    max_examples=80,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
settings.load_profile("urm")

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def vlm_path() -> str:
    """A tiny VLM in the real format: the one that is shipped, else one that was built on this machine."""
    for folder in (ROOT / "urm_ray/scenes/checkpoints/vlm", Path("/tmp/vlm_smoke")):
        if (folder / "config.json").is_file():
            return str(folder)
    pytest.skip("there is no tiny VLM yet: run urm_ray/scenes/build_vlm.py")
