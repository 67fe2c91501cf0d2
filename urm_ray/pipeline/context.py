"""Connects to Ray and sets what every stage relies on."""

from __future__ import annotations

import logging
import os

import ray
from ray.data import DataContext

_WORKER_ENV = {
    "TOKENIZERS_PARALLELISM": "false",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "TRANSFORMERS_VERBOSITY": "error",
    "DIFFUSERS_VERBOSITY": "error",
    "TQDM_DISABLE": "1",
    "PYTHONWARNINGS": "ignore::FutureWarning",
    "DEEPSPEED_LOG_LEVEL": "error",
}


def connect() -> None:
    """Joins the cluster this job was submitted to, or starts Ray on this machine. Safe to call again."""
    if not ray.is_initialized():
        # Workers inherit these; names that are set already win, as do the settings of `ray job submit`.
        env = {key: value for key, value in _WORKER_ENV.items() if key not in os.environ}
        ray.init(runtime_env={"env_vars": env}, logging_level=logging.WARNING, log_to_driver=True)
    context = DataContext.get_current()
    context.enable_progress_bars = False  # the stages print their own lines, which also read well in a job's log
    context.print_on_execution_start = False
    logging.getLogger("ray.data").setLevel(logging.WARNING)
