"""Preference rows to model inputs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
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
from urm_ray.training.left_out import Fault


@dataclass(frozen=True)
class _Example:
    preference_id: str
    chat: Chat
    answer: str


class RewardCollate:
    """Question and answer of each row as one sequence; labels are the answer and its end mark alone (paper III-B2).

    A batch without pictures, or where clips are native without clips, gets one more sequence, about a blank and without
    labels, so that every rank runs the vision encoder on both in every step.

    left_out: is told of each batch how many rows it has, and which of them have media that do not decode or that the
    processor refuses. They are left out, and the others are what they are without them; a batch of which nothing is
    left is its blanks alone, and keeps its place. Without it such a row is an error.
    """

    def __init__(
        self,
        processor: Any,
        protocol: Protocol,
        clips: ClipConfig = DEFAULT_CLIPS,
        left_out: Callable[[int, Sequence[Fault]], None] | None = None,
    ) -> None:
        self.chats, self.protocol, self.sampling = ChatProcessor(processor, clips), protocol, clips
        self.answer_ids = cache(self.chats.answer_ids)
        self.left_out = left_out

    def __call__(self, table: pa.Table) -> dict[str, Any]:
        """Rows of `both_orders` to model inputs with `labels`."""
        examples, faults = self._examples(table.to_pylist())
        try:
            inputs = self._inputs(examples)
        except Exception:
            refused = self._refused(examples) if self.left_out else {}
            if not refused:
                raise
            faults += refused.values()
            inputs = self._inputs([one for number, one in enumerate(examples) if number not in refused])
        if self.left_out:
            self.left_out(len(table), faults)
        return inputs

    def _examples(self, rows: Sequence[dict[str, Any]]) -> tuple[list[_Example], list[Fault]]:
        examples, faults = [], []
        for row in rows:
            answer = target(row, self.protocol) + self.chats.end
            try:
                examples.append(_Example(row["preference_id"], self._chat(row), answer))
            except MediaError as error:
                if self.left_out is None:
                    raise MediaError(f"preference {row['preference_id']}: {error}") from error
                faults.append(Fault(row["preference_id"], "media that cannot be shown", str(error)))
        return examples, faults

    def _chat(self, row: dict[str, Any]) -> Chat:
        """What the judge is asked; MediaError if something in it does not decode."""
        form = self.protocol.form_of(row)
        item = Item.of(row, self.sampling, form)
        return (item.swapped() if row[SWAPPED] else item).question(form)

    def _inputs(self, examples: Sequence[_Example]) -> dict[str, Any]:
        chats, closed = [one.chat for one in examples], [one.answer for one in examples]
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

    def _refused(self, examples: Sequence[_Example]) -> dict[int, Fault]:
        """By number, the examples at which the processor fails; none where it fails at a blank, too, since no row is
        then to blame."""
        if self._failure(question("", self.chats.blanks()), "") is not None:
            return {}
        found = {number: self._failure(one.chat, one.answer) for number, one in enumerate(examples)}
        reason = "the judge's processor fails"
        return {n: Fault(examples[n].preference_id, reason, said) for n, said in found.items() if said is not None}

    def _failure(self, chat: Chat, answer: str) -> str | None:
        try:
            self.chats([chat], [answer])
        except MemoryError:
            raise
        except Exception as error:  # processors fail in any way that their checks and arithmetic can
            return str(error)[:200] or type(error).__name__
        return None
