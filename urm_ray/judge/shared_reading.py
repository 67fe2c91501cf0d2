"""Reads questions with a language model: what several of them begin with once, and each answer's path behind them.

The keys and values of a shared beginning are kept and given to all that goes on from it, as a model does with its own
words when it writes. Exact up to rounding for attention that looks back at everything; whether a model's does is found
out when a judge is loaded (`TransformersEngine`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from transformers import DynamicCache

from urm_ray.judge.pictures import Encoded, NotSharedError
from urm_ray.judge.prefixes import LEAST, Prefixes, batches
from urm_ray.vlms import PIXELS

_VISUAL, _DEEP = "visual_pos_masks", "deepstack_visual_embeds"
"""What Qwen3-VL's language model is given beside embeddings: which tokens are pictures', and features of theirs that
are added to several layers."""
_MIX = np.array([0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9, 0x27D4EB2F165667C5], np.uint64).view(
    np.int64
)
"""Makes one number of a token and of its place on up to three axes; clips at other rates have other places."""
_PASS = {"cpu": (30.0, 1.6e8), "cuda": (0.0, 4e12)}
"""What a pass takes by itself: tokens that are read in the time in which the weights come from memory, and how many
weights can meet a token in the time in which operations are started. Measured on CPUs with models of 1 and 135
million weights, in passes of 1 to 320 tokens; on GPUs operations are started for longer than weights take."""


class _GivenError(Exception):
    """Ends a backbone's forward where it hands over to its language model, with what it hands over."""


def given_to_language(model: Any, inputs: dict[str, Any], encoded: Encoded) -> dict[str, Any]:
    """What a backbone gives its language model for these inputs."""

    def stop(_: Any, args: Any, kwargs: Any) -> None:
        raise _GivenError(kwargs)

    left = {name: value for name, value in inputs.items() if name not in PIXELS.values()}
    hook = model.get_decoder().register_forward_pre_hook(stop, with_kwargs=True)
    try:
        model.base_model(**left, mm_encoder_outputs=encoded.outputs or None, use_cache=False)
    except _GivenError as given:
        return given.args[0]
    finally:
        hook.remove()
    raise NotSharedError("the backbone does not call its language model")


@dataclass
class _Row:
    """A question with the tokens of one path of answers behind it."""

    places: np.ndarray
    """Of its tokens in the table of embeddings."""
    keys: np.ndarray
    positions: np.ndarray
    """(axes, tokens)"""


@dataclass
class _Kept:
    """Keys and values of a piece and of all before it. mask: which of their places hold tokens."""

    cache: DynamicCache
    row: int
    mask: np.ndarray


class SharedReading:
    """The hidden states of questions, each with several tails behind it.

    inputs, encoded: of the questions, padded on the right. tails: for each row the question and the tokens that
    follow it. least: of `Prefixes`. NotSharedError where the language model is given what cannot be parted into pieces.
    """

    def __init__(
        self,
        model: Any,
        inputs: dict[str, Any],
        encoded: Encoded,
        tails: Sequence[tuple[int, tuple[int, ...]]],
        least: int = LEAST,
    ) -> None:
        self.language = model.get_decoder()
        given = given_to_language(model, inputs, encoded)
        embeds, mask = given.pop("inputs_embeds"), given.pop("attention_mask")
        positions = given.pop("position_ids", None)
        self.device = embeds.device
        self._visual, self._deep = given.pop(_VISUAL, None), given.pop(_DEEP, None)
        plain = {"input_ids", "past_key_values", "use_cache", "cache_position", "return_dict"}
        if strange := [name for name, value in given.items() if value is not None and name not in plain]:
            raise NotSharedError(f"the language model is given {strange[0]}")
        if not isinstance(mask, torch.Tensor) or mask.ndim != 2:
            raise NotSharedError("the language model is given a mask of its own")
        self._table(model, embeds, tails)
        lengths = mask.sum(1).tolist()
        keys = _keys(model, inputs, encoded)
        places = positions.reshape(-1, *embeds.shape[:2]).cpu().numpy() if positions is not None else None
        self.axes = None if positions is None else positions.ndim
        self.rows = [self._row(q, tail, lengths[q], keys, places, embeds.shape[1]) for q, tail in tails]
        self.prefixes = Prefixes([row.keys for row in self.rows], least)
        self._kept: dict[int, _Kept] = {}

    def _table(self, model: Any, embeds: torch.Tensor, tails: Sequence[tuple[int, tuple[int, ...]]]) -> None:
        """Puts the embeddings of all tokens in one table, those of tails behind those of questions."""
        words = sorted({token for _, tail in tails for token in tail})
        self._word = {token: embeds.shape[0] * embeds.shape[1] + n for n, token in enumerate(words)}
        more = model.get_input_embeddings()(torch.tensor(words, dtype=torch.long, device=self.device))
        self.embeds = torch.cat([embeds.flatten(0, 1), more.to(embeds.dtype)])
        if self._visual is not None:
            seen = torch.cat([self._visual.flatten(), self._visual.new_zeros(len(words))])
            self._feature = torch.where(seen, seen.cumsum(0) - 1, -1)

    def _row(
        self, q: int, tail: tuple[int, ...], length: int, keys: np.ndarray, positions: np.ndarray | None, width: int
    ) -> _Row:
        words = np.array([self._word[token] for token in tail], dtype=np.int64)
        steps = np.arange(1, len(tail) + 1)
        own = np.arange(length)[None] if positions is None else positions[:, q, :length]
        where = np.concatenate([own, own[:, -1:] + steps], axis=1)
        tokens = np.concatenate([keys[q, :length], np.array(tail, dtype=np.int64)])
        places = np.concatenate([q * width + np.arange(length), words])
        return _Row(places, np.stack([tokens, *where]).T @ _MIX[: 1 + len(where)], where)

    def states(self, wanted: Sequence[tuple[int, int]], most_tokens: int) -> torch.Tensor:
        """Last hidden states (n, H) of these (row, place) tokens. most_tokens: of one pass, padding included."""
        pieces = self.prefixes.pieces
        asked: dict[int, set[int]] = {}
        where = []
        for row, place in wanted:
            number = self.prefixes.piece_of(row, place)
            where.append((number, place - pieces[number].start))
            asked.setdefault(number, set()).add(place - pieces[number].start)
        weights = sum(parameter.numel() for parameter in self.language.parameters())
        from_memory, started = _PASS.get(self.device.type, _PASS["cuda"])
        pass_tokens = from_memory + started / weights
        parents = {piece.before for piece in pieces}
        found: dict[tuple[int, int], torch.Tensor] = {}
        for level in self.prefixes.levels():
            lengths = [pieces[n].length for n in level]
            for group in batches(lengths, pass_tokens, most_tokens):
                numbers = [level[n] for n in group]
                hidden, cache, masks = self._pass(numbers, keeps=any(n in parents for n in numbers))
                for r, number in enumerate(numbers):
                    if number in parents:
                        self._kept[number] = _Kept(cache, r, masks[r])
                    for offset in asked.get(number, ()):
                        found[number, offset] = hidden[r, offset]
        self._kept = {}
        return torch.stack([found[one] for one in where])

    def _pass(self, numbers: list[int], keeps: bool) -> tuple[torch.Tensor, Any, np.ndarray]:
        """(hidden states (pieces, tokens, H), keys and values up to here, (pieces, places) where these hold tokens)."""
        pieces = [self.prefixes.pieces[n] for n in numbers]
        width = max(piece.length for piece in pieces)
        place = np.zeros((len(pieces), width), dtype=np.int64)
        own = np.zeros((len(pieces), width), dtype=bool)
        axes = self.rows[0].positions.shape[0]
        positions = np.zeros((axes, len(pieces), width), dtype=np.int64)
        for r, piece in enumerate(pieces):
            row, part = self.rows[piece.row], slice(piece.start, piece.end)
            place[r, : piece.length], own[r, : piece.length] = row.places[part], True
            positions[:, r, : piece.length] = row.positions[:, part]
        before = [self._kept[piece.before] for piece in pieces if piece.before is not None]
        cache, past = self._joined(before) if before else (DynamicCache() if keeps else None, None)
        mask = own if past is None else np.concatenate([past, own], axis=1)
        on = torch.from_numpy(place).to(self.device)
        where = torch.from_numpy(positions).to(self.device)
        output = self.language(
            inputs_embeds=self.embeds[on],
            attention_mask=torch.from_numpy(mask.astype(np.int64)).to(self.device),
            position_ids=where if self.axes == 3 else where[0],
            past_key_values=cache,
            use_cache=cache is not None,
            **self._seen(on, torch.from_numpy(own).to(self.device)),
        )
        return output.last_hidden_state, cache, mask

    def _seen(self, on: torch.Tensor, own: torch.Tensor) -> dict[str, Any]:
        """What Qwen3-VL adds to layers at these tokens."""
        if self._visual is None:
            return {}
        features = torch.where(own, self._feature[on], -1)
        chosen = features[features >= 0]
        return {_VISUAL: features >= 0, _DEEP: [layer[chosen] for layer in self._deep]}

    def _joined(self, kept: list[_Kept]) -> tuple[DynamicCache, np.ndarray]:
        """The keys and values of several pieces, one a row, and where they hold tokens."""
        width = max(len(one.mask) for one in kept)
        mask = np.zeros((len(kept), width), dtype=bool)
        groups: dict[int, list[int]] = {}
        for r, one in enumerate(kept):
            mask[r, : len(one.mask)] = one.mask
            groups.setdefault(id(one.cache), []).append(r)
        layers = []
        for number in range(len(kept[0].cache.layers)):
            layers.append(tuple(self._rows_of(kept, groups, number, part, width) for part in ("keys", "values")))
        return DynamicCache(layers), mask

    def _rows_of(
        self, kept: list[_Kept], groups: dict[int, list[int]], number: int, part: str, width: int
    ) -> torch.Tensor:
        if len(groups) == 1:
            rows = torch.tensor([one.row for one in kept], device=self.device)
            return getattr(kept[0].cache.layers[number], part)[rows]
        first = getattr(kept[0].cache.layers[number], part)
        whole = first.new_zeros(len(kept), first.shape[1], width, first.shape[3])
        for rows in groups.values():
            values = getattr(kept[rows[0]].cache.layers[number], part)
            own = torch.tensor([kept[r].row for r in rows], device=self.device)
            whole[torch.tensor(rows, device=self.device), :, : values.shape[2]] = values[own]
        return whole


def _keys(model: Any, inputs: dict[str, Any], encoded: Encoded) -> np.ndarray:
    """(questions, tokens): whole numbers that are equal where the same token stands, of words or of one picture."""
    ids = inputs["input_ids"]
    keys = ids.clone()
    for number, (kind, same) in enumerate(encoded.same.items()):
        slots = ids == getattr(model.config, f"{kind}_token_id")
        if int(slots.sum()) != len(same):
            raise NotSharedError(f"there are {int(slots.sum())} tokens for the {len(same)} of each {kind}")
        keys[slots] = (-1 - number - len(encoded.same) * same).to(keys.device)
    return keys.cpu().numpy()
