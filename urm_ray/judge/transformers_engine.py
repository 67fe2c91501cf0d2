"""A judge that runs in this process, by transformers."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from functools import cache, cached_property, partial
from typing import Any

import torch
from PIL import Image
from transformers import GenerationConfig

from urm_ray.chat import Chat, ChatProcessor, Seen, question
from urm_ray.clips import Clip
from urm_ray.config_policy import DEFAULT_CLIPS, ClipConfig
from urm_ray.judge.answers import AnswerTree
from urm_ray.judge.engine import Question, Reading, Written
from urm_ray.judge.pictures import NotSharedError, encode_each
from urm_ray.judge.prefixes import LEAST
from urm_ray.judge.processed_once import process_once
from urm_ray.judge.shared_reading import SharedReading
from urm_ray.judge.unanswered import Unread, Unwritten, ask_able
from urm_ray.spent import Spent
from urm_ray.vlms import load_vlm
from urm_ray.vlms import logits as logits_of

Tails = Sequence[tuple[int, tuple[int, ...]]]
"""Rows to be read: the number of a question, and the tokens that follow it."""

_NEAR = {torch.float32: 1e-3, torch.bfloat16: 5e-2, torch.float16: 1e-2}
"""How far hidden states may be apart by rounding, as a share of the largest."""


class TransformersEngine:
    """Any chat VLM that `AutoModelForImageTextToText` loads, in this process.

    batch: questions looked at together: what they share is done once. batch_tokens: of one pass through the language
    model, padding included. Whether sharing gives what plain passes give is tried out when the judge is loaded;
    `shares` says so, and a warning says why not.
    """

    def __init__(
        self,
        path: str,
        dtype: str = "float32",
        device: str = "auto",
        batch: int = 64,
        attention: str | None = None,
        clips: ClipConfig = DEFAULT_CLIPS,
        batch_tokens: int = 16384,
    ) -> None:
        self.model, self.processor, self.device = load_vlm(path, dtype, device, attention, clips)
        self.chats, self.batch, self.batch_tokens = ChatProcessor(self.processor, clips), batch, batch_tokens
        self._tree = cache(self._build_tree)
        process_once(self.chats, _questions_that_share(clips=self.chats.native))
        self.shares, self.spent = True, Spent()
        try:
            self._try_sharing()
        except NotSharedError as reason:
            self.shares = False
            warnings.warn(f"{path}: every question is read on its own: {reason}", stacklevel=2)
        self.spent.take()

    def _build_tree(self, answers: tuple[str, ...]) -> AnswerTree:
        return AnswerTree.of([self.chats.answer_ids(a) for a in answers], self.chats.end_id)

    def read(self, questions: Sequence[Question]) -> list[Reading]:
        readings: list[Reading] = []
        for start in range(0, len(questions), self.batch):
            batch = questions[start : start + self.batch]
            readings += ask_able(batch, self._read_batch, self._process, Unread.of)
        return readings

    def write(self, questions: Sequence[Question], max_new_tokens: int) -> list[Written]:
        """Answers decoded greedily in batches. The checkpoint's own sampling settings (temperature, penalties, beams,
        words that are forced or forbidden) are not used; only its end tokens are."""
        written: list[Written] = []
        write = partial(self._write_batch, max_new_tokens=max_new_tokens)
        for start in range(0, len(questions), self.batch):
            batch = questions[start : start + self.batch]
            written += ask_able(batch, write, self._process, lambda _, error: Unwritten.of(error))
        return written

    def _process(self, question: Question) -> None:
        """Raises what the processor has against a question, whoever it is asked with."""
        self.chats([question])

    @torch.inference_mode()
    def _write_batch(self, questions: Sequence[Question], max_new_tokens: int) -> list[Written]:
        inputs = self.chats(questions, padding_side="left").to(self.device, self.model.dtype)
        ends, pad = self._ends, self.processor.tokenizer.pad_token_id
        greedy = GenerationConfig(
            max_new_tokens=max_new_tokens, do_sample=False, num_beams=1, eos_token_id=ends, pad_token_id=pad
        )
        self.model.generation_config = greedy  # what is not set would be taken from the checkpoint's
        said = self.model.generate(**inputs, generation_config=greedy)[:, inputs["input_ids"].shape[1] :].tolist()
        self.spent.add(tokens_read=int(inputs["attention_mask"].sum()))
        return [self._written(tokens) for tokens in said]

    def _written(self, tokens: list[int]) -> Written:
        length = next((place for place, token in enumerate(tokens) if token in self._ends), len(tokens))
        self.spent.add(tokens_decoded=min(length + 1, len(tokens)))
        text = self.processor.tokenizer.decode(tokens[:length], skip_special_tokens=True)
        return Written(text.strip(), length < len(tokens))

    @cached_property
    def _ends(self) -> list[int]:
        known = self.model.generation_config.eos_token_id
        return sorted({self.chats.end_id, *([] if known is None else [known] if isinstance(known, int) else known)})

    @torch.inference_mode()
    def _read_batch(self, questions: Sequence[Question]) -> list[Reading]:
        trees = [self._tree(question.answers) for question in questions]
        tails = [(number, spine) for number, tree in enumerate(trees) for spine in tree.spines]
        hidden = self._shared(questions, tails) if self.shares else self._plain(questions, tails)
        made = iter(logits_of(self.model, hidden).float().cpu())
        readings, tail = [], iter(tails)
        for tree in trees:
            parts = [torch.stack([next(made) for _ in range(len(next(tail)[1]) + 1)]) for _ in tree.spines]
            readings.append(Reading(*tree.read(parts)))
        return readings

    def _shared(self, questions: Sequence[Chat], tails: Tails, least: int = LEAST) -> torch.Tensor:
        """Last hidden states (n, H) at each question's last token and at the tokens of each of its tails, in order."""
        inputs = self.chats(questions)
        lengths = inputs["attention_mask"].sum(1).tolist()
        inputs = inputs.to(self.device, self.model.dtype)
        encoded = encode_each(self.model.base_model, inputs)
        reading = SharedReading(self.model, dict(inputs), encoded, tails, least)
        self.spent.add(tokens_read=sum(piece.length for piece in reading.prefixes.pieces))
        return reading.states(_wanted(tails, lengths), self.batch_tokens)

    def _plain(self, questions: Sequence[Chat], tails: Tails) -> torch.Tensor:
        """The same, every question with every tail read on its own, in one batch."""
        inputs = self.chats([questions[number] for number, _ in tails])
        lengths = inputs["attention_mask"].sum(1).tolist()
        append_tokens(inputs, lengths, [tail for _, tail in tails], self.processor.tokenizer.pad_token_id)
        self.spent.add(tokens_read=int(inputs["attention_mask"].sum()))
        inputs = inputs.to(self.device, self.model.dtype)
        hidden = self.model.base_model(**inputs, use_cache=False).last_hidden_state
        rows = [(row, tail) for row, (_, tail) in enumerate(tails)]
        where = torch.tensor(_wanted(rows, lengths), device=hidden.device)
        return hidden[where[:, 0], where[:, 1]]

    @torch.inference_mode()
    def _try_sharing(self) -> None:
        """NotSharedError unless questions that share pictures are read as they are one by one."""
        kinds = getattr(self.model.config.get_text_config(), "layer_types", None) or []
        if other := {*kinds} - {"full_attention"}:
            raise NotSharedError(f"its layers have {other.pop()}")
        questions = _questions_that_share(clips=self.chats.native)
        tails = [(number, tail) for number in range(len(questions)) for tail in ((self.chats.end_id,), ())]
        try:
            found = self._shared(questions, tails, least=1)
        except torch.OutOfMemoryError:
            raise
        except (NotSharedError, RuntimeError, ValueError, TypeError, AttributeError, IndexError) as error:
            raise NotSharedError(str(error) or type(error).__name__) from error
        wanted = self._plain(questions, tails)
        distance = float((found - wanted).abs().max() / wanted.abs().max())
        if not distance <= _NEAR[wanted.dtype]:
            raise NotSharedError(f"hidden states would differ by {distance:.1%}")


def _wanted(tails: Tails, lengths: Sequence[int]) -> list[tuple[int, int]]:
    """(row, place) of each question's last token and of the tokens of its tail, for each of the tails."""
    return [(r, lengths[n] - 1 + depth) for r, (n, tail) in enumerate(tails) for depth in range(len(tail) + 1)]


def _questions_that_share(clips: bool) -> list[Chat]:
    """Questions about two pictures, and if so wished two clips, in both orders and alone."""
    ramp = Image.linear_gradient("L").resize((64, 48)).convert("RGB")
    rings = Image.radial_gradient("L").resize((64, 48)).convert("RGB")
    pairs: list[tuple[Seen, Seen]] = [(ramp, rings)]
    if clips:
        pairs.append((Clip([ramp, rings], [0.0, 0.5]), Clip([rings, ramp], [0.0, 0.5])))
    shown = [one for a, b in pairs for one in ((a, b), (b, a), (a,), (b,))]
    return [question("?", media) for media in shown]


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
