"""Preference pairs of answers to model inputs. What both answers are about is decoded and processed once."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import torch
from torch.nn.utils.rnn import pad_sequence

from urm_ray.chat import Chat, ChatProcessor, question
from urm_ray.clips import decode_media
from urm_ray.config_policy import DEFAULT_CLIPS, ClipConfig
from urm_ray.media import MediaError
from urm_ray.vlms import PER_TOKEN

SIDES = ("chosen", "rejected")


class PairError(ValueError):
    """A pair that cannot be trained on. `reason` is one word, for counting; `length` its tokens, where counted."""

    def __init__(self, reason: str, message: str, length: int | None = None) -> None:
        super().__init__(message)
        self.reason, self.length = reason, length


@dataclass(frozen=True)
class Pair:
    """A pair as tokens: the question with its pictures' tokens, both answers with their end, and the media: tensors, or
    lists of numbers."""

    question: dict[str, list[int]]
    answers: tuple[list[int], list[int]]
    media: dict[str, Any]

    @property
    def length(self) -> int:
        return len(self.question["input_ids"]) + max(map(len, self.answers))


class AnswerPairs:
    """Collates `schema.PREFERENCE_PAIR` rows of answers (with the `context` of their prompts) for a chat VLM.

    A batch of B pairs holds 2B sequences, the B chosen ones first, then the rejected ones in the same order, padded on
    the right. Pictures and clips, and what describes them (grids, sizes), stand in it once, as they come in the chosen
    half. A batch without any picture gets a blank one that stands in no sequence, so that every rank runs the vision
    encoder in every step; with native clips the same holds for clips. `encode_once.encode_once` makes a model read such
    batches.

    max_length: see `VlmDpoConfig`. reference_digest: whose stored log-probabilities the rows must carry.
    """

    def __init__(
        self,
        processor: Any,
        max_length: int | None = None,
        clips: ClipConfig = DEFAULT_CLIPS,
        reference_digest: str | None = None,
    ) -> None:
        self.chats, self.tokenizer, self.sampling = ChatProcessor(processor, clips), processor.tokenizer, clips
        self.max_length, self.reference_digest = max_length, reference_digest
        self._blanks = [self._parted(question("", [blank]))[1] for blank in self.chats.blanks()]

    def __call__(self, table: pa.Table) -> dict[str, Any]:
        """Rows with `schema.REFERENCE` columns to a batch with `ref_chosen_logps` and `ref_rejected_logps` (B,)."""
        rows = table.to_pylist()
        batch = self.join([self.prepare(row) for row in rows])
        for side in SIDES:
            batch[f"ref_{side}_logps"] = torch.tensor([self._stored(row, f"ref_{side}_logps") for row in rows])
        return batch

    def fits(self, row: dict[str, Any]) -> bool:
        """Whether the pair can be trained on: media that decode, two answers, and no more tokens than `max_length`."""
        try:
            self.prepare(row)
        except PairError:
            return False
        return True

    def prepare(self, row: dict[str, Any]) -> Pair:
        """The pair as tokens; PairError where it cannot be trained on."""
        answers = self._answer(row["chosen"]), self._answer(row["rejected"])
        self._refuse_special(self._ids(row["prompt"]), "prompt")
        try:
            about = [decode_media(media, self.sampling) for media in row["context"] or []]
        except MediaError as error:
            raise PairError("media_error", str(error)) from error
        tokens, shown = self._parted(question(row["prompt"], about))
        pair = Pair(tokens, answers, shown)
        if self.max_length is not None and pair.length > self.max_length:
            raise PairError("too_long", f"{pair.length} tokens, where max_length is {self.max_length}", pair.length)
        return pair

    def join(self, pairs: Sequence[Pair]) -> dict[str, Any]:
        """A batch of 2B sequences from B pairs, with `completion_mask` on the answers and their ends alone."""
        both = [(pair.question, pair.answers[half]) for half in (0, 1) for pair in pairs]
        columns = {"completion_mask": [[0] * len(asked["input_ids"]) + [1] * len(answer) for asked, answer in both]}
        for name in pairs[0].question:
            columns[name] = [asked[name] + _continued(name, answer) for asked, answer in both]
        batch = {
            name: pad_sequence(
                [torch.tensor(row) for row in rows],
                batch_first=True,
                padding_value=self.tokenizer.pad_token_id if name == "input_ids" else 0,
            )
            for name, rows in columns.items()
        }
        return batch | self._media(pairs)

    def _media(self, pairs: Sequence[Pair]) -> dict[str, Any]:
        names = dict.fromkeys(name for pair in pairs for name in pair.media)
        media = {name: _joined([pair.media[name] for pair in pairs if name in pair.media]) for name in names}
        for blank in self._blanks:
            if media.keys().isdisjoint(blank):
                media |= blank
        return media

    def _parted(self, chat: Chat) -> tuple[dict[str, list[int]], dict[str, Any]]:
        """The tokens of a chat, and its media."""
        made = dict(self.chats([chat]))
        return {name: made.pop(name)[0].tolist() for name in PER_TOKEN if name in made}, made

    def _ids(self, text: str) -> list[int]:
        return self.tokenizer(text, add_special_tokens=False).input_ids

    def _answer(self, candidate: dict[str, Any]) -> list[int]:
        if not candidate["text"]:
            raise PairError("no_answer", f"candidate {candidate['index']} has no text")
        ids = self.chats.answer_ids(candidate["text"])
        self._refuse_special(ids, "answer")
        return [*ids, self.chats.end_id]

    def _refuse_special(self, ids: list[int], where: str) -> None:
        """Words that spell a picture's slot or a turn's end would be read as one."""
        if found := self.chats.special.intersection(ids):
            raise PairError("special_token", f"the {where} holds {self.tokenizer.decode(sorted(found))}")

    def _stored(self, row: dict[str, Any], name: str) -> float:
        if row["reference_digest"] != self.reference_digest:
            raise ValueError(
                f"pair {row['pair_id']}: {name} is of reference {row['reference_digest']}, not {self.reference_digest}"
            )
        if row[name] is None or not math.isfinite(row[name]):
            raise ValueError(f"pair {row['pair_id']}: {name} is {row[name]}")
        return row[name]


def _continued(name: str, answer: list[int]) -> list[int]:
    """What a per-token column of a question goes on with in an answer, which is text and attended to."""
    return {"input_ids": answer, "attention_mask": [1] * len(answer)}.get(name, [0] * len(answer))


def _joined(parts: list[Any]) -> Any:
    """Lists, or tensors along their first axis, in one; tensors' other axes are filled up with zeros to the longest."""
    if isinstance(parts[0], list):
        return [value for part in parts for value in part]
    sizes = [max(lengths) for lengths in zip(*(part.shape[1:] for part in parts), strict=True)]
    filled = [
        torch.nn.functional.pad(
            part, [n for size, own in zip(sizes[::-1], part.shape[:0:-1], strict=True) for n in (0, size - own)]
        )
        for part in parts
    ]
    return torch.cat(filled)
