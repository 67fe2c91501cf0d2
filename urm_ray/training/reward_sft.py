"""SFT of a vision-language model into the judge (paper III-B): pair and point rows mixed, loss on the answer only."""

from __future__ import annotations

from typing import Any

from datasets import Dataset as HfDataset
from datasets.table import InMemoryTable
from trl import SFTConfig, SFTTrainer

from urm_ray.config_policy import ClipConfig
from urm_ray.config_training import RewardConfig
from urm_ray.judge.protocol import protocol
from urm_ray.training.callback import RayTrainCallback, remove_local_checkpoints
from urm_ray.training.collate import RewardCollate
from urm_ray.training.elastic import batches_of_worker, carried
from urm_ray.training.labels_alone import labels_alone
from urm_ray.training.launch import last_checkpoint, run_trainer, save_model, start_worker
from urm_ray.training.left_out import LeftOut
from urm_ray.training.lora import add_lora, without_adapters
from urm_ray.training.read_once import read_once
from urm_ray.training.stream import DealtBatches, ShardBatches
from urm_ray.training.tracked import tracked
from urm_ray.training.waits import TimedBatches
from urm_ray.training.zero import trainer_arguments
from urm_ray.vlms import load_processor, trainable_vlm


class RewardTrainer(SFTTrainer):
    """TRL's SFT trainer, fed by a stream that is already this rank's share. No padding is read, and logits are made for
    answers alone."""

    def __init__(self, *args: Any, batches: ShardBatches | DealtBatches, **kwargs: Any) -> None:
        self._timed = TimedBatches(batches)
        # The parent wants a data set to look at; rows come from the stream.
        look = HfDataset(InMemoryTable.from_pydict({"input_ids": [[0]], "labels": [[0]]}), fingerprint="stream")
        super().__init__(*args, train_dataset=look, **kwargs)
        read_once(without_adapters(self.model))

    def get_train_dataloader(self) -> Any:
        return self._timed

    def compute_loss(self, *args: Any, **kwargs: Any) -> Any:
        with labels_alone():
            return super().compute_loss(*args, **kwargs)

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        if "loss" in logs:
            logs["waiting"] = self._timed.share(self.accelerator)
        super().log(logs, start_time)


def reward_loop(settings: dict[str, Any]) -> None:
    """One Ray Train worker.

    settings: `train` (RewardConfig), `clips` (ClipConfig), `base`, `protocol`, `seed`, `stage`, `logged` (of
    `RayTrainCallback`, or missing), `tracking` (TrackingConfig), `put_aside_share` (as `RunConfig.put_aside_share`).
    """
    config = RewardConfig(**settings["train"])
    scratch = start_worker(config, settings["stage"])
    start = last_checkpoint(scratch)
    arguments = trainer_arguments(
        config, scratch, settings["seed"], not config.use_gpu, carried(config), start.universal
    )
    arguments = SFTConfig(
        **arguments, max_length=None, dataset_kwargs={"skip_prepare_dataset": True}, average_tokens_across_devices=True
    )
    dtype = "bfloat16" if config.bf16 else "float32"
    clips = ClipConfig(**settings["clips"])

    def fresh() -> Any:
        model = trainable_vlm(settings["base"], dtype, config.attention, config.train_vision, clips)
        return add_lora(model, config.lora) if config.lora else model

    processor = load_processor(settings["base"])
    examples = config.steps * config.accumulate * config.batch * carried(config)
    left_out = LeftOut(settings["stage"], examples, settings["put_aside_share"])
    batches = batches_of_worker(
        config,
        RewardCollate(processor, protocol(settings["protocol"]), clips, left_out),
        start.steps,
        settings["seed"],
        config.shuffle_rows,
    )
    trainer = RewardTrainer(
        model=fresh(),
        args=arguments,
        processing_class=processor,
        data_collator=lambda rows: rows,
        callbacks=[RayTrainCallback("reward", settings.get("logged"), settings["stage"]), *tracked(settings)],
        batches=batches,
    )
    run_trainer(trainer, start.folder)

    def save(model: Any, folder: str) -> None:
        model.save_pretrained(folder)
        processor.save_pretrained(folder)

    save_model(trainer, fresh, save, settings["stage"])
    remove_local_checkpoints(scratch)
