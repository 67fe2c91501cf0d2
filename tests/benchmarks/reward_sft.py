"""A step of the judge's SFT on pictures and answers: ours against TRL's SFTTrainer.

TRL reads every row up to the longest of its micro-batch and (without Triton) makes logits of all places. Precision is
that of the machine: float32 on a CPU, bfloat16 on a GPU. No activations are checkpointed on either side.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import pyarrow as pa
from datasets import Dataset
from rounds import Result, in_turns
from small_vlm import small_vlm, tiny_vlm
from trainer_turns import ARGUMENTS, Shard, losses, side
from training_data import preferences
from trl import SFTConfig, SFTTrainer

from urm_ray import schema
from urm_ray.judge.protocol import protocol
from urm_ray.judge.target import target
from urm_ray.training.collate import RewardCollate
from urm_ray.training.reward_sft import RewardTrainer
from urm_ray.training.rows import both_orders
from urm_ray.training.stream import ShardBatches
from urm_ray.vlms import load_processor, trainable_vlm


def benchmark(rounds: int, size: str, batch: int, steps: int) -> Result:
    """size: tiny or small. batch: rows of a step. steps: of one turn."""
    cache = Path(tempfile.gettempdir()) / "urm_ray_benchmarks"
    path = tiny_vlm() if size == "tiny" else small_vlm(cache / "small_vlm")
    collate = RewardCollate(load_processor(path), protocol("unified"))
    rows = schema.table_of(preferences(collate.chats.tokenizer, batch * steps), schema.PREFERENCE)
    table = both_orders(rows).slice(0, batch * steps)
    lengths = [collate(table.slice(n, 1))["input_ids"].shape[1] for n in range(table.num_rows)]
    with tempfile.TemporaryDirectory() as folder:
        arguments = ARGUMENTS | {"max_steps": steps, "per_device_train_batch_size": batch, "output_dir": folder}
        mine, watch = side("no padding", ours(path, table, collate, arguments, batch, steps), batch * steps)
        other, their_watch = side("TRL's SFTTrainer", theirs(path, table, collate, arguments), batch * steps)
        padded = [max(lengths[at : at + batch]) * batch for at in range(0, len(lengths), batch)]
        share = {"share of places that are padding": 1 - sum(lengths) / sum(padded)}
        return in_turns(
            mine, other, rounds, "rows", 1.3, losses=losses(watch, their_watch), tokens=sorted(lengths), **share
        )


def ours(
    path: str, table: pa.Table, collate: RewardCollate, arguments: dict[str, Any], batch: int, steps: int
) -> RewardTrainer:
    return RewardTrainer(
        model=trainable_vlm(path, _dtype(), None, train_vision=True),
        args=SFTConfig(**arguments, max_length=None, dataset_kwargs={"skip_prepare_dataset": True}),
        processing_class=load_processor(path),
        data_collator=lambda rows: rows,
        batches=ShardBatches(Shard(table), collate, batch, steps, 0, 0, 1),
    )


def theirs(path: str, table: pa.Table, collate: RewardCollate, arguments: dict[str, Any]) -> SFTTrainer:
    processor = load_processor(path)
    examples = []
    for row in table.to_pylist():
        chat = collate._chat(row)
        asked = processor.apply_chat_template(chat.messages, tokenize=False, add_generation_prompt=True)
        said = target(row, collate.protocol) + processor.tokenizer.eos_token
        examples.append({"images": list(chat.media), "prompt": asked, "completion": said})
    return SFTTrainer(
        model=trainable_vlm(path, _dtype(), None, train_vision=True),
        args=SFTConfig(**arguments, max_length=None, train_sampling_strategy="sequential"),
        processing_class=processor,
        train_dataset=Dataset.from_list(examples),
    )


def _dtype() -> str:
    return "bfloat16" if ARGUMENTS["bf16"] else "float32"
