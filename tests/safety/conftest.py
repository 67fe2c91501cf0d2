import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from safety.web_server import Server


@pytest.fixture
def server() -> Iterator[Server]:
    with serving() as found:
        yield found


@pytest.fixture
def other_server() -> Iterator[Server]:
    """One that should not be asked."""
    with serving() as found:
        yield found


@contextmanager
def serving() -> Iterator[Server]:
    found = Server()
    threading.Thread(target=found.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    yield found
    found.stopped.set()
    found.shutdown()
    found.server_close()


@pytest.fixture
def ran(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """What exists once a trap was sprung. Whoever asks whether code may be run is told yes, and is not to ask."""
    monkeypatch.setattr("builtins.input", lambda *_: "y")
    monkeypatch.setenv("HF_MODULES_CACHE", str(tmp_path / "modules"))
    yield tmp_path / "ran"
    assert not (tmp_path / "ran").exists()
