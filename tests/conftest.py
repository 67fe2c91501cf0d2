"""What every test relies on: no hub, no deadlines that a busy machine breaks, and the same examples in every run."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

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


@pytest.fixture(scope="session")
def smoke_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a smoke run that nothing happened to; it is read, and copied to be changed."""
    from local.smoke import job

    folder = tmp_path_factory.mktemp("smoke") / "run"
    done = job("pipeline", folder)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return folder


@pytest.fixture(scope="session")
def object_store() -> Iterator[Any]:
    """A server of S3 on loopback, `object_server.ObjectServer`."""
    from object_server import object_server

    with object_server() as server:
        yield server


@pytest.fixture
def objects(object_store: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Any]:
    """The same, as it is at first: its bucket is empty, nothing fails, and its keys are in the environment."""
    from object_server import KEYS

    for name, value in {**KEYS, "URM_RAY_CACHE": str(tmp_path / "cache")}.items():
        monkeypatch.setenv(name, value)
    object_store.empty()
    yield object_store
    object_store.fault = lambda method, path: None
