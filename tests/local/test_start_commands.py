"""The commands that launchers start Ray with, on this machine: taken by `ray start`, and growing and shrinking as told.

Ports and the place of files are others here, nodes are processes of this machine in place of instances, and their GPUs
are pretended; the commands, resources, labels and limits are those of `cluster/aws.yaml`.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from cluster.files import read
from local.nodes import environment
from ray._private.services import get_node_ip_address
from ray.autoscaler._private.fake_multi_node.node_provider import FAKE_HEAD_NODE_ID

pytestmark = [pytest.mark.local, pytest.mark.long]

PORT = 6541
TESTS = Path(__file__).resolve().parents[1]
ASK = """
import ray, time
ray.init(address="{address}", log_to_driver=False)

def alive():
    return sorted((n["Labels"].get("ray.io/accelerator-type", "none"), n["Resources"].get("CPU", 0.0))
                  for n in ray.nodes() if n["Alive"])

def work():
    return ray.get_runtime_context().get_node_labels()["ray.io/market-type"]

print("before", alive())
sent = ray.remote(num_gpus=1, label_selector={{"ray.io/accelerator-type": "L4"}})(work).remote()
print("ran on", ray.get(sent, timeout=90))
print("after", alive())
end = time.monotonic() + 60
while any(kind == "L4" for kind, _ in alive()) and time.monotonic() < end:
    time.sleep(0.5)
print("idle", alive())
"""


def commands(role: str) -> list[str]:
    """What a launcher's file starts Ray with on a node, the same in every cloud, but for ending what ran before."""
    found: list[str] = read("aws.yaml")[f"{role}_start_ray_commands"]
    assert found == read("gcp.yaml")[f"{role}_start_ray_commands"]
    assert found[0] == "ray stop"
    return found[1:]


def pretended(address: str) -> dict[str, Any]:
    """`cluster/aws.yaml` with nodes that are processes of this machine, and end after six idle seconds."""
    config = read("aws.yaml")
    nodes = config["available_node_types"]
    config["available_node_types"] = {
        {"head": "ray.head.default"}.get(name, name): {**node, "node_config": {}} for name, node in nodes.items()
    }
    for node in config["available_node_types"].values():
        node.pop("docker", None)
    provider = {
        "type": "external",
        "module": "local.pretended_nodes.PretendedNodes",
        "gcs_address": address,
        "head_node_id": FAKE_HEAD_NODE_ID,
        "launch_multiple": True,
    }
    changed = {"head_node_type": "ray.head.default", "docker": {}, "file_mounts": {}, "cluster_synced_files": []}
    return {**config, **changed, "provider": provider, "idle_timeout_minutes": 0.1}


@pytest.fixture
def address(tmp_path: Path) -> Iterator[tuple[str, dict[str, str]]]:
    """A head and a worker of the group `cpu`, started as the launcher does; gives their address and environment."""
    env, ip = environment(tmp_path), get_node_ip_address()
    rays = tempfile.mkdtemp(prefix="r")  # names of sockets may not be long
    config = tmp_path / "ray_bootstrap_config.yaml"
    config.write_text(json.dumps(pretended(f"{ip}:{PORT}")))
    own = {
        "--port=6379": f"--port={PORT} --dashboard-port={PORT + 1} --temp-dir={rays}",
        "~/ray_bootstrap_config.yaml": str(config),
        "$RAY_HEAD_IP:6379": f"$RAY_HEAD_IP:{PORT}",
    }
    started = []
    try:
        for number, role in enumerate(("head", "worker")):
            node = read("aws.yaml")["available_node_types"][{"head": "head", "worker": "cpu"}[role]]
            (command,) = commands(role)
            for theirs, here in {**own, "=8076": f"={PORT + 2 + number}"}.items():
                command = command.replace(theirs, here)
            command += f" --block --dashboard-agent-listen-port={PORT + 4 + number}"
            told = {
                "RAY_HEAD_IP": ip,
                "RAY_OVERRIDE_RESOURCES": json.dumps(node["resources"]),
                "RAY_OVERRIDE_LABELS": json.dumps(node["labels"]),
                "AUTOSCALER_UPDATE_INTERVAL_S": "1",
            }
            if role == "head":
                names = ("RAY_CLOUD_INSTANCE_ID", "RAY_OVERRIDE_NODE_ID_FOR_TESTING")
                told |= {"RAY_enable_autoscaler_v2": "1", "RAY_FAKE_CLUSTER": "1", "PYTHONPATH": str(TESTS)}
                told |= dict.fromkeys(names, FAKE_HEAD_NODE_ID)
            log = tmp_path / f"{role}.log"
            with log.open("w") as stream:
                started.append(
                    subprocess.Popen(
                        ["bash", "-c", command], env=env | told, stdout=stream, stderr=stream, start_new_session=True
                    )
                )
            wait_for(log, started[-1])
        yield f"{ip}:{PORT}", env
    finally:
        for process in reversed(started):
            os.killpg(process.pid, signal.SIGTERM)
            process.wait(60)
        for process in psutil.process_iter(["cmdline"]):  # nodes that the autoscaler started
            if rays in " ".join(process.info["cmdline"] or []):
                process.kill()


def wait_for(log: Path, process: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + 120
    while "Ray runtime started" not in log.read_text():
        assert process.poll() is None, log.read_text()
        assert time.monotonic() < end, log.read_text()
        time.sleep(0.2)


def test_nodes_come_for_work_that_names_them_and_go_when_they_are_idle(address: tuple[str, dict[str, str]]) -> None:
    where, env = address
    done = subprocess.run(
        [sys.executable, "-c", ASK.format(address=where)], env=env, capture_output=True, text=True, timeout=240
    )
    said = dict(re.findall(r"^(before|ran on|after|idle) (.*)$", done.stdout, re.MULTILINE))
    assert said == {
        "before": "[('none', 0.0), ('none', 16.0)]",
        "ran on": "spot",
        "after": "[('L4', 8.0), ('none', 0.0), ('none', 16.0)]",
        "idle": "[('none', 0.0), ('none', 16.0)]",
    }, done.stdout + done.stderr[-3000:]
