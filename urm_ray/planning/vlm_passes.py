"""One micro-batch through a VLM on the meta device, as its trainings and its readers run it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

from urm_ray.planning.geometry import Eyes, Looks
from urm_ray.planning.rehearsal import Rehearsal, rehearse, repeated
from urm_ray.training.layout import Layout
from urm_ray.training.read_tokens import read_tokens, set_attention

_PLACES, _VOCABULARY = 4096, 32768
"""Places and tokens of the vocabulary in a tile of logits, as TRL makes them."""


@dataclass(frozen=True)
class Batch:
    """Sequences of one length, what their chats show, and how many of their places make logits."""

    looks: tuple[Looks, ...]
    """Of each chat."""
    tokens: int
    """Of each sequence, those of its pictures included."""
    predicted: int
    """Places of each sequence whose next token is predicted."""
    answers: int = 1
    """Sequences that share a chat: the two of a preference pair."""
    once: bool = True
    """Whether what they share is read once, as `training.read_once` has it read."""

    @property
    def rows(self) -> int:
        return len(self.looks) * self.answers

    @property
    def layout(self) -> Layout:
        """Of a preference pair's sequences."""
        shared = len(self.looks) * (self.tokens - self.predicted)
        read = self.rows * self.tokens - shared
        first, again, numbers = (
            torch.empty(size, dtype=torch.long, device="meta")
            for size in ((read,), (shared,), (self.rows, self.tokens))
        )
        return Layout(first, again, again, numbers, right=True)


def training_pass(model: Any, eyes: Eyes | None, batch: Batch) -> Rehearsal:
    """Forward and backward."""

    def run() -> None:
        states = _last_states(model, eyes, batch, cache=False)[0]
        head = model.get_output_embeddings()
        places = torch.empty(batch.rows * batch.predicted, dtype=torch.long, device="meta")
        _TiledLogProbs.apply(states.flatten(0, 1)[places], head.weight).sum().backward()

    return rehearse(run, model)


def reading_pass(model: Any, eyes: Eyes | None, batch: Batch, cache: bool = False) -> Rehearsal:
    """Forward alone, and logits of the predicted places. cache: keys and values are kept, for tokens to be decoded."""

    def run() -> None:
        with torch.no_grad():
            states, _kept = _last_states(model, eyes, batch, cache)
            places = torch.empty(batch.rows * batch.predicted, dtype=torch.long, device="meta")
            model.get_output_embeddings()(states.flatten(0, 1)[places]).float()

    return rehearse(run, model)


def _last_states(model: Any, eyes: Eyes | None, batch: Batch, cache: bool) -> tuple[torch.Tensor, Any]:
    """The last hidden states (rows, tokens, H), and the cache of keys and values."""
    embedding = model.get_input_embeddings()
    ids = torch.empty(batch.rows, batch.tokens, dtype=torch.long, device="meta")
    states = repeated(lambda: embedding(ids), 1)  # first, as models do, and so last on the way back
    if eyes is not None and any(batch.looks):
        features = eyes.features(model.base_model, batch.looks, embedding.weight.dtype)
        shown = torch.empty(*states.shape[:2], 1, dtype=torch.bool, device="meta").expand_as(states)
        states = states.masked_scatter(shown, torch.cat([features] * batch.answers))
    decoder = model.get_decoder()
    if batch.answers > 1 and batch.once and set_attention(decoder.config, tokens=True):
        return read_tokens(decoder.config, decoder, batch.layout, states, {}).last_hidden_state, None
    output = decoder(inputs_embeds=states, use_cache=cache)
    return output.last_hidden_state, output.past_key_values


class _TiledLogProbs(torch.autograd.Function):
    """What TRL's fused head holds: logits of one tile at a time, made again in the backward pass, and gradients that
    are summed up in float32."""

    @staticmethod
    def forward(ctx: Any, states: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
        ctx.save_for_backward(states, weight)
        tile = _tile(states, weight)
        for rows in states.split(_PLACES):
            for columns in weight.split(_VOCABULARY):
                torch.mm(rows, columns.t(), out=tile[: len(rows), : len(columns)])
        return states.new_empty(len(states), dtype=torch.float32)

    @staticmethod
    def backward(ctx: Any, *_: torch.Tensor) -> tuple[torch.Tensor | None, torch.Tensor | None]:
        states, weight = ctx.saved_tensors
        wanted = ctx.needs_input_grad
        sums = [
            torch.zeros_like(t, dtype=torch.float32) if w else None
            for t, w in zip((states, weight), wanted, strict=True)
        ]
        tile = _tile(states, weight)
        for rows in states.split(_PLACES):
            for columns in weight.split(_VOCABULARY):
                part = torch.mm(rows, columns.t(), out=tile[: len(rows), : len(columns)])
                if sums[0] is not None:
                    torch.mm(part, columns, out=torch.empty_like(rows))
                if sums[1] is not None:
                    torch.mm(part.t(), rows, out=torch.empty_like(columns))
        made = [s if s is None else s.to(t.dtype) for s, t in zip(sums, (states, weight), strict=True)]
        return made[0], made[1]


def _tile(states: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    return states.new_empty(min(len(states), _PLACES), min(len(weight), _VOCABULARY))


def cache_bytes_per_token(model: Any) -> int:
    """Keys and values of one token in all layers, in the model's type."""
    config = model.config.get_text_config()
    heads = config.num_key_value_heads or config.num_attention_heads
    width = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    size = model.get_input_embeddings().weight.element_size()
    return 2 * config.num_hidden_layers * heads * width * size
