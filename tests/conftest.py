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
    max_examples=50,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
settings.load_profile("urm")

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def vlm_path() -> str:
    """The tiny VLM that the package ships."""
    return str(ROOT / "urm_ray/scenes/checkpoints/vlm")


@pytest.fixture(scope="session")
def image_policy() -> str:
    """The tiny text-to-image pipeline that the package ships."""
    return str(ROOT / "urm_ray/scenes/checkpoints/text_to_image")


@pytest.fixture(scope="session")
def video_policy(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A text-to-video pipeline with random weights."""
    from policies import save_toy_video

    folder = str(tmp_path_factory.mktemp("video") / "policy")
    save_toy_video(folder)
    return folder


@pytest.fixture
def plain_clips(monkeypatch: pytest.MonkeyPatch) -> None:
    """Clips are kept without a codec, so that their pixels are known exactly."""
    from policies import use_plain_clips

    use_plain_clips(monkeypatch)
