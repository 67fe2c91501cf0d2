"""Small trainings of a chat VLM, as the two loops run them but on one process and without Ray."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import torch
from families.plain import noise
from helpers import answer_pair, answer_table, as_answers, candidate, clip, pair_preference, point_preference
from trl import SFTConfig

from urm_ray import schema
from urm_ray.config_policy import ClipConfig
from urm_ray.config_training import LoraConfig, RewardConfig, VlmDpoConfig
from urm_ray.judge.protocol import protocol
from urm_ray.media import encode_image
from urm_ray.training.answer_pairs import AnswerPairs
from urm_ray.training.collate import RewardCollate
from urm_ray.training.launch import load_weights
from urm_ray.training.logps import ReferenceLogps
from urm_ray.training.lora import add_lora, peft_config
from urm_ray.training.reward_sft import RewardTrainer
from urm_ray.training.rows import both_orders
from urm_ray.training.vlm_dpo import VlmDpoTrainer, dpo_arguments
from urm_ray.vlms import load_processor, trainable_vlm

ARGUMENTS = {"use_cpu": True, "report_to": [], "bf16": False, "disable_tqdm": True, "save_strategy": "no"}
STEPS = {"logging_steps": 1, "learning_rate": 1e-3, "max_grad_norm": 0.0}
CLIPS = {shown: ClipConfig(count=4, shown=shown) for shown in ("frames", "native")}
UNPREPARED = {"skip_prepare_dataset": True}
HUNDRED = {"name": "0-100", "minimum": 0, "maximum": 100}


class Stream(list):
    """Stands for `ShardBatches`."""

    start = 0


def media_of(*pictures: tuple[int, int, int]) -> list[dict[str, Any]]:
    """Candidates of a preference: pictures of noise of a seed and a size."""
    return [{"media": encode_image(noise(*picture)), "text": None} for picture in pictures]


def preferences() -> list[dict[str, Any]]:
    """What a judge learns from: pictures, clips, answers about a picture and about nothing."""
    clips = [{"media": clip(shades, 4), "text": None} for shades in ([10, 60, 200], [90, 30, 250, 0, 120])]
    return [
        pair_preference(0, candidates=media_of((1, 16, 16), (2, 40, 24))),
        point_preference(1, 4.0, candidates=media_of((3, 16, 32))),
        pair_preference(2, "second", task="video_generation", candidates=clips),
        as_answers(pair_preference(3, "tie"), "two", "three"),
        as_answers(point_preference(4, 80.0, scale=HUNDRED), "two", context=[]),
    ]


def preference_batch(path: str, rows: list[dict[str, Any]], shown: str = "frames") -> dict[str, Any]:
    table = both_orders(schema.table_of(rows, schema.PREFERENCE))
    return RewardCollate(load_processor(path), protocol("unified"), CLIPS[shown])(table)


def said(text: str) -> dict[str, Any]:
    return candidate(0, media=None, text=text)


def pairs() -> list[dict[str, Any]]:
    """What a policy learns from: questions about pictures, about a clip and about nothing."""
    pictures = [encode_image(noise(*picture)) for picture in ((1, 16, 16), (2, 40, 24), (3, 16, 32))]
    return [
        answer_pair(0, context=pictures[:1]),
        answer_pair(1, context=pictures[1:], chosen=said("two of them, one green")),
        answer_pair(2, context=[clip([10, 200, 60, 90], 4)]),
        answer_pair(3, context=[], prompt="how many?", rejected=said("3")),
    ]


def pair_batch(path: str, rows: list[dict[str, Any]], shown: str = "frames") -> dict[str, Any]:
    """With the log-probabilities of the checkpoint itself as the reference's."""
    table: pa.Table = ReferenceLogps(path, VlmDpoConfig(), "r", CLIPS[shown], "cpu")(answer_table(rows))
    return AnswerPairs(load_processor(path), clips=CLIPS[shown], reference_digest="r")(table)


def fresh(path: str, config: RewardConfig | VlmDpoConfig, shown: str = "frames") -> Any:
    return trainable_vlm(path, "float32", config.attention, config.train_vision, CLIPS[shown])


def sft(path: str, folder: Path, batches: list[Any], config: RewardConfig) -> RewardTrainer:
    """A trainer of a judge, whose `train` takes a step for each batch."""
    model = fresh(path, config)
    return RewardTrainer(
        model=add_lora(model, config.lora) if config.lora else model,
        args=SFTConfig(
            **arguments(config, batches), output_dir=str(folder), max_length=None, dataset_kwargs=UNPREPARED
        ),
        processing_class=load_processor(path),
        data_collator=lambda rows: rows,
        batches=Stream(batches),
    )


def dpo(path: str, folder: Path, batches: list[Any], config: VlmDpoConfig, shown: str = "frames") -> VlmDpoTrainer:
    """A trainer of a policy, whose `train` takes a step for each batch."""
    model = fresh(path, config, shown)
    return VlmDpoTrainer(
        model=model,
        args=dpo_arguments(config, **arguments(config, batches), output_dir=str(folder)),
        processing_class=load_processor(path),
        peft_config=peft_config(model, config.lora) if config.lora else None,
        batches=Stream(batches),
        config=config,
    )


def arguments(config: RewardConfig | VlmDpoConfig, batches: list[Any]) -> dict[str, Any]:
    return ARGUMENTS | STEPS | {"max_steps": len(batches), "gradient_checkpointing": config.gradient_checkpointing}


def losses(trainer: Any) -> list[float]:
    return [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]


def weights(model: Any) -> dict[str, torch.Tensor]:
    return {name: parameter.detach().clone() for name, parameter in model.named_parameters()}


def moved(model: Any, before: dict[str, torch.Tensor]) -> set[str]:
    return {name for name, parameter in model.named_parameters() if not torch.equal(parameter, before[name])}


def trainable(model: Any) -> set[str]:
    return {name for name, parameter in model.named_parameters() if parameter.requires_grad}


def save(trainer: Any, path: str, config: RewardConfig | VlmDpoConfig, folder: Path) -> Any:
    """Brings a trained model home as the loops do; the model that was written."""
    model = fresh(path, config)
    model = add_lora(model, config.lora) if config.lora else model
    load_weights(model, trainer.accelerator.unwrap_model(trainer.model).state_dict())
    model = model.merge_and_unload() if config.lora else model
    model.save_pretrained(folder)
    load_processor(path).save_pretrained(folder)
    return model.eval()


LORA = LoraConfig(rank=2)
