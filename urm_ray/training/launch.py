"""Starts a training on Ray Train and brings its model home."""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ray
import ray.train
from ray.data import Dataset, ExecutionOptions
from ray.train import CheckpointConfig, FailureConfig, RunConfig, ScalingConfig
from ray.train.torch import TorchConfig

from urm_ray import store
from urm_ray.config_training import TrainConfig
from urm_ray.file_systems import again
from urm_ray.local_copies import upload_dir
from urm_ray.run_folder import Stage
from urm_ray.schema import digest
from urm_ray.training.checkpoints import RESUME, mend_checkpoints
from urm_ray.training.elastic import ElasticTrainer, Shares, each_group_its_own, make_universal, of_other_workers
from urm_ray.training.guards import forget_stop, room, until_stopped
from urm_ray.training.saved_state import plain_state


def launch(
    loop: Callable[[dict[str, Any]], None],
    settings: dict[str, Any],
    config: TrainConfig,
    stage: Stage,
    train: Dataset,
) -> None:
    """Runs `loop` on every worker until the stage is `trained`.

    A run that was killed goes on from its last checkpoint when it is launched again on the same stage. A worker group
    that dies is started again up to `config.max_failures` times, but not one that a guard has stopped.
    """
    forget_stop(stage.uri)
    mend_checkpoints(stage.path("train"))
    file_system, path = store.locate(stage.uri)
    resources = {"CPU": config.num_cpus, **({"GPU": 1.0} if config.use_gpu else {})}
    least = config.min_workers or config.workers
    trainer = ElasticTrainer(
        until_stopped(loop),
        train_loop_config=settings,
        scaling_config=ScalingConfig(
            num_workers=config.workers if least == config.workers else (least, config.workers),
            use_gpu=config.use_gpu,
            resources_per_worker=resources,
            label_selector=config.label_selector or None,
        ),
        run_config=RunConfig(
            name="train",
            storage_path=path,
            storage_filesystem=file_system,
            failure_config=FailureConfig(max_failures=config.max_failures),
            checkpoint_config=CheckpointConfig(num_to_keep=1),
        ),
        datasets={"train": train},
        # Order is what makes a restart see the same rows: workers get fixed shares of a stream that keeps its order.
        dataset_config=Shares(config.workers, execution_options=ExecutionOptions(preserve_order=True)),
        torch_config=TorchConfig(backend="nccl" if config.use_gpu else "gloo"),
    )
    trainer.fit()
    store.delete_dir(stage.path("train"))


def trained(stage: Stage) -> bool:
    """Whether a training on the stage has come to its end, so that it holds `model/` and `history.json`."""
    return store.exists(stage.path("history.json"))


def slow_precision(config: TrainConfig, capabilities: Mapping[str, Any]) -> str | None:
    """A warning where workers on a CPU would train in bfloat16 that it has no instructions for.

    capabilities: of `torch.cpu.get_capabilities`.
    """
    native = ("avx512_bf16", "amx_bf16", "bf16", "sve_bf16")
    if not config.bf16 or config.use_gpu or any(capabilities.get(name) for name in native):
        return None
    return "warning: this CPU has no instructions for bfloat16, which is tens of times slower here: set bf16 to false"


def start_worker(config: TrainConfig, stage_uri: str) -> str:
    """Sets up torch and DeepSpeed on a worker, before any model is loaded (ZeRO-3 needs that).

    Returns a scratch folder that the node's workers share: each writes its part of a checkpoint there.
    """
    import deepspeed
    import torch

    torch.set_num_threads(max(1, round(config.num_cpus)))
    deepspeed.init_distributed(dist_backend="nccl" if config.use_gpu else "gloo")
    # A folder of this user's alone: on a machine that many use, nobody else can have put something there.
    own = Path(tempfile.gettempdir()) / f"urm_ray-{os.getuid()}"
    own.mkdir(mode=0o700, exist_ok=True)
    if own.is_symlink() or own.stat().st_uid != os.getuid():
        raise store.StoreError(f"{own} belongs to somebody else: set TMPDIR to a folder of your own")
    # One machine may be several nodes, and Ray Train counts local ranks by its address.
    scratch = own / digest("train", stage_uri) / ray.util.get_node_ip_address()
    if ray.train.get_context().get_local_rank() == 0:
        shutil.rmtree(scratch, ignore_errors=True)  # what a killed run left behind; other machines may share the rest
        scratch.mkdir(parents=True)
    torch.distributed.barrier()
    context = ray.train.get_context()
    if context.get_world_rank() == 0 and (warning := slow_precision(config, torch.cpu.get_capabilities())):
        sys.stderr.write(f"{warning}\n")
    if context.get_world_rank() == 0 and context.get_world_size() < config.workers:
        carried = config.workers // context.get_world_size()
        sys.stdout.write(f"{context.get_world_size()} of {config.workers} workers: each does the work of {carried}\n")
        sys.stdout.flush()
    return str(scratch)


def run_trainer(trainer: Any, folder: str | None) -> None:
    """Trains to the end, from the checkpoint folder if there is one."""
    from transformers.trainer_callback import PrinterCallback

    trainer.remove_callback(PrinterCallback)  # ours prints the same figures, once
    with plain_state(folder), each_group_its_own(), room(trainer.args.output_dir):
        trainer.train(resume_from_checkpoint=folder)


@dataclass(frozen=True)
class Start:
    """Where a training goes on. folder: its checkpoint, None at the start. steps: done before. universal: whether
    DeepSpeed's state is loaded from what `elastic.make_universal` made of it."""

    folder: str | None = None
    steps: int = 0
    universal: bool = False


def last_checkpoint(scratch: str) -> Start:
    """The checkpoint to go on from, in a local folder, as this number of workers can load it."""
    import torch

    checkpoint = ray.train.get_checkpoint()
    if checkpoint is None:
        return Start()
    folder = Path(again(lambda: checkpoint.to_directory(str(Path(scratch) / RESUME))))
    steps = json.loads((folder / "trainer_state.json").read_text())["global_step"]
    universal = of_other_workers(folder)
    torch.distributed.barrier()  # until all have looked
    if universal and ray.train.get_context().get_local_rank() == 0:
        make_universal(folder)
    torch.distributed.barrier()
    return Start(str(folder), steps, universal)


def save_model(trainer: Any, fresh: Callable[[], Any], save: Callable[[Any, str], None], stage_uri: str) -> None:
    """Gathers the weights from all ranks and writes `model/` and `history.json` into the stage, on rank 0.

    fresh: makes the trained module anew, outside of DeepSpeed, adapters included. save: writes it (adapters merged) to
    a local folder.
    """
    from transformers.integrations import unset_hf_deepspeed_config

    state = trainer.accelerator.get_state_dict(trainer.model_wrapped)
    unset_hf_deepspeed_config()
    if ray.train.get_context().get_world_rank() == 0:
        model = fresh()
        load_weights(model, state)
        if hasattr(model, "merge_and_unload"):
            model = model.merge_and_unload()
        with tempfile.TemporaryDirectory() as folder:
            with room(folder, what="model"):
                save(model, folder)
            store.delete_dir(store.join(stage_uri, "model"))  # what a killed worker left has its place, too
            with room(stage_uri, sum(file.size for file in store.tree(folder)), "model"):
                upload_dir(folder, store.join(stage_uri, "model"))
        # The last file: it makes the training done (`trained`).
        with room(stage_uri, what="history"):
            store.write_json(
                store.join(stage_uri, "history.json"), [entry for entry in trainer.state.log_history if "loss" in entry]
            )


def load_weights(model: Any, state: dict[str, Any]) -> None:
    """Loads gathered weights; ValueError unless every parameter came, tied ones counting once."""
    loaded = model.load_state_dict({name: value.cpu() for name, value in state.items()}, strict=False)
    own = dict(model.named_parameters(remove_duplicate=False))
    came = {own[name].data_ptr() for name in state if name in own}
    missing = [name for name in loaded.missing_keys if name in own and own[name].data_ptr() not in came]
    if loaded.unexpected_keys or missing:
        raise ValueError(
            f"weights do not fit: {len(missing)} missing {missing[:3]}, {len(loaded.unexpected_keys)} unexpected"
        )
