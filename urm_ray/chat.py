"""Chats about pictures and clips as inputs of a chat VLM: how every VLM of the system looks, in training and in use."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from PIL import Image

from urm_ray.clips import Clip
from urm_ray.config import DEFAULT_CLIPS, ClipConfig

Seen = Image.Image | Clip

TIMES = "second_per_grid_ts"
"""Where processors of the Qwen family put the seconds between two steps of a clip's grid."""

_BLANK_SIDE = 8


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
    it. Natively, a clip stays in its slot, with the rate at which its frames follow each other.

    ValueError where clips are native and the processor has no slot for them.
    """

    def __init__(self, processor: Any, clips: ClipConfig = DEFAULT_CLIPS) -> None:
        self.processor, self.tokenizer = processor, processor.tokenizer
        self.native = clips.shown == "native"
        if self.native and not self._takes_clips():
            raise ValueError(f"{type(processor).__name__} has no slot for clips: set `clips.shown` to frames")

    def _takes_clips(self) -> bool:
        token = getattr(self.processor, "video_token", None)
        if token is None or getattr(self.processor, "video_processor", None) is None:
            return False
        return self._template([{"role": "user", "content": [{"type": "video"}]}]).count(token) == 1

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
            texts = [text + answer for text, answer in zip(texts, answers, strict=True)]
        given: dict[str, Any] = {}
        if any(images for _, images, _ in parts):
            given["images"] = [images for _, images, _ in parts]
        if clips := [clip for _, _, own in parts for clip in own]:
            given |= {
                "videos": [clip.frames for clip in clips],
                "video_metadata": [_metadata(clip) for clip in clips],
                "do_sample_frames": False,
            }
        # A chat template spells the special tokens out.
        inputs = self.processor(
            text=texts, add_special_tokens=False, padding=True, padding_side=padding_side, return_tensors="pt", **given
        )
        if TIMES in inputs:
            inputs[TIMES] = [float(seconds) for seconds in inputs[TIMES]]
        return inputs

    def blanks(self) -> list[Seen]:
        """A picture, and where clips are native a clip, that mean nothing.

        Ranks that shard a model must all run its vision encoder equally often, whatever is in their batches.
        """
        picture = Image.new("RGB", (_BLANK_SIDE, _BLANK_SIDE))
        return [picture, *[Clip([picture] * 2, [0.0, 1.0])] * self.native]

    def answer_ids(self, answer: str) -> list[int]:
        """The tokens of an answer behind any question; ValueError if the tokenizer joins it with the question's end."""
        asked = self._template([{"role": "user", "content": [{"type": "text", "text": "?"}]}])
        before, whole = (self.tokenizer(t, add_special_tokens=False).input_ids for t in (asked, asked + answer))
        if whole[: len(before)] != before:
            raise ValueError(f"the tokenizer joins the answer {answer!r} with the end of the question")
        return whole[len(before) :]

    def _template(self, messages: list[dict[str, Any]]) -> str:
        return self.processor.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)

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
                    content.append(part)
                before = seen
            messages.append({**message, "content": content})
        return messages, images, clips


def _metadata(clip: Clip) -> dict[str, Any]:
    count = len(clip.frames)
    return {"total_num_frames": count, "fps": clip.rate, "frames_indices": list(range(count))}
