"""Preference pairs of answers to model inputs. What both answers are about is decoded and processed once."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import pyarrow as pa
import pyarrow.compute as pc
import torch
from PIL import Image
from torch.nn.utils.rnn import pad_sequence

from urm_ray.media import MediaError, decode_image

Frames = Callable[[dict[str, Any]], list[Image.Image]]
"""From a clip's `schema.MEDIA` value to the frames to be shown, evenly spaced over the whole clip."""
Clip = tuple[list[Image.Image], float]
"""The frames that are shown, and how many of them there are in a second."""

SIDES = ("chosen", "rejected")
_TOKENS = ("input_ids", "attention_mask", "token_type_ids", "mm_token_type_ids")
_BLANK_SIDE = 8


class PairError(ValueError):
    """A pair that cannot be trained on. `reason` is one word, for counting; `length` its tokens, where counted."""

    def __init__(self, reason: str, message: str, length: int | None = None) -> None:
        super().__init__(message)
        self.reason, self.length = reason, length


@dataclass(frozen=True)
class Pair:
    """A pair as tokens: the question with its pictures' tokens, both answers with their end, and the media tensors."""

    question: dict[str, list[int]]
    answers: tuple[list[int], list[int]]
    media: dict[str, torch.Tensor]

    @property
    def length(self) -> int:
        return len(self.question["input_ids"]) + max(map(len, self.answers))


def question(prompt: str, slots: Iterable[str]) -> list[dict[str, Any]]:
    """The chat of a question: its slots (image or video) in order, then the words."""
    return [{"role": "user", "content": [*({"type": slot} for slot in slots), {"type": "text", "text": prompt}]}]


def fitting(batch: pa.Table) -> pa.Table:
    """The rows of a batch with `schema.REFERENCE` columns that can be trained on."""
    return batch.filter(pc.is_null(batch["unfit"]))


class AnswerPairs:
    """Collates `schema.PREFERENCE_PAIR` rows of answers (with the `context` of their prompts) for a chat VLM.

    A batch of B pairs holds 2B sequences, the B chosen ones first, then the rejected ones in the same order, padded on
    the right. Pixels stand in it once; what describes them (grids, sizes) stands twice, once for each half. A batch
    without any picture gets a blank one that stands in no sequence and is described once, so that every rank runs the
    vision encoder in every step; with native clips the same holds for clips. `encode_once.encode_once` makes a model
    read such batches.

    max_length: see `VlmDpoConfig`. frames_of: needed where there are clips. reference_digest: whose stored
    log-probabilities the rows must carry.
    """

    def __init__(
        self,
        processor: Any,
        max_length: int | None = None,
        clips: Literal["frames", "native"] = "frames",
        frames_of: Frames | None = None,
        reference_digest: str | None = None,
    ) -> None:
        self.processor, self.tokenizer = processor, processor.tokenizer
        self.max_length, self.native, self.frames_of = max_length, clips == "native", frames_of
        self.reference_digest = reference_digest
        self._special = set(self.tokenizer.all_special_ids)
        self._blanks = [self._blank(slot) for slot in ("image", "video")[: 1 + self.native]]

    def __call__(self, table: pa.Table) -> dict[str, torch.Tensor]:
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
            slots, images, clips = self._shown(row["context"] or [])
        except MediaError as error:
            raise PairError("media_error", str(error)) from error
        made = self._process(question(row["prompt"], slots), images, clips)
        tokens = {name: made.pop(name)[0].tolist() for name in _TOKENS if name in made}
        pair = Pair(tokens, answers, made)
        if self.max_length is not None and pair.length > self.max_length:
            raise PairError("too_long", f"{pair.length} tokens, where max_length is {self.max_length}", pair.length)
        return pair

    def join(self, pairs: Sequence[Pair]) -> dict[str, torch.Tensor]:
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

    def _media(self, pairs: Sequence[Pair]) -> dict[str, torch.Tensor]:
        media = {}
        for name in dict.fromkeys(name for pair in pairs for name in pair.media):
            whole = _stacked([pair.media[name] for pair in pairs if name in pair.media])
            media[name] = whole if _is_pixels(name) else torch.cat([whole, whole])
        for blank in self._blanks:
            if media.keys().isdisjoint(blank):
                media |= blank
        return media

    def _blank(self, slot: str) -> dict[str, torch.Tensor]:
        picture = Image.new("RGB", (_BLANK_SIDE, _BLANK_SIDE))
        images, clips = ([picture], []) if slot == "image" else ([], [([picture] * 2, 1.0)])
        made = self._process(question("", [slot]), images, clips)
        blank = {name: value for name, value in made.items() if name not in _TOKENS}
        if all(map(_is_pixels, blank)):
            raise ValueError(f"{type(self.processor).__name__} says nothing of a picture but its pixels")
        return blank

    def _process(self, chat: list[dict[str, Any]], images: list[Image.Image], clips: list[Clip]) -> dict[str, Any]:
        text = self.processor.apply_chat_template(chat, tokenize=False, add_generation_prompt=True)
        given: dict[str, Any] = {"images": [images]} if images else {}
        if clips:
            given |= {
                "videos": [frames for frames, _ in clips],
                "video_metadata": [
                    {"total_num_frames": len(frames), "fps": fps, "frames_indices": list(range(len(frames)))}
                    for frames, fps in clips
                ],
                "do_sample_frames": False,
            }
        return dict(self.processor(text=[text], add_special_tokens=False, return_tensors="pt", **given))

    def _shown(self, context: list[dict[str, Any]]) -> tuple[list[str], list[Image.Image], list[Clip]]:
        """Slots (image or video) in order, and what fills them."""
        slots: list[str] = []
        images: list[Image.Image] = []
        clips: list[Clip] = []
        for media in context:
            if media["kind"] != "video":
                images.append(decode_image(media))
                slots.append("image")
                continue
            if self.frames_of is None:
                raise MediaError("a clip, and nothing that turns clips into frames")
            frames = self.frames_of(media)
            if self.native:
                if not media["fps"] or not media["frames"]:
                    raise MediaError("a clip without its number of frames or its frame rate")
                clips.append((frames, len(frames) * media["fps"] / media["frames"]))
                slots.append("video")
            else:
                images += frames
                slots += ["image"] * len(frames)
        return slots, images, clips

    def _ids(self, text: str) -> list[int]:
        return self.tokenizer(text, add_special_tokens=False).input_ids

    def _answer(self, candidate: dict[str, Any]) -> list[int]:
        if not candidate["text"]:
            raise PairError("no_answer", f"candidate {candidate['index']} has no text")
        ids = self._ids(candidate["text"])
        self._refuse_special(ids, "answer")
        return [*ids, self.tokenizer.eos_token_id]

    def _refuse_special(self, ids: list[int], where: str) -> None:
        """Words that spell a picture's slot or a turn's end would be read as one."""
        if found := self._special.intersection(ids):
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


def _is_pixels(name: str) -> bool:
    return name.startswith("pixel_values")


def _stacked(parts: list[torch.Tensor]) -> torch.Tensor:
    """One behind the other along the first axis, the other axes filled up with zeros to the longest."""
    sizes = [max(lengths) for lengths in zip(*(part.shape[1:] for part in parts), strict=True)]
    filled = [
        torch.nn.functional.pad(
            part, [n for size, own in zip(sizes[::-1], part.shape[:0:-1], strict=True) for n in (0, size - own)]
        )
        for part in parts
    ]
    return torch.cat(filled)
