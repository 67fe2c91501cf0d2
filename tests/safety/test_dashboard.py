"""Ray as a run starts it is closed to other machines, unless its settings say otherwise."""

import os
from typing import Any

import pytest
import ray

from urm_ray.config_file import build
from urm_ray.pipeline import context
from urm_ray.pipeline.run import Run
from urm_ray.pipeline.stages import run_steps


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What Ray is started with, in place of a start."""
    found: list[dict[str, Any]] = []
    monkeypatch.setattr(context, "_listens", dict(context._listens))
    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    monkeypatch.setattr(ray, "init", lambda **options: found.append(options))
    return found


def test_the_dashboard_listens_on_this_machine_alone(started):
    context.connect()
    assert started[0]["dashboard_host"] == "127.0.0.1"
    assert "address" not in started[0]


@pytest.mark.parametrize(("settings", "host"), [({}, "127.0.0.1"), ({"dashboard_host": "0.0.0.0"}, "0.0.0.0")])
def test_it_listens_elsewhere_where_the_run_says_so(started, tmp_path, settings, host):
    run_steps(Run(build({"run": {"dir": str(tmp_path)} | settings})), [])
    context.connect()
    assert started[0]["dashboard_host"] == host


def test_nothing_turns_rays_tokens_off(started, monkeypatch):
    """Ray asks for a token on what it starts here unless the environment says otherwise."""
    monkeypatch.delenv("RAY_AUTH_MODE", raising=False)
    context.connect()
    assert "RAY_AUTH_MODE" not in os.environ
    assert not [name for name in started[0]["runtime_env"]["env_vars"] if "AUTH" in name or "DASHBOARD" in name]
    assert not {"_system_config", "_redis_password", "_node_ip_address"} & set(started[0])
