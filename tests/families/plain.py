"""What transformers alone makes of questions to a chat VLM: what every door of ours must agree with."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from PIL import Image
from transformers import AutoModelForImageTextToText, AutoProcessor

from urm_ray.clips import Clip

Part = str | Image.Image | Clip
CHATML_END = "<|im_end|>"
ENDS = {"llava": "</s>", "idefics3": "<end_of_utterance>", "gemma3": "<end_of_turn>"}
"""What closes an answer, where it is not CHATML_END."""
LEADS = {"llava": " ", "idefics3": " "}
"""What stands between a question's end and its answer."""
SPELLED = {"llava_onevision": "<image>", "llava": "<image>", "gemma3": "<start_of_image>"}
"""The slot of a picture as words, where a template does not keep everything in its place."""
MEDIA_FIRST = ("llava_onevision", "llava")
"""Families whose templates put a turn's media before all its words."""
NO_LINES = ("llava_onevision", "gemma3")
"""Families whose templates leave no line's end between two pictures."""
BEGUN = ("llava",)
"""Families whose texts are begun by the tokenizer and not by the template."""
NATIVE = {"qwen2_vl": True, "qwen2_5_vl": True, "qwen3_vl": True, "llava_onevision": False, "internvl": False}
"""Families that have a slot for clips, and whether clips of different lengths may fill it together."""


def noise(seed: int, width: int = 16, height: int = 16) -> Image.Image:
    """A picture like no other."""
    return Image.fromarray(np.random.default_rng(seed).integers(0, 255, (height, width, 3), dtype=np.uint8))


def film(seed: int, frames: int = 8, seconds: float = 0.25) -> Clip:
    """A clip with so many seconds between two frames."""
    return Clip([noise(100 * seed + n) for n in range(frames)], [n * seconds for n in range(frames)])


def as_frames(parts: Sequence[Part]) -> list[Part]:
    """With the frames of each clip as pictures in its place."""
    return [one for part in parts for one in (part.frames if isinstance(part, Clip) else [part])]


def content(parts: Sequence[Part]) -> list[dict[str, str]]:
    """A turn in which these parts come in this order."""
    slots = ("video" if isinstance(part, Clip) else "image" for part in parts)
    return [
        {"type": "text", "text": part} if isinstance(part, str) else {"type": slot}
        for part, slot in zip(parts, slots, strict=True)
    ]


class Plain:
    """A checkpoint of a family as transformers loads it, with no code of ours."""

    def __init__(self, name: str, path: str, dtype: torch.dtype = torch.float32) -> None:
        self.name, self.path, self.dtype = name, path, dtype
        self.model = AutoModelForImageTextToText.from_pretrained(path, dtype=dtype, use_safetensors=True).eval()
        self.processor = AutoProcessor.from_pretrained(path)
        self.tokenizer = self.processor.tokenizer
        self.pad = self.tokenizer.convert_tokens_to_ids(self.tokenizer.pad_token or ENDS[name])
        self.lead, self.end = LEADS.get(name, ""), ENDS.get(name, CHATML_END)

    @property
    def shown(self) -> list[str]:
        """The ways in which the family can be shown clips."""
        return ["frames", "native"] if self.name in NATIVE else ["frames"]

    def text(self, parts: Sequence[Part]) -> str:
        words = [isinstance(part, str) for part in parts if part != "\n"]
        moved = self.name in MEDIA_FIRST and words != sorted(words)
        if moved or (self.name in NO_LINES and "\n" in parts):
            slots = {"image": SPELLED[self.name], "video": "<video>"}
            parts = ["".join(part.get("text") or slots[part["type"]] for part in content(parts))]
        asked = [{"role": "user", "content": content(parts)}]
        return self.processor.apply_chat_template(asked, tokenize=False, add_generation_prompt=True)

    def inputs(self, parts: Sequence[Part], answer: str = "") -> Any:
        """Model inputs of one question, with the text of an answer behind it."""
        given: dict[str, Any] = {}
        if images := [part for part in parts if isinstance(part, Image.Image)]:
            given["images"] = [images]
        if clips := [part for part in parts if isinstance(part, Clip)]:
            given |= {"videos": [clip.frames for clip in clips], "do_sample_frames": False}
            given["video_metadata"] = [
                {"total_num_frames": len(c.frames), "fps": c.rate, "frames_indices": list(range(len(c.frames)))}
                for c in clips
            ]
        made = self.processor(
            text=[self.text(parts) + answer], add_special_tokens=self.name in BEGUN, return_tensors="pt", **given
        )
        return made.to("cpu", self.dtype)

    def closed(self, answer: str) -> str:
        return self.lead + answer + self.end

    @torch.inference_mode()
    def behind(self, parts: Sequence[Part], answer: str) -> tuple[list[int], torch.Tensor]:
        """The tokens of an answer and its end, N of them, and the log-probabilities (N, V) before each."""
        inputs = self.inputs(parts, self.closed(answer))
        count = inputs["input_ids"].shape[1] - self.inputs(parts)["input_ids"].shape[1]
        logits = self.model(**inputs).logits[0, -count - 1 : -1]
        return inputs["input_ids"][0, -count:].tolist(), logits.double().log_softmax(-1)

    def logp(self, parts: Sequence[Part], answer: str) -> float:
        """The log-probability of an answer and its end."""
        tokens, logps = self.behind(parts, answer)
        return float(logps[range(len(tokens)), tokens].sum())

    def chances(self, parts: Sequence[Part], answers: Sequence[str]) -> list[float]:
        """Each answer's probability when every token is kept to the answers."""
        found = [self.behind(parts, answer) for answer in answers]
        said = [tokens for tokens, _ in found]
        chances = []
        for tokens, logps in found:
            chance = 1.0
            for depth, token in enumerate(tokens):
                allowed = sorted({other[depth] for other in said if other[:depth] == tokens[:depth]})
                chance *= float(logps[depth][allowed].softmax(-1)[allowed.index(token)])
            chances.append(chance)
        return chances
