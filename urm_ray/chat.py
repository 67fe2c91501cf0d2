"""Chats about pictures and clips as inputs of a chat VLM: how every VLM of the system looks, in training and in use."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from PIL import Image

from urm_ray.clips import Clip
from urm_ray.config_policy import DEFAULT_CLIPS, ClipConfig

Seen = Image.Image | Clip

TIMES = "second_per_grid_ts"
"""Where processors of the Qwen family put the seconds between two steps of a clip's grid."""

_BLANK_SIDE = 32  # some models fail at a picture of one token


class ModelError(ValueError):
    """A checkpoint that cannot be worked with; the message says what it lacks."""


def slot_of(seen: Seen) -> Literal["image", "video"]:
    """The slot of a chat that this fills."""
    return "video" if isinstance(seen, Clip) else "image"


@dataclass(frozen=True)
class Chat:
    """Turns whose parts are texts and slots, image or video, and what fills the slots in order.

    ValueError where the media are not what the slots are for, so that nothing can slide into another's slot.
    """

    messages: list[dict[str, Any]]
    media: tuple[Seen, ...]

    def __post_init__(self) -> None:
        slots = [part["type"] for message in self.messages for part in message["content"] if part["type"] != "text"]
        filled = [slot_of(seen) for seen in self.media]
        if slots != filled:
            raise ValueError(f"the slots of a chat are {slots}, and {filled} is there to fill them")


def question(words: str, media: Iterable[Seen]) -> Chat:
    """The chat in which a policy is asked: what the question is about, in order, then the words."""
    about = tuple(media)
    content = [*({"type": slot_of(seen)} for seen in about), {"type": "text", "text": words}]
    return Chat([{"role": "user", "content": content}], about)


class ChatProcessor:
    """Turns chats into inputs with the processor of a checkpoint, clips as configured.

    As frames, each frame fills an image slot of its own where the clip's slot was (paper IV-A), so a label before the
    clip stands before exactly its frames; without words between them, a line break parts a clip from what is next to
    it. Natively, a clip stays in its slot, with the rate at which its frames follow each other. Words that spell a slot
    or the end of a turn get a space behind its first character, so that they are read as words.

    ModelError where the processor has no slot for pictures, or, where clips are native, none for clips as configured.
    """

    def __init__(self, processor: Any, clips: ClipConfig = DEFAULT_CLIPS) -> None:
        self.processor, self.tokenizer = processor, processor.tokenizer
        self.native = clips.shown == "native"
        known = self.tokenizer.added_tokens_decoder
        self.special = {*self.tokenizer.all_special_ids, *(number for number, token in known.items() if token.special)}
        """Tokens that are no words: slots, marks of turns, padding."""
        slots = [getattr(processor, name, None) for name in ("image_token", "video_token")]
        self._slots: set[str] = {token for token in slots if token is not None}
        self._firsts = {token[0] for token in self.tokenizer.convert_ids_to_tokens(sorted(self.special))}
        begin = self.tokenizer.bos_token
        self._begins = begin is not None and not self._render([_turn_of("user", "?")]).startswith(begin)
        """Whether the tokenizer puts the mark of a text's beginning, because the template does not."""
        name = type(processor).__name__
        if not self._has_slot("image"):
            raise ModelError(f"{name} has no slot for pictures: its chat template or its `image_token` lacks one")
        if self.native and not self._has_slot("video"):
            raise ModelError(f"{name} has no slot for clips: set `clips.shown` to frames")
        if self.native and clips.count is None and not self._takes_all_lengths():
            raise ModelError(
                f"{name} takes native clips of one length alone: set `clips.count`, or `clips.shown` to frames"
            )
        self.lead, self.end = self._turn()
        """What stands between the question's end and an answer's first word, white space if anything, and what closes
        an answer: the token behind an assistant's turn, or that of a text's end where no token is behind a turn."""
        self.end_id = self.tokenizer.convert_tokens_to_ids(self.end)

    def _has_slot(self, kind: Literal["image", "video"]) -> bool:
        token = getattr(self.processor, f"{kind}_token", None)
        if token is None or getattr(self.processor, f"{kind}_processor", None) is None:
            return False
        return self._render([{"role": "user", "content": [{"type": kind}]}]).count(token) == 1

    def _takes_all_lengths(self) -> bool:
        try:
            self([question("?", [_blank_clip(2), _blank_clip(4)])])
        except ValueError:
            return False
        return True

    def _turn(self) -> tuple[str, str]:
        said = [_turn_of("user", "?"), _turn_of("assistant", "said")]
        asked = self._render(said[:1])
        whole = self.processor.apply_chat_template(said, tokenize=False, add_generation_prompt=False)
        before, _, behind = whole.rpartition("said")
        lead = before.removeprefix(asked)
        ids = self.tokenizer(behind, add_special_tokens=False).input_ids
        end = self.tokenizer.convert_ids_to_tokens(ids[0]) if {*ids[:1]} & self.special else self.tokenizer.eos_token
        if end is None:
            raise ModelError(f"{type(self.processor).__name__} has no token that ends an answer")
        return lead if lead.isspace() else "", end

    def __call__(
        self,
        chats: Sequence[Chat],
        answers: Sequence[str] | None = None,
        padding_side: Literal["left", "right"] = "right",
    ) -> Any:
        """Model inputs (a `BatchFeature`) of one padded row a chat, up to where the answer begins, or with an answer.

        Seconds (TIMES) are a list of numbers: trainers round tensors to half precision, and clips would change pace.
        """
        parts = [self._parts(chat) for chat in chats]
        texts = [self._template(messages) for messages, _, _ in parts]
        if answers is not None:
            texts = [text + self.lead + answer for text, answer in zip(texts, answers, strict=True)]
        given: dict[str, Any] = {}
        if any(images for _, images, _ in parts):
            given["images"] = [images for _, images, _ in parts]
        if clips := [clip for _, _, own in parts for clip in own]:
            given |= {
                "videos": [clip.frames for clip in clips],
                "video_metadata": [_metadata(clip) for clip in clips],
                "do_sample_frames": False,
            }
        inputs = self.processor(
            text=texts,
            add_special_tokens=self._begins,
            padding=True,
            padding_side=padding_side,
            return_tensors="pt",
            **given,
        )
        if TIMES in inputs:
            inputs[TIMES] = [float(seconds) for seconds in inputs[TIMES]]
        return inputs

    def spelled(self, chat: Chat) -> tuple[list[int], list[Image.Image], list[Clip]]:
        """The tokens of a chat up to where the answer begins, one for each slot, and the pictures and the clips in
        them, for engines that fill slots themselves."""
        messages, images, clips = self._parts(chat)
        ids = self.tokenizer(self._template(messages), add_special_tokens=self._begins).input_ids
        return ids, images, clips

    def turns(self, chat: Chat) -> tuple[list[dict[str, Any]], list[Seen]]:
        """The turns of a chat and what fills their slots, in order, for engines that use the chat template themselves.

        ModelError where the template would not keep the order; `spelled` does.
        """
        messages, images, clips = self._parts(chat)
        turns = [{**message, "content": _texts_joined(message["content"])} for message in messages]
        if not self._in_order(self._render(turns), turns):
            raise ModelError("the judge's chat template puts pictures before all words, and so do servers that use it")
        fills: dict[str, Iterator[Seen]] = {"image": iter(images), "video": iter(clips)}
        kinds = [part["type"] for turn in turns for part in turn["content"] if part["type"] != "text"]
        return turns, [next(fills[kind]) for kind in kinds]

    def blanks(self) -> list[Seen]:
        """A picture, and where clips are native a clip, that mean nothing.

        Ranks that shard a model must all run its vision encoder equally often, whatever is in their batches.
        """
        return [_blank(), *[_blank_clip(2)] * self.native]

    def answer_ids(self, answer: str) -> list[int]:
        """The tokens of an answer behind any question; ValueError if the tokenizer joins it with the question's end."""
        asked = self._render([_turn_of("user", "?")])
        texts = asked, asked + self.lead + answer
        before, whole = (self.tokenizer(text, add_special_tokens=False).input_ids for text in texts)
        if whole[: len(before)] != before:
            raise ValueError(f"the tokenizer joins the answer {answer!r} with the end of the question")
        return whole[len(before) :]

    def _template(self, messages: list[dict[str, Any]]) -> str:
        """The text of a chat, everything in its order.

        Some templates put a turn's media before all its words; then labels would stand before nothing. Others trim away
        what parts two clips. Where that makes a difference, slots are spelled out among the words.
        """
        turns = [{**message, "content": _texts_joined(message["content"])} for message in messages]
        text = self._render(turns)
        if not self._in_order(text, turns):
            text = self._render([{**turn, "content": [self._spelled(turn["content"])]} for turn in turns])
        return text

    def _render(self, messages: list[dict[str, Any]]) -> str:
        return self.processor.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)

    def _in_order(self, text: str, turns: list[dict[str, Any]]) -> bool:
        at = 0
        for part in (part for turn in turns for part in turn["content"]):
            words = self._words(part)
            words = words.strip() or words  # a template may trim what is said, but not drop a line's end
            at = text.find(words, at)
            if at < 0:
                return False
            at += len(words)
        return True

    def _spelled(self, content: list[dict[str, Any]]) -> dict[str, str]:
        return {"type": "text", "text": "".join(map(self._words, content))}

    def _harmless(self, text: str) -> str:
        """The text without any of its words spelling a special token."""
        found = {token for token in self._slots if token in text}
        if any(first in text for first in self._firsts):
            ids = self.special.intersection(self.tokenizer(text, add_special_tokens=False).input_ids)
            found.update(self.tokenizer.convert_ids_to_tokens(sorted(ids)))
        for token in found:
            text = text.replace(token, f"{token[0]} {token[1:]}")
        return text

    def _words(self, part: dict[str, Any]) -> str:
        return part["text"] if part["type"] == "text" else getattr(self.processor, f"{part['type']}_token")

    def _parts(self, chat: Chat) -> tuple[list[dict[str, Any]], list[Image.Image], list[Clip]]:
        """The messages with the slots that are left, and the pictures and the clips that fill them."""
        media = iter(chat.media)
        images: list[Image.Image] = []
        clips: list[Clip] = []
        messages = []
        for message in chat.messages:
            content: list[dict[str, Any]] = []
            before: Seen | None = None
            for part in message["content"]:
                seen = None if part["type"] == "text" else next(media)
                if not self.native and before and seen and Clip in map(type, (before, seen)):
                    content.append({"type": "text", "text": "\n"})
                if isinstance(seen, Clip) and not self.native:
                    images += seen.frames
                    content += [{"type": "image"}] * len(seen.frames)
                else:
                    images += [seen] if isinstance(seen, Image.Image) else []
                    clips += [seen] if isinstance(seen, Clip) else []
                    content.append(part if seen else {"type": "text", "text": self._harmless(part["text"])})
                before = seen
            messages.append({**message, "content": content})
        return messages, images, clips


def _turn_of(role: str, words: str) -> dict[str, Any]:
    return {"role": role, "content": [{"type": "text", "text": words}]}


def _blank() -> Image.Image:
    return Image.new("RGB", (_BLANK_SIDE, _BLANK_SIDE))


def _blank_clip(frames: int) -> Clip:
    return Clip([_blank()] * frames, [float(second) for second in range(frames)])


def _texts_joined(content: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Texts that follow each other as one, so that a template cannot part them or trim what is between them."""
    joined: list[dict[str, Any]] = []
    for part in content:
        if joined and part["type"] == joined[-1]["type"] == "text":
            joined[-1] = {"type": "text", "text": joined[-1]["text"] + part["text"]}
        else:
            joined.append(part)
    return joined


def _metadata(clip: Clip) -> dict[str, Any]:
    count = len(clip.frames)
    return {"total_num_frames": count, "fps": clip.rate, "frames_indices": list(range(count))}
