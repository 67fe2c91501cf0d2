"""Samples answers to questions about pictures and clips from a chat VLM."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from urm_ray.candidates.draw import draw, filtered
from urm_ray.chat import Chat, ChatProcessor, Seen, question
from urm_ray.clips import Sampling, decode_media
from urm_ray.config_policy import DEFAULT_CLIPS, ClipConfig, SamplerConfig
from urm_ray.media import MediaError
from urm_ray.spent import Spent
from urm_ray.vlms import load_vlm

CUT_OFF_SHOWN = 60


@dataclass(frozen=True, eq=False)
class Asked:
    """What a policy is asked: a question and the pictures and clips that it is about."""

    question: str
    media: tuple[Seen, ...] = ()
    error: str | None = None
    """Why it cannot be asked."""

    @classmethod
    def of(cls, row: dict[str, Any], sampling: Sampling) -> Asked:
        """From a `schema.PROMPT` row; media that do not decode are its error."""
        try:
            return cls(row["prompt"], tuple(decode_media(media, sampling) for media in row["context"] or ()))
        except MediaError as error:
            return cls(row["prompt"], error=f"context: {error}")

    @property
    def chat(self) -> Chat:
        return question(self.question, self.media)


class AnswerSampler:
    """Writes one answer for each (what is asked, seed).

    A question is read once, however many answers it gets: its keys and values are copied to as many rows. The
    checkpoint's own sampling settings (temperature, penalties) are not used; only its end tokens are.

    An answer that is empty, or that has not ended within `max_new_tokens`, is an error of that candidate alone: cut
    off, it would be judged for what the limit took away, and as the chosen one would teach to write without an end.
    """

    def __init__(
        self,
        path: str,
        config: SamplerConfig,
        dtype: str = "float32",
        device: str = "auto",
        clips: ClipConfig = DEFAULT_CLIPS,
    ) -> None:
        self.model, self.processor, self.device = load_vlm(path, dtype, device, config.answers.attention, clips)
        self.config, self.chats = config, ChatProcessor(self.processor, clips)
        ends = self.model.generation_config.eos_token_id
        known = torch.tensor([] if ends is None else ends, dtype=torch.long).reshape(-1).tolist()
        self.spent = Spent()
        self.ends = torch.tensor(sorted({*known, self.chats.end_id}), device=self.device)

    def sample(
        self, requests: Sequence[tuple[Asked, int]], wanted: Sequence[bool] | None = None
    ) -> list[dict[str, Any]]:
        """`schema.CANDIDATE` values for (asked, seed) requests, indexed in order.

        Requests for one and the same `Asked` object belong next to each other; they are never parted, and share
        batches with others as long as these hold `batch` answers or fewer.
        wanted: batches of which nothing is wanted are left out and their candidates are empty; the others are made
        whole, so that what is wanted comes out the same.
        """
        made: list[dict[str, Any]] = []
        for groups in self._batches(requests):
            start, size = len(made), sum(len(seeds) for _, seeds in groups)
            skip = wanted is not None and not any(wanted[start : start + size])
            made += [{}] * size if skip else self._batch(groups)
        return [{"index": i, **candidate} for i, candidate in enumerate(made)]

    def _batches(self, requests: Sequence[tuple[Asked, int]]) -> list[list[tuple[Asked, list[int]]]]:
        batches: list[list[tuple[Asked, list[int]]]] = []
        room = 0
        for _, group in itertools.groupby(requests, key=lambda request: id(request[0])):
            same = list(group)
            if len(same) > room:
                batches.append([])
                room = self.config.batch
            batches[-1].append((same[0][0], [seed for _, seed in same]))
            room -= len(same)
        return batches

    def _batch(self, groups: Sequence[tuple[Asked, list[int]]]) -> list[dict[str, Any]]:
        able = [(asked, seeds) for asked, seeds in groups if asked.error is None]
        written = iter(self._write(able) if able else [])
        return [
            _candidate(seed, None, asked.error) if asked.error else _candidate(seed, *next(written))
            for asked, seeds in groups
            for seed in seeds
        ]

    @torch.inference_mode()
    def _write(self, groups: Sequence[tuple[Asked, list[int]]]) -> list[tuple[str | None, str | None]]:
        """(text, error) of each answer."""
        settings = self.config.answers
        seeds = torch.tensor([seed for _, seeds in groups for seed in seeds], device=self.device)
        scores, state = self._read(groups)
        tokens: list[torch.Tensor] = []
        alive, broken = torch.ones_like(seeds, dtype=torch.bool), torch.zeros_like(seeds, dtype=torch.bool)
        decoded = torch.zeros((), dtype=torch.long, device=self.device)
        while True:
            decoded += alive.sum()
            broken |= alive & ~scores.amax(-1).isfinite()
            kept = filtered(scores, settings.temperature, settings.top_k, settings.top_p)
            tokens.append(draw(kept, seeds, len(tokens)))
            alive &= ~torch.isin(tokens[-1], self.ends) & ~broken
            if len(tokens) == settings.max_new_tokens or not alive.any():
                break
            scores = self._next(tokens[-1], state)
        said = torch.stack(tokens, 1)
        self.spent.add(tokens_decoded=int(decoded))
        return [self._said(*row) for row in zip(said.tolist(), broken.tolist(), alive.tolist(), strict=True)]

    def _read(self, groups: Sequence[tuple[Asked, list[int]]]) -> tuple[torch.Tensor, dict[str, Any]]:
        """Logits (rows, V) of every answer's first token, and the state of decoding with one row an answer."""
        inputs = self.chats([asked.chat for asked, _ in groups], padding_side="left")
        self.spent.add(tokens_read=int(inputs["attention_mask"].sum()))
        inputs = inputs.to(self.device, self.model.dtype)
        ids = inputs.pop("input_ids")
        positions = self.model._prepare_position_ids_for_generation(ids, dict(inputs))
        given = {**inputs, "position_ids": positions, "use_cache": True, "logits_to_keep": 1}
        outputs = self.model(**self.model.prepare_inputs_for_generation(ids, is_first_iteration=True, **given))
        rows = torch.tensor([i for i, (_, seeds) in enumerate(groups) for _ in seeds], device=self.device)
        outputs.past_key_values.reorder_cache(rows)
        per_token = {n: t[rows] for n, t in inputs.items() if isinstance(t, torch.Tensor) and t.shape == ids.shape}
        state = {
            **per_token,
            "position_ids": positions.index_select(positions.ndim - 2, rows),
            "past_key_values": outputs.past_key_values,
            "use_cache": True,
        }
        return outputs.logits[rows, -1], state

    def _next(self, tokens: torch.Tensor, state: dict[str, Any]) -> torch.Tensor:
        """Logits (rows, V) of the tokens after these; `state` grows by one token."""
        state.update(self.model._update_model_kwargs_for_generation({}, state))
        inputs = self.model.prepare_inputs_for_generation(tokens[:, None], next_sequence_length=1, **state)
        outputs = self.model(**inputs)
        state["past_key_values"] = outputs.past_key_values
        return outputs.logits[:, -1]

    def _said(self, tokens: list[int], broken: bool, cut_off: bool) -> tuple[str | None, str | None]:
        if broken:
            return None, "the policy's logits are not numbers"
        ends = set(self.ends.tolist())
        length = next((i for i, token in enumerate(tokens) if token in ends), len(tokens))
        text = self.processor.tokenizer.decode(tokens[:length], skip_special_tokens=True).strip()
        if cut_off:
            return None, f"no end within {len(tokens)} tokens: {text[:CUT_OFF_SHOWN]!r}"
        return (text, None) if text else (None, "the answer is empty")


def _candidate(seed: int, text: str | None, error: str | None) -> dict[str, Any]:
    return {"seed": seed, "media": None, "text": text, "error": error}
