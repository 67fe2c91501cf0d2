from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from urm_ray.pipeline.context import connect


@pytest.fixture(scope="module")
def ray_here() -> Iterator[None]:
    """Ray on this machine, whose workers import what dies."""
    import ray

    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("PYTHONPATH", str(Path(__file__).resolve().parents[1]))
        connect()
        yield
        ray.shutdown()
