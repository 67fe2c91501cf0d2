"""A cluster on this machine whose autoscaler starts and ends nodes, as processes of their own."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import psutil
from ray.autoscaler._private.fake_multi_node.node_provider import (
    FAKE_HEAD_NODE_ID,
    FAKE_HEAD_NODE_TYPE,
)

PATIENCE_S = 120.0
NODE_CPUS = 8
"""Pretended ones, so many beside those of the head that Ray Data finds the cluster busy where its nodes are."""


class Autoscaled:
    """A head with `cpus`, and up to `most` nodes of one kind with NODE_CPUS and these labels.

    `ray.cluster_utils.AutoscalingCluster` stops every Ray on the machine; this one knows its own processes alone.
    """

    def __init__(self, cpus: int, most: int, labels: dict[str, str], idle_s: float) -> None:
        self.folder = tempfile.mkdtemp(prefix="ray")  # a short path: sockets lie in it
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.address = f"127.0.0.1:{free.getsockname()[1]}"
        node = {
            "resources": {"CPU": NODE_CPUS, "memory": 1 << 40},  # clouds tell both of their nodes
            "labels": labels,
            "node_config": {},
            "min_workers": 0,
            "max_workers": most,
        }
        head = {"resources": {"CPU": cpus}, "node_config": {}, "max_workers": 0}
        config: dict[str, Any] = {
            "cluster_name": "autoscaled",
            "max_workers": most,
            "upscaling_speed": 1.0,
            "idle_timeout_minutes": idle_s / 60,
            "provider": {
                "type": "external",  # by name it needs a file that Ray's wheel lacks
                "module": "local.pretended_nodes.PretendedNodes",
                "gcs_address": self.address,
                "head_node_id": FAKE_HEAD_NODE_ID,
                "launch_multiple": True,
                "disable_node_updaters": True,
                "disable_launch_config_check": True,
            },
            "head_node_type": FAKE_HEAD_NODE_TYPE,
            "available_node_types": {FAKE_HEAD_NODE_TYPE: head, "node": node},
            "auth": {},
            "file_mounts": {},
            "cluster_synced_files": [],
        }
        for kind in ("initialization", "setup", "head_setup", "worker_setup", "head_start_ray", "worker_start_ray"):
            config[f"{kind}_commands"] = []
        file = Path(self.folder) / "cluster.json"
        file.write_text(json.dumps(config))
        environment = {
            "AUTOSCALER_UPDATE_INTERVAL_S": "1",
            "RAY_AUTH_MODE": "disabled",  # it is on loopback, and for the process that starts it alone
            "RAY_FAKE_CLUSTER": "1",
            "RAY_enable_autoscaler_v2": "1",
            "RAY_CLOUD_INSTANCE_ID": FAKE_HEAD_NODE_ID,
            "RAY_OVERRIDE_NODE_ID_FOR_TESTING": FAKE_HEAD_NODE_ID,
        }
        host, port = self.address.split(":")
        start = ["start", "--head", "--block", f"--autoscaling-config={file}", f"--temp-dir={self.folder}"]
        start += [f"--node-ip-address={host}", f"--port={port}", f"--num-cpus={cpus}", "--include-dashboard=false"]
        self.log = Path(self.folder) / "start.log"
        self.head = subprocess.Popen(
            [sys.executable, "-m", "ray.scripts.scripts", *start],
            env={**os.environ, **environment},
            stdout=self.log.open("w"),
            stderr=subprocess.STDOUT,
        )
        self._wait()

    def _wait(self) -> None:
        until = time.monotonic() + PATIENCE_S
        while "Ray runtime started" not in self.log.read_text():
            if self.head.poll() is not None or time.monotonic() > until:
                self.end()
                raise AssertionError(self.log.read_text()[-3000:])
            time.sleep(0.1)

    def end(self) -> None:
        with contextlib.suppress(psutil.NoSuchProcess):
            parent = psutil.Process(self.head.pid)
            own = [parent, *parent.children(recursive=True)]
            for process in own:
                with contextlib.suppress(psutil.NoSuchProcess):
                    process.kill()
        self.head.wait()


def nodes_alive() -> set[str]:
    """Ids of the nodes beside the head."""
    import ray

    return {n["NodeID"] for n in ray.nodes() if n["Alive"] and "node:__internal_head__" not in n["Resources"]}


def until(is_so: Any, what: str) -> None:
    end = time.monotonic() + PATIENCE_S
    while not is_so():
        assert time.monotonic() < end, what
        time.sleep(0.2)
