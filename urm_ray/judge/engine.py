"""What runs a judge model. An engine turns questions with closed answers into probabilities."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Protocol

import torch

from urm_ray.chat import Chat, ChatProcessor
from urm_ray.config import DEFAULT_CLIPS, ClipConfig
from urm_ray.judge.answers import AnswerTree
from urm_ray.models import load_vlm


@dataclass(frozen=True)
class Question(Chat):
    """A chat, and the answers that may follow."""

    answers: tuple[str, ...]


@dataclass(frozen=True)
class Reading:
    """Probability of each answer, given that it is one of them, and how probable that was."""

    probabilities: list[float]
    mass: float


class Engine(Protocol):
    def read(self, questions: Sequence[Question]) -> list[Reading]:
        """One reading a question, in order."""


class TransformersEngine:
    """Any chat VLM that `AutoModelForImageTextToText` loads, in this process."""

    def __init__(
        self,
        path: str,
        dtype: str = "float32",
        device: str = "auto",
        batch: int = 64,
        attention: str | None = None,
        clips: ClipConfig = DEFAULT_CLIPS,
    ) -> None:
        self.model, self.processor, self.device = load_vlm(path, dtype, device, attention)
        self.chats, self.batch = ChatProcessor(self.processor, clips), batch
        self._tree = cache(self._build_tree)

    def _build_tree(self, answers: tuple[str, ...]) -> AnswerTree:
        return AnswerTree.of([self.chats.answer_ids(a) for a in answers], self.processor.tokenizer.eos_token_id)

    def read(self, questions: Sequence[Question]) -> list[Reading]:
        readings: list[Reading] = []
        for start in range(0, len(questions), self.batch):
            readings += self._read_batch(questions[start : start + self.batch])
        return readings

    @torch.inference_mode()
    def _read_batch(self, questions: Sequence[Question]) -> list[Reading]:
        trees = [self._tree(q.answers) for q in questions]
        rows = [(i, spine) for i, tree in enumerate(trees) for spine in tree.spines]
        inputs = self.chats([questions[i] for i, _ in rows])
        lengths = inputs["attention_mask"].sum(1).tolist()
        append_tokens(inputs, lengths, [spine for _, spine in rows], self.processor.tokenizer.pad_token_id)
        hidden = self.model.model(**inputs.to(self.device)).last_hidden_state
        at = [(r, lengths[r] - 1 + depth) for r, (_, spine) in enumerate(rows) for depth in range(len(spine) + 1)]
        where = torch.tensor(at, device=hidden.device)
        logits = iter(self.model.lm_head(hidden[where[:, 0], where[:, 1]]).float().cpu())
        readings, row = [], iter(rows)
        for tree in trees:
            parts = [torch.stack([next(logits) for _ in range(len(next(row)[1]) + 1)]) for _ in tree.spines]
            readings.append(Reading(*tree.read(parts)))
        return readings


def append_tokens(inputs: Any, lengths: list[int], tails: list[tuple[int, ...]], pad: int) -> None:
    """Puts `tails[r]` behind the first `lengths[r]` tokens of row r, in place, in all per-token tensors."""
    rows, width = inputs["input_ids"].shape
    wider = max(n + len(t) for n, t in zip(lengths, tails, strict=True)) - width
    for name in [n for n, t in inputs.items() if isinstance(t, torch.Tensor) and t.shape == (rows, width)]:
        fill = pad if name == "input_ids" else 0
        if wider > 0:
            inputs[name] = torch.nn.functional.pad(inputs[name], (0, wider), value=fill)
        for r, (n, tail) in enumerate(zip(lengths, tails, strict=True)):
            if tail and name == "input_ids":
                inputs[name][r, n : n + len(tail)] = torch.tensor(tail)
            elif tail and name == "attention_mask":
                inputs[name][r, n : n + len(tail)] = 1
