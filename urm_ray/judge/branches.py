"""Reads the probabilities of closed answers off what an engine decodes, where it shows no logits.

A trained judge nearly always begins one of the answers, so one request that decodes as far as the deepest branching
passes most of them, with the log-probabilities of the tokens that decide. A branching that it did not pass costs a
request of its own, in which the answer's beginning is given. Decoded or given, the tokens before a branching are the
same, and so are the probabilities behind them.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch

from urm_ray.judge.answers import AnswerTree, Tokens
from urm_ray.judge.engine import Reading
from urm_ray.judge.unanswered import QuestionError

TOLERANCE = 0.005
"""How much of an answer's probability may be unknown at a branching."""


@dataclass(frozen=True)
class Step:
    """A decoded token, None if it is none that was asked about, and the log-probabilities that are known in its place.

    bound: no token that is not listed is likelier; None where all that were asked about are listed.
    """

    token: int | None
    listed: Mapping[int, float]
    bound: float | None = None


class Decode(Protocol):
    def __call__(self, prefix: Tokens, steps: int, tokens: Sequence[int]) -> Awaitable[Sequence[Step]]:
        """Decodes the likeliest tokens behind a question and the beginning of an answer: as many as `steps`, or fewer
        where the answer ends. tokens: those whose log-probabilities are wanted at each step."""


async def read_tree(tree: AnswerTree, decode: Decode) -> Reading:
    """The reading of a question; QuestionError where what is known does not tell it within TOLERANCE."""
    wanted = sorted(
        {token for _, _, tokens in tree.branchings for token in tokens} | {t for s in tree.spines for t in s}
    )
    if not tree.branchings:
        return Reading(*tree.weigh([]))
    passed = await decode((), 1 + max(len(spine) for spine in tree.spines), wanted)
    said = [step.token for step in passed]
    places = [(tree.spines[spine][:depth], tokens) for spine, depth, tokens in tree.branchings]
    missed = {prefix: tokens for prefix, tokens in places if not _passes(said, prefix)}
    found = await asyncio.gather(*(decode(prefix, 1, tokens) for prefix, tokens in missed.items()))
    if not all(found):
        raise QuestionError("nothing was decoded behind the beginning of an answer")
    given = {prefix: steps[0] for prefix, steps in zip(missed, found, strict=True)}
    known = [given[prefix] if prefix in given else passed[len(prefix)] for prefix, _ in places]
    return Reading(*tree.weigh([_log_probs(step, tokens) for step, (_, tokens) in zip(known, places, strict=True)]))


def _passes(said: Sequence[int | None], prefix: Tokens) -> bool:
    return len(said) > len(prefix) and tuple(said[: len(prefix)]) == prefix


def _log_probs(step: Step, tokens: Sequence[int]) -> torch.Tensor:
    """Of the tokens that may follow. One that is not listed is given the most that it can have, if that is too little
    to matter."""
    listed = [step.listed.get(token) for token in tokens]
    missing = listed.count(None)
    if missing:
        if step.bound is None:
            raise QuestionError("the log-probabilities of some possible answers were asked for and are missing")
        found = sum(math.exp(value) for value in listed if value is not None)
        if missing * math.exp(step.bound) > TOLERANCE * found:
            raise QuestionError(
                f"{missing} of {len(tokens)} possible answers are not among the {len(step.listed)} likeliest tokens,"
                " which are all that the server lists"
            )
    return torch.tensor([step.bound if value is None else value for value in listed], dtype=torch.float64)
