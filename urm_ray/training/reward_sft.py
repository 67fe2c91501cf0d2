"""SFT of a vision-language model into the judge (paper III-B): pair and point rows mixed, loss on the answer only."""

from __future__ import annotations

from typing import Any

import ray.train
import trl.trainer.utils
from datasets import Dataset as HfDataset
from datasets.table import InMemoryTable
from trl import SFTConfig, SFTTrainer

from urm_ray.config import ClipConfig
from urm_ray.config_training import RewardConfig
from urm_ray.judge.protocol import protocol
from urm_ray.models import load_processor, trainable_vlm
from urm_ray.training.callback import RayTrainCallback, remove_local_checkpoints
from urm_ray.training.collate import RewardCollate
from urm_ray.training.launch import last_checkpoint, run_trainer, save_model, start_worker
from urm_ray.training.lora import add_lora
from urm_ray.training.stream import ShardBatches
from urm_ray.training.zero import trainer_arguments


class RewardTrainer(SFTTrainer):
    """TRL's SFT trainer, fed by a stream that is already this rank's share."""

    def __init__(self, *args: Any, batches: ShardBatches, **kwargs: Any) -> None:
        self.batches = batches
        # The parent wants a data set to look at; rows come from the stream.
        look = HfDataset(InMemoryTable.from_pydict({"input_ids": [[0]], "labels": [[0]]}), fingerprint="stream")
        super().__init__(*args, train_dataset=look, **kwargs)

    def get_train_dataloader(self) -> Any:
        return self.batches


def project_labels_alone() -> None:
    """Lets TRL's LM head skip positions without a label on a CPU too, as it does where Triton runs; the loss is equal.

    Elsewhere it projects all positions, for compilers that want fixed shapes. Answers are a twentieth of them here.
    """
    theirs = trl.trainer.utils._use_triton
    trl.trainer.utils._use_triton = lambda device: device.type == "cpu" or theirs(device)


def reward_loop(settings: dict[str, Any]) -> None:
    """One Ray Train worker.

    settings: `train` (RewardConfig), `clips` (ClipConfig), `base`, `protocol`, `seed`, `stage`.
    """
    config = RewardConfig(**settings["train"])
    scratch = start_worker(config, settings["stage"])
    project_labels_alone()
    arguments = trainer_arguments(config, scratch, settings["seed"], use_cpu=not config.use_gpu)
    arguments = SFTConfig(
        **arguments, max_length=None, dataset_kwargs={"skip_prepare_dataset": True}, average_tokens_across_devices=True
    )
    dtype = "bfloat16" if config.bf16 else "float32"

    def fresh() -> Any:
        model = trainable_vlm(settings["base"], dtype, config.attention, config.train_vision)
        return add_lora(model, config.lora) if config.lora else model

    processor = load_processor(settings["base"])
    checkpoint, done = last_checkpoint(scratch)
    batches = ShardBatches(
        ray.train.get_dataset_shard("train"),
        RewardCollate(processor, protocol(settings["protocol"]), ClipConfig(**settings["clips"])),
        config.batch,
        total=config.steps * config.accumulate,
        start=done * config.accumulate,
        seed=settings["seed"] % 2**31,
        window=config.shuffle_rows,
    )
    trainer = RewardTrainer(
        model=fresh(),
        args=arguments,
        processing_class=processor,
        data_collator=lambda rows: rows,
        callbacks=[RayTrainCallback("reward")],
        batches=batches,
    )
    run_trainer(trainer, checkpoint)

    def save(model: Any, folder: str) -> None:
        model.save_pretrained(folder)
        processor.save_pretrained(folder)

    save_model(trainer, fresh, save, settings["stage"])
    remove_local_checkpoints(scratch)
