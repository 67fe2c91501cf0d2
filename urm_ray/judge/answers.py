"""Which logits tell the probabilities of a closed set of answers, with no decoding loop.

The answers form a tree of tokens. Only its branchings decide, so it is enough to run the question followed by the path
to the deepest branching (the spine), and to compare at each branching the tokens that may follow. For
"Image 1 is ..." / "Image 2 is ..." / "Both ..." the spine is the one token "Image".
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

Tokens = tuple[int, ...]


@dataclass(frozen=True)
class AnswerTree:
    """The branchings of a set of answers."""

    answers: tuple[Tokens, ...]
    spines: tuple[Tokens, ...]
    """Token paths that together pass every branching; one forward row each."""
    branchings: tuple[tuple[int, int, Tokens], ...]
    """(spine, depth, tokens that may follow there)."""

    @classmethod
    def of(cls, answers: Sequence[Sequence[int]], end: int) -> AnswerTree:
        """`end` is the token that closes an answer; it tells an answer from a longer one that starts alike."""
        closed = tuple((*answer, end) for answer in answers)
        if len(set(closed)) != len(closed) or not closed:
            raise ValueError("answers must differ and there must be at least one")
        prefixes = {answer[:depth] for answer in closed for depth in range(len(answer))}
        branching = {p for p in prefixes if len({a[len(p)] for a in closed if a[: len(p)] == p}) > 1}
        spines = tuple(sorted(p for p in branching if not any(q != p and q[: len(p)] == p for q in branching))) or ((),)
        places = []
        for prefix in sorted(branching):
            spine = next(i for i, s in enumerate(spines) if s[: len(prefix)] == prefix)
            places.append(
                (spine, len(prefix), tuple(sorted({a[len(prefix)] for a in closed if a[: len(prefix)] == prefix})))
            )
        return cls(closed, spines, tuple(places))

    def read(self, logits: Sequence[torch.Tensor]) -> tuple[list[float], float]:
        """As `weigh`, from logits: for each spine (len(spine) + 1, vocabulary), the last question token's first."""
        known = []
        for spine, depth, tokens in self.branchings:
            known.append(logits[spine][depth].float().log_softmax(-1)[list(tokens)])
        return self.weigh(known)

    def weigh(self, log_probs: Sequence[torch.Tensor]) -> tuple[list[float], float]:
        """Probability of each answer when every token is kept to the answers, and how probable those were at the first
        branching. It is the answer's probability given that one of them is said, as long as the model, once it has
        begun an answer, goes on with one.

        log_probs: for each branching those of the tokens that may follow there, among all tokens.
        """
        share = [1.0] * len(self.answers)
        mass = float(log_probs[0].logsumexp(-1).exp()) if log_probs else 1.0
        for (spine, depth, tokens), those in zip(self.branchings, log_probs, strict=True):
            chances = dict(zip(tokens, those.softmax(-1).tolist(), strict=True))
            prefix = self.spines[spine][:depth]
            for i, answer in enumerate(self.answers):
                if answer[:depth] == prefix:
                    share[i] *= chances[answer[depth]]
        return share, mass
