"""A step of DPO of a VLM on questions about pictures: ours against TRL's DPOTrainer.

TRL reads picture and question once for each answer, in every step a second time with the frozen reference, which it
does not store for pictures, and (without Triton) makes logits of all places. Precision is that of the machine: float32
on a CPU, bfloat16 on a GPU. No activations are checkpointed on either side.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import Any

import pyarrow as pa
from datasets import Dataset
from helpers import answer_table
from rounds import Result, in_turns
from small_vlm import small_vlm, tiny_vlm
from trainer_turns import ARGUMENTS, Shard, losses, side
from training_data import answer_pairs
from trl import DPOConfig, DPOTrainer

from urm_ray.config_training import VlmDpoConfig
from urm_ray.media import decode_image
from urm_ray.training.answer_pairs import AnswerPairs
from urm_ray.training.logps import ReferenceLogps
from urm_ray.training.stream import ShardBatches
from urm_ray.training.vlm_dpo import VlmDpoTrainer, dpo_arguments
from urm_ray.vlms import load_processor, trainable_vlm


def benchmark(rounds: int, size: str, batch: int, steps: int) -> Result:
    """size: tiny or small. batch: pairs of a step. steps: of one turn."""
    cache = Path(tempfile.gettempdir()) / "urm_ray_benchmarks"
    path = tiny_vlm() if size == "tiny" else small_vlm(cache / "small_vlm")
    config = VlmDpoConfig(bf16=ARGUMENTS["bf16"], batch=batch, reference_batch=batch)
    with tempfile.TemporaryDirectory() as folder:
        arguments = ARGUMENTS | {"max_steps": steps, "per_device_train_batch_size": batch, "output_dir": folder}
        rows = answer_pairs(load_processor(path).tokenizer, batch)
        reference = ReferenceLogps(path, config, "reference")
        reference(answer_table(rows[:1]))
        began = time.perf_counter()
        table = reference(answer_table(rows))
        stored = time.perf_counter() - began
        mine, watch = side("one question, stored reference", ours(path, config, table, steps, arguments), batch * steps)
        other, their_watch = side("TRL's DPOTrainer", theirs(path, rows, config, arguments), batch * steps)
        del reference
        said = {"seconds to store the reference of a pair": stored / batch}
        equal = losses(watch, their_watch)
        lengths = tokens_of(path, rows)
        return in_turns(mine, other, rounds, "pairs", 2.0, losses=equal, tokens=lengths, **said)


def ours(path: str, config: VlmDpoConfig, table: pa.Table, steps: int, arguments: dict[str, Any]) -> VlmDpoTrainer:
    processor, dtype = load_processor(path), "bfloat16" if config.bf16 else "float32"
    pairs = AnswerPairs(processor, reference_digest="reference")
    return VlmDpoTrainer(
        model=trainable_vlm(path, dtype, None, train_vision=True),
        args=dpo_arguments(config, **arguments),
        processing_class=processor,
        batches=ShardBatches(Shard(table), pairs, config.batch, steps, 0, 0, 1),
        config=config,
    )


def theirs(path: str, rows: list[dict[str, Any]], config: VlmDpoConfig, arguments: dict[str, Any]) -> DPOTrainer:
    processor, dtype = load_processor(path), "bfloat16" if config.bf16 else "float32"
    end = processor.tokenizer.eos_token
    return DPOTrainer(
        model=trainable_vlm(path, dtype, None, train_vision=True),
        args=DPOConfig(**arguments, beta=config.beta, max_length=None),
        processing_class=processor,
        train_dataset=Dataset.from_list(
            [
                {
                    "images": [decode_image(media) for media in row["context"]],
                    "prompt": asked(processor, row),
                    "chosen": row["chosen"]["text"] + end,
                    "rejected": row["rejected"]["text"] + end,
                }
                for row in rows
            ]
        ),
    )


def asked(processor: Any, row: dict[str, Any]) -> str:
    content = [*({"type": "image"} for _ in row["context"]), {"type": "text", "text": row["prompt"]}]
    chat = [{"role": "user", "content": content}]
    return processor.apply_chat_template(chat, tokenize=False, add_generation_prompt=True)


def tokens_of(path: str, rows: list[dict[str, Any]]) -> dict[str, list[int]]:
    pairs = AnswerPairs(load_processor(path))
    made = [pairs.prepare(row) for row in rows]
    answers = [[len(pair.answers[n]) for pair in made] for n in (0, 1)]
    return {
        "question with its picture": [len(pair.question["input_ids"]) for pair in made],
        "chosen": answers[0],
        "rejected": answers[1],
    }
