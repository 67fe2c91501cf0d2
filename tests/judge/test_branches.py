import asyncio
import math
from contextlib import suppress

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from urm_ray.judge.answers import AnswerTree
from urm_ray.judge.branches import TOLERANCE, Step, read_tree
from urm_ray.judge.unanswered import QuestionError

END, VOCABULARY = 0, 40
ANSWERS = st.lists(st.lists(st.integers(1, 3), min_size=1, max_size=4).map(tuple), min_size=1, max_size=7, unique=True)


class Model:
    """A random language model, asked as an engine asks a server. top: how many tokens it lists; None lists those that
    are wanted."""

    def __init__(self, seed: int, sharpness: float, top: int | None = None) -> None:
        self.seed, self.sharpness, self.top, self.requests = seed, sharpness, top, []

    def log_probs(self, prefix: tuple[int, ...]) -> torch.Tensor:
        dice = torch.Generator().manual_seed(hash((self.seed, prefix)) % 2**31)
        return (torch.randn(VOCABULARY, generator=dice) * self.sharpness).double().log_softmax(-1)

    async def decode(self, prefix, steps, tokens) -> list[Step]:
        self.requests.append((prefix, steps))
        made: list[Step] = []
        while len(made) < steps and (not made or made[-1].token != END):
            row = self.log_probs(prefix)
            best = row.topk(self.top or 1)
            listed = {t: float(row[t]) for t in tokens} if self.top is None else None
            known = listed or dict(zip(best.indices.tolist(), best.values.tolist(), strict=True))
            prefix = (*prefix, int(best.indices[0]))
            made.append(Step(prefix[-1], known, None if listed else float(best.values[-1])))
        return made


def logits(tree: AnswerTree, model: Model) -> list[torch.Tensor]:
    return [torch.stack([model.log_probs(spine[:depth]) for depth in range(len(spine) + 1)]) for spine in tree.spines]


@given(ANSWERS, st.integers(0, 99), st.sampled_from([0.3, 3.0]))
def test_what_is_decoded_tells_what_logits_tell(answers, seed, sharpness):
    tree, model = AnswerTree.of(answers, END), Model(seed, sharpness)
    reading = asyncio.run(read_tree(tree, model.decode))
    share, mass = tree.read(logits(tree, model))
    assert reading.probabilities == pytest.approx(share, abs=1e-5)
    assert reading.mass == pytest.approx(mass, abs=1e-5)


@given(ANSWERS, st.integers(0, 99), st.sampled_from([2, 5, 20]))
def test_a_list_of_the_likeliest_tells_it_within_the_tolerance_or_not_at_all(answers, seed, top):
    tree, model = AnswerTree.of(answers, END), Model(seed, 4.0, top)
    share, _ = tree.read(logits(tree, model))
    with suppress(QuestionError):
        reading = asyncio.run(read_tree(tree, model.decode))
        most = 2 * TOLERANCE * max(1, len(tree.branchings))
        assert reading.probabilities == pytest.approx(share, abs=most)
        assert math.isclose(sum(reading.probabilities), 1, abs_tol=1e-6)


def test_an_answer_that_may_matter_and_is_not_listed_is_no_reading():
    async def decode(prefix, steps, tokens):
        return [Step(1, {1: math.log(0.3), 9: math.log(0.01)}, math.log(0.01))]

    with pytest.raises(QuestionError, match="1 of 2 possible answers are not among the 2 likeliest"):
        asyncio.run(read_tree(AnswerTree.of([(1,), (2,)], END), decode))


def test_a_model_that_begins_an_answer_is_asked_once():
    tree = AnswerTree.of([(1, 2), (1, 3)], END)

    async def decode(prefix, steps, tokens):
        assert (prefix, steps) == ((), 2)
        return [Step(1, dict.fromkeys(tokens, -1.0)), Step(3, {1: -9.0, 2: math.log(0.2), 3: math.log(0.6)})]

    reading = asyncio.run(read_tree(tree, decode))
    assert reading.probabilities == pytest.approx([0.25, 0.75])
    assert reading.mass == pytest.approx(0.8)


def test_a_branching_that_was_not_passed_is_asked_for_with_the_beginning_given():
    tree, asked = AnswerTree.of([(1, 2), (1, 3)], END), []

    async def decode(prefix, steps, tokens):
        asked.append((prefix, steps, sorted(tokens)))
        return [Step(9 if not prefix else 2, {1: -5.0, 2: math.log(0.5), 3: math.log(0.25)})]

    assert asyncio.run(read_tree(tree, decode)).probabilities == pytest.approx([2 / 3, 1 / 3])
    assert asked == [((), 2, [1, 2, 3]), ((1,), 1, [2, 3])]


def test_nothing_behind_a_beginning_is_no_reading():
    async def decode(prefix, steps, tokens):
        return [] if prefix else [Step(None, dict.fromkeys(tokens, -1.0))]

    with pytest.raises(QuestionError, match="nothing was decoded"):
        asyncio.run(read_tree(AnswerTree.of([(1, 2), (1, 3)], END), decode))
