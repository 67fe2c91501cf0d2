"""DPO of a vision-language policy (paper III-D; arXiv 2305.18290) with TRL's losses and a stored reference."""

from __future__ import annotations

import math
from typing import Any

from datasets import Dataset as HfDataset
from datasets.table import InMemoryTable
from trl import DPOConfig, DPOTrainer

from urm_ray.config_policy import ClipConfig
from urm_ray.config_training import VlmDpoConfig
from urm_ray.training.answer_pairs import SIDES, AnswerPairs
from urm_ray.training.callback import RayTrainCallback, remove_local_checkpoints
from urm_ray.training.elastic import batches_of_worker, carried
from urm_ray.training.encode_once import encode_once
from urm_ray.training.guards import NOT_A_NUMBER, CollapseGuard, TrainingError
from urm_ray.training.labels_alone import labels_alone
from urm_ray.training.launch import last_checkpoint, run_trainer, save_model, start_worker
from urm_ray.training.lora import add_lora, peft_config, without_adapters
from urm_ray.training.read_once import read_once
from urm_ray.training.stream import DealtBatches, ShardBatches
from urm_ray.training.tracked import tracked
from urm_ray.training.waits import TimedBatches
from urm_ray.training.zero import trainer_arguments
from urm_ray.vlms import load_processor, trainable_vlm

_START_TOLERANCE = {False: 1e-3, True: 2e-2}
"""By bf16: how far a policy may be from its own stored log-probabilities, as a share of them."""


class VlmDpoTrainer(DPOTrainer):
    """TRL's DPO trainer, fed by a stream of `AnswerPairs` batches that carry the reference's log-probabilities.

    TRL stores a reference for text alone, and knows no clips; its loss takes both as they come in the batch. Media are
    encoded once for both answers, the question is read once, and logits are made for the answers alone.
    """

    def __init__(self, *args: Any, batches: ShardBatches | DealtBatches, config: VlmDpoConfig, **kwargs: Any) -> None:
        self.config, self._timed = config, TimedBatches(batches)
        self._at_start = batches.start == 0
        both = "log-probabilities of chosen and rejected answers", "below"
        self._guard = CollapseGuard(config.guard_ratio, config.guard_patience, both)
        # The parent wants a data set to look at; rows come from the stream.
        look = HfDataset(InMemoryTable.from_pydict({"prompt": [""]}), fingerprint="stream")
        super().__init__(*args, train_dataset=look, data_collator=lambda rows: rows, **kwargs)
        encode_once(without_adapters(self.model))
        read_once(without_adapters(self.model), pairs=True)

    def _prepare_dataset(self, dataset: Any, *args: Any, **kwargs: Any) -> Any:
        return dataset

    def _precompute_ref_logps(self, dataset: Any, *args: Any, **kwargs: Any) -> Any:
        return dataset

    def get_train_dataloader(self) -> Any:
        return self._timed

    def compute_loss(self, model: Any, inputs: dict[str, Any], *args: Any, **kwargs: Any) -> Any:
        with labels_alone():
            loss = super().compute_loss(model, inputs, *args, **kwargs)
        self._check({name: values[-1] for name, values in self._metrics["train"].items()})
        return loss

    def _check(self, figures: dict[str, float]) -> None:
        """Raises before the step is taken, on all ranks alike: the figures are means over all of them."""
        if not all(math.isfinite(figures[f"logps/{side}"]) for side in SIDES):
            step = self.state.global_step
            raise TrainingError(f"dpo: the log-probabilities after step {step} are not numbers: {NOT_A_NUMBER}")
        if self._at_start:
            self._at_start = False
            falls = self._falls(figures)
            if max(map(abs, falls)) > _START_TOLERANCE[self.config.bf16]:
                raise TrainingError(
                    f"dpo: before step 1 the policy's log-probabilities are {falls[0]:.2%} (chosen) and {falls[1]:.2%} "
                    "(rejected) below the stored ones: the reference is not the policy, and the loss would not be ln 2"
                )

    def _falls(self, figures: dict[str, float]) -> tuple[float, float]:
        """How far chosen and rejected answers lie below the reference, as a share of its mean log-probability."""
        ratios = [figures[f"rewards/{side}"] / self.config.beta for side in SIDES]
        references = [figures[f"logps/{side}"] - ratio for side, ratio in zip(SIDES, ratios, strict=True)]
        # Answers that the reference is all but sure of have no size to compare with.
        chosen, rejected = (-n / max(1.0, abs(of)) for n, of in zip(ratios, references, strict=True))
        return chosen, rejected

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        if "loss" in logs:
            falls = self._falls({name: sum(v) / len(v) for name, v in self._metrics["train"].items()})
            logs |= {"chosen_fall": falls[0], "rejected_fall": falls[1]}
            logs["waiting"] = self._timed.share(self.accelerator)
        super().log(logs, start_time)
        if "loss" in logs:
            self._guard.check(logs["chosen_fall"], logs["rejected_fall"], self.state.global_step)


def dpo_arguments(config: VlmDpoConfig, **arguments: Any) -> DPOConfig:
    """TRL's settings. arguments: those of `transformers.TrainingArguments`."""
    return DPOConfig(
        **arguments,
        beta=config.beta,
        loss_type=list(config.loss_type),
        loss_weights=config.loss_weights,
        label_smoothing=config.label_smoothing,
        precompute_ref_log_probs=True,
        max_length=None,
    )


def vlm_dpo_loop(settings: dict[str, Any]) -> None:
    """One Ray Train worker.

    settings: `train` (VlmDpoConfig), `clips` (ClipConfig), `policy`, `reference_digest`, `seed`, `stage`, `rows` (of
    the shuffle window), `logged` (of `RayTrainCallback`, or missing), `tracking` (TrackingConfig).
    """
    config = VlmDpoConfig(**settings["train"])
    scratch = start_worker(config, settings["stage"])
    start = last_checkpoint(scratch)
    arguments = trainer_arguments(
        config, scratch, settings["seed"], not config.use_gpu, carried(config), start.universal
    )
    arguments = dpo_arguments(config, **arguments)
    clips = ClipConfig(**settings["clips"])

    def fresh() -> Any:
        dtype = "bfloat16" if config.bf16 else "float32"
        return trainable_vlm(settings["policy"], dtype, config.attention, config.train_vision, clips)

    processor = load_processor(settings["policy"])
    batches = batches_of_worker(
        config,
        AnswerPairs(processor, config.max_length, clips, settings["reference_digest"]),
        start.steps,
        settings["seed"],
        settings["rows"],
    )
    model = fresh()
    trainer = VlmDpoTrainer(
        model=model,
        args=arguments,
        processing_class=processor,
        # Adapters that came with the model would make TRL keep a second, frozen set of them as the reference.
        peft_config=peft_config(model, config.lora) if config.lora else None,
        callbacks=[RayTrainCallback("dpo", settings.get("logged"), settings["stage"]), *tracked(settings)],
        batches=batches,
        config=config,
    )
    run_trainer(trainer, start.folder)

    def save(trained: Any, folder: str) -> None:
        trained.save_pretrained(folder)
        processor.save_pretrained(folder)

    save_model(trainer, lambda: add_lora(fresh(), config.lora) if config.lora else fresh(), save, settings["stage"])
    remove_local_checkpoints(scratch)
