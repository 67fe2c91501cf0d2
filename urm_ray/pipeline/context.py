"""Connects to Ray and sets what every stage relies on."""

from __future__ import annotations

import logging
import os

import ray
from ray.data import DataContext

from urm_ray.file_systems import ENVIRONMENT as STORES
from urm_ray.pipeline.growth import Growth

_DATA_ENV = {"RAY_DATA_CLUSTER_AUTOSCALER": "V2", "RAY_DATA_CLUSTER_SCALING_UP_UTIL_THRESHOLD": "2"}
"""Ray 2.60's default reserves for an execution the CPUs that it reckons its operators need, and of what is left whole
CPUs alone. Where that is no more than the actors hold, the tasks that write units wait until the actors are done, and
nothing is saved for so long. V2 reserves all that there is. It would also ask for one more node of each shape that the
cluster has, while more than a share of it is in use; of a share above 1 it asks for none, and `growth` asks."""

_SERVER_ENV = {"RAY_idle_worker_killing_time_threshold_ms": "30000"}
"""Ray ends processes that idle for a second where there are more than CPUs. On a small machine the actors alone are
more, and the processes of tasks would be started again and again."""

_WORKER_ENV = {
    "TOKENIZERS_PARALLELISM": "false",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "TRANSFORMERS_VERBOSITY": "error",
    "DIFFUSERS_VERBOSITY": "error",
    "TQDM_DISABLE": "1",
    "PYTHONWARNINGS": "ignore::FutureWarning",
    "DEEPSPEED_LOG_LEVEL": "error",
    **_DATA_ENV,
}


_listens = {"dashboard_host": "127.0.0.1"}


def listen(dashboard_host: str) -> None:
    """Where the dashboard listens if `connect` starts Ray; a cluster that is joined has its own already."""
    _listens["dashboard_host"] = dashboard_host


def joined() -> bool:
    """Whether Ray was there before this process, so that nodes may come to it from elsewhere."""
    return not (ray._private.worker._global_node and ray._private.worker._global_node.is_head())


def beside_driver() -> dict[str, str]:
    """Of an actor, the label selector that keeps it on this process's node. One that wandered to a node of a pool would
    keep that from idling, and an autoscaler from taking it back."""
    return {"ray.io/node-id": ray.get_runtime_context().get_node_id()}


def connect() -> None:
    """Joins the cluster this job was submitted to, or starts Ray on this machine. Safe to call again.

    What is started here is closed to others: it asks for a token, as Ray has it unless RAY_AUTH_MODE says otherwise,
    and its dashboard listens on this machine alone unless told (`listen`).
    """
    if not ray.is_initialized():
        # Workers inherit these; names that are set already win, as do the settings of `ray job submit`.
        env = {key: value for key, value in _WORKER_ENV.items() if key not in os.environ}
        env |= {key: os.environ[key] for key in STORES if "@" not in os.environ.get(key, "@")}
        for key, value in _SERVER_ENV.items():
            os.environ.setdefault(key, value)
        ray.init(runtime_env={"env_vars": env}, logging_level=logging.WARNING, log_to_driver=True, **_listens)
    for key, value in _DATA_ENV.items():
        os.environ.setdefault(key, value)  # executions run in this process, and those of trainings in workers
    context = DataContext.get_current()
    context.enable_progress_bars = False  # the stages print their own lines, which also read well in a job's log
    context.print_on_execution_start = False
    context.raise_original_map_exception = True  # else all that a user is told is that a function failed
    # Every half a minute it would advise a setting that pools do not have, for actors that hold a model.
    context.issue_detectors_config.high_memory_detector_config.detection_time_interval_s = -1
    others = [one for one in context.custom_execution_callback_classes if one is not Growth]
    context.custom_execution_callback_classes = [*others, Growth] if joined() else others
    logging.getLogger("ray.data").setLevel(logging.WARNING)
