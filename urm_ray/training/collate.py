"""Preference rows to model inputs."""

from __future__ import annotations

import math
from functools import cache
from typing import Any

import pyarrow as pa
import torch

from urm_ray.chat import Chat, ChatProcessor, question, slot_of
from urm_ray.config import DEFAULT_CLIPS, ClipConfig
from urm_ray.judge.protocol import Protocol
from urm_ray.judge.scorer import Item
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
    """Question and answer of each row as one sequence; labels are the answer and its end mark alone (paper III-B2).

    Where clips are native, a batch without pictures or without clips gets one more sequence, about a blank and without
    labels, so that every rank runs the vision encoder on both in every step. As frames, clips are pictures, and all
    rows have some.
    """

    def __init__(self, processor: Any, protocol: Protocol, clips: ClipConfig = DEFAULT_CLIPS) -> None:
        self.chats, self.protocol, self.sampling = ChatProcessor(processor, clips), protocol, clips
        self.answer_ids = cache(self.chats.answer_ids)

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

    def __call__(self, table: pa.Table) -> dict[str, Any]:
        """Rows of `both_orders` to model inputs with `labels`; MediaError if a picture or clip does not decode."""
        rows = table.to_pylist()
        chats = [self._chat(row) for row in rows]
        closed = [self.answer(row) + self.chats.tokenizer.eos_token for row in rows]
        lengths = [len(self.answer_ids(answer)) for answer in closed]
        if self.chats.native:
            there = {slot_of(seen) for chat in chats for seen in chat.media}
            missing = [blank for blank in self.chats.blanks() if slot_of(blank) not in there]
            chats += [question("", [blank]) for blank in missing]
            closed += [""] * len(missing)
            lengths += [0] * len(missing)
        inputs = dict(self.chats(chats, closed))
        ends = inputs["attention_mask"].sum(1)
        place = torch.arange(inputs["input_ids"].shape[1])
        answer = (place < ends[:, None]) & (place >= (ends - torch.tensor(lengths))[:, None])
        inputs["labels"] = torch.where(answer, inputs["input_ids"], -100)
        return inputs

    def _chat(self, row: dict[str, Any]) -> Chat:
        """What the judge is asked; MediaError if something in it does not decode."""
        form = self.protocol.form_of(row)
        item = Item.of(row, self.sampling, form)
        return (item.swapped() if row[SWAPPED] else item).question(form)
