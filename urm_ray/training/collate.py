"""Preference rows to model inputs."""

from __future__ import annotations

from functools import cache
from typing import Any

import pyarrow as pa
import torch

from urm_ray.chat import Chat, ChatProcessor, question, slot_of
from urm_ray.config_policy import DEFAULT_CLIPS, ClipConfig
from urm_ray.judge.item import Item
from urm_ray.judge.protocol import Protocol
from urm_ray.judge.target import SWAPPED, target
from urm_ray.media import MediaError


class RewardCollate:
    """Question and answer of each row as one sequence; labels are the answer and its end mark alone (paper III-B2).

    A batch without pictures, or where clips are native without clips, gets one more sequence, about a blank and without
    labels, so that every rank runs the vision encoder on both in every step.
    """

    def __init__(self, processor: Any, protocol: Protocol, clips: ClipConfig = DEFAULT_CLIPS) -> None:
        self.chats, self.protocol, self.sampling = ChatProcessor(processor, clips), protocol, clips
        self.answer_ids = cache(self.chats.answer_ids)

    def __call__(self, table: pa.Table) -> dict[str, Any]:
        """Rows of `both_orders` to model inputs with `labels`; MediaError if a picture or clip does not decode."""
        rows = table.to_pylist()
        chats = [self._chat(row) for row in rows]
        closed = [target(row, self.protocol) + self.chats.end for row in rows]
        lengths = [len(self.answer_ids(answer)) for answer in closed]
        there = {slot_of(seen) if self.chats.native else "image" for chat in chats for seen in chat.media}
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
        try:
            return (item.swapped() if row[SWAPPED] else item).question(form)
        except MediaError as error:
            raise MediaError(f"preference {row['preference_id']}: {error}") from error
