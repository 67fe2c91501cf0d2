"""Makes a chat VLM's language model read every token of a batch once, and no padding.

Of a pair's two rows, what they begin with in common (the question with its pictures) is read once. Whether a model
gives the same hidden states so is found out in the first batch, by comparing.
"""

from __future__ import annotations

import sys
from functools import wraps
from typing import Any

import torch

from urm_ray.training.layout import Layout, layout_of
from urm_ray.training.read_tokens import attention_of, read_tokens, set_attention

_SAME = {torch.float32: 1e-4, torch.bfloat16: 5e-2, torch.float16: 1e-2}
"""How far the hidden states of both ways may be apart, as a share of their size."""


def read_once(model: Any, pairs: bool = False) -> None:
    """From now on the model (no adapter's wrapper) reads so, or says once, and why, that it reads all rows.

    pairs: batches are those of `AnswerPairs`. Call it after `encode_once`, which also looks at whole batches.
    """
    backbone, reader = model.base_model, _Reader(model.get_decoder())
    plain = backbone.forward

    @wraps(plain)
    def forward(input_ids: torch.Tensor, attention_mask: torch.Tensor | None = None, **inputs: Any) -> Any:
        if attention_mask is not None and reader.is_on:
            reader.layout = layout_of(input_ids, attention_mask, pairs)
        try:
            return plain(input_ids=input_ids, attention_mask=attention_mask, **inputs)
        finally:
            reader.layout = None

    backbone.forward = forward


class _Reader:
    """Stands before the language model of a chat VLM and hands it tokens for rows, where there is a layout."""

    def __init__(self, decoder: Any) -> None:
        self.decoder, self.plain = decoder, decoder.forward
        self.layout: Layout | None = None
        self.is_on, self._is_compared = True, False
        if not set_attention(decoder.config, tokens=True):
            self._give_up(f"its attention is {attention_of(decoder.config)}, where it has to be sdpa or eager")
            return

        @wraps(self.plain)
        def forward(inputs_embeds: torch.Tensor | None = None, **inputs: Any) -> Any:
            return self._forward(inputs_embeds, inputs)

        decoder.forward = forward

    def _forward(self, embeddings: torch.Tensor | None, inputs: dict[str, Any]) -> Any:
        layout = self.layout
        if layout is None or embeddings is None:
            return self.plain(inputs_embeds=embeddings, **inputs)
        if not self._is_compared and self.is_on:
            # Whatever the batch: ranks that share weights all have to run their layers equally often.
            self._is_compared = True
            self._compare(layout, embeddings, inputs)
        if layout.is_full or not self.is_on:
            return self.plain(inputs_embeds=embeddings, **inputs)
        return read_tokens(self.decoder.config, self.plain, layout, embeddings, inputs)

    @torch.no_grad()
    def _compare(self, layout: Layout, embeddings: torch.Tensor, inputs: dict[str, Any]) -> None:
        """Reads in both ways, without dropout."""
        modes = [(module, module.training) for module in self.decoder.modules()]
        self.decoder.eval()
        try:
            rows = self.plain(inputs_embeds=embeddings, **inputs)
            tokens = read_tokens(self.decoder.config, self.plain, layout, embeddings, inputs)
            wanted, found = (layout.pick(output.last_hidden_state).float() for output in (rows, tokens))
            apart = float((found - wanted).norm() / wanted.norm())
            if apart > _SAME[embeddings.dtype]:
                self._give_up(f"its hidden states would change by {apart:.1%}")
        except torch.OutOfMemoryError:
            raise
        except Exception as error:
            self._give_up(f"it fails at it: {type(error).__name__}: {error}")
        finally:
            for module, mode in modes:
                module.training = mode

    def _give_up(self, reason: str) -> None:
        self.is_on = False
        set_attention(self.decoder.config, tokens=False)
        if not (torch.distributed.is_initialized() and torch.distributed.get_rank()):
            name = type(self.decoder).__name__
            sys.stdout.write(f"{name} reads padding, and the question of a pair twice: {reason}\n")
            sys.stdout.flush()
