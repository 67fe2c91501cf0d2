"""Rows to train on, made from seeds: pictures of noise, and words that a tokenizer has one token for."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
from helpers import answer_pair, as_answers, candidate, pair_preference, point_preference
from PIL import Image
from small_vlm import SIDE

from urm_ray.media import encode_image


def picture(seed: int) -> Image.Image:
    """A square of SIDE pixels, in blocks of colours."""
    blocks = np.random.default_rng(seed).integers(0, 255, (14, 14, 3), dtype=np.uint8)
    return Image.fromarray(blocks).resize((SIDE, SIDE), Image.Resampling.BILINEAR)


class Texts:
    """Texts of any number of words, each of one token."""

    def __init__(self, tokenizer: Any, seed: int) -> None:
        found = (tokenizer.convert_ids_to_tokens(number) for number in range(len(tokenizer)))
        self.words = [token[1:] for token in found if token[0] == "\u0120" and token[1:].isalpha() and len(token) > 3]
        self.random = random.Random(seed)

    def of(self, fewest: int, most: int) -> str:
        return " ".join(self.random.choices(self.words, k=self.random.randint(fewest, most)))


def answer_pairs(tokenizer: Any, count: int) -> list[dict[str, Any]]:
    """Questions of 90 to 110 words about one picture each, with two answers of 20 to 80 tokens."""
    texts, rows = Texts(tokenizer, 0), []
    for number in range(count):
        sides = [candidate(side, media=None, text=texts.of(20, 80)) for side in (0, 1)]
        context = [encode_image(picture(number))]
        rows.append(answer_pair(number, prompt=texts.of(90, 110), context=context, chosen=sides[0], rejected=sides[1]))
    return rows


def preferences(tokenizer: Any, count: int) -> list[dict[str, Any]]:
    """What a judge learns from, four kinds in turn: a pair of pictures, one picture, a pair of answers, one answer.

    Captions and questions have 10 to 60 words, answers 10 to 120.
    """
    texts = Texts(tokenizer, 1)
    return [_preference(number, texts) for number in range(count)]


def _preference(number: int, texts: Texts) -> dict[str, Any]:
    about: dict[str, Any] = {"prompt": texts.of(10, 60)}
    seen = [{"media": encode_image(picture(2 * number + side)), "text": None} for side in (0, 1)]
    pair, point = pair_preference(number, **about), point_preference(number, float(number % 5 + 1), **about)
    if number % 4 < 2:
        return pair | {"candidates": seen} if number % 4 == 0 else point | {"candidates": seen[:1]}
    row, sides = (pair, 2) if number % 4 == 2 else (point, 1)
    return as_answers(row, *[texts.of(10, 120) for _ in range(sides)], context=[seen[0]["media"]])
