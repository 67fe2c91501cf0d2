"""Preference rows to model inputs."""

from __future__ import annotations

import math
from typing import Any

import pyarrow as pa
import torch

from urm_ray.judge.protocol import Protocol
from urm_ray.media import decode_image
from urm_ray.schema import seed_of

SWAPPED = "swapped"
_MIRRORED = {"first": "second", "second": "first", "tie": "tie"}


def both_orders(batch: pa.Table) -> pa.Table:
    """Every pair row twice, as it is and swapped, one behind the other; a point row once. Adds the column `swapped`."""
    index: list[int] = []
    swapped: list[bool] = []
    for i, kind in enumerate(batch["kind"].to_pylist()):
        orders = (False, True) if kind == "pair" else (False,)
        index += [i] * len(orders)
        swapped += orders
    return batch.take(pa.array(index, pa.int64())).append_column(SWAPPED, pa.array(swapped, pa.bool_()))


def dithered(score: float, key: str) -> int:
    """A whole number whose mean over many keys is the score: 3.7 becomes 4 for 70% of keys and 3 for the others.

    A judge trained on it has the right expected value, where rounding would lose the fraction.
    """
    below = math.floor(score)
    return below + (seed_of("dither", key) / 2**63 < score - below)


class RewardCollate:
    """Question and answer of each row as one sequence; labels are the answer and its end mark alone (paper III-B2)."""

    def __init__(self, processor: Any, protocol: Protocol) -> None:
        self.processor, self.protocol = processor, protocol
        lead = processor.apply_chat_template(
            [{"role": "user", "content": [{"type": "text", "text": "?"}]}], tokenize=False, add_generation_prompt=True
        )
        self._lead, self._before = lead, len(self._ids(lead))
        self._lengths: dict[str, int] = {}

    def _ids(self, text: str) -> list[int]:
        return self.processor.tokenizer(text, add_special_tokens=False).input_ids

    def _answer_length(self, closed: str) -> int:
        if closed not in self._lengths:
            self._lengths[closed] = len(self._ids(self._lead + closed)) - self._before
        return self._lengths[closed]

    def answer(self, row: dict[str, Any]) -> str:
        """What the judge should say to a row of `both_orders`."""
        form = self.protocol.form_of(row)
        if row["kind"] == "pair":
            return form.answer_for(_MIRRORED[row["label"]] if row[SWAPPED] else row["label"])
        assert form.scale is not None
        own = row["scale"]
        share = (row["score"] - own["minimum"]) / (own["maximum"] - own["minimum"])
        score = form.scale.minimum + share * (form.scale.maximum - form.scale.minimum)
        step = form.scale.step
        return form.answer_for(step * dithered(score / step, row["preference_id"]))

    def __call__(self, table: pa.Table) -> dict[str, torch.Tensor]:
        texts, images, lengths = [], [], []
        for row in table.to_pylist():
            form, candidates = self.protocol.form_of(row), row["candidates"][:: -1 if row[SWAPPED] else 1]
            context = row["context"] or []
            said = [c["text"] for c in candidates if form.slot == "text"]
            shown = [] if said else [c["media"] for c in candidates]
            closed = self.answer(row) + self.processor.tokenizer.eos_token
            question = self.processor.apply_chat_template(
                form.messages(row["prompt"], [media["kind"] for media in context], said),
                tokenize=False,
                add_generation_prompt=True,
            )
            texts.append(question + closed)
            images.append([decode_image(media) for media in [*context, *shown]])
            lengths.append(self._answer_length(closed))
        inputs = dict(
            self.processor(text=texts, images=images, padding=True, padding_side="right", return_tensors="pt")
        )
        ends = inputs["attention_mask"].sum(1)
        place = torch.arange(inputs["input_ids"].shape[1])
        answer = (place < ends[:, None]) & (place >= (ends - torch.tensor(lengths))[:, None])
        inputs["labels"] = torch.where(answer, inputs["input_ids"], -100)
        return inputs
