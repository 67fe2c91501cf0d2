import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from urm_ray.judge.answers import AnswerTree

END, VOCABULARY = 0, 9
ANSWERS = st.lists(st.lists(st.integers(1, 3), min_size=1, max_size=4).map(tuple), min_size=1, max_size=7, unique=True)


def model(seed: int, prefix: tuple[int, ...]) -> torch.Tensor:
    """Logits of the next token after a prefix, of a random language model."""
    dice = torch.Generator().manual_seed(hash((seed, prefix)) % 2**31)
    return torch.randn(VOCABULARY, generator=dice) * 3


def only(tokens: set[int], logits: torch.Tensor) -> torch.Tensor:
    """The logits of a model that says nothing but these tokens."""
    kept = torch.full_like(logits, -1e9)
    kept[list(tokens)] = logits[list(tokens)]
    return kept


def following(answers, prefix) -> set[int]:
    closed = [(*a, END) for a in answers]
    return {a[len(prefix)] for a in closed if a[: len(prefix)] == prefix and len(a) > len(prefix)}


def logits_for(tree, of) -> list[torch.Tensor]:
    return [torch.stack([of(spine[:depth]) for depth in range(len(spine) + 1)]) for spine in tree.spines]


def enumerated(answers, of) -> list[float]:
    """The probability of every answer, token by token, where each token is kept to those that lead to an answer."""
    found = []
    for answer in answers:
        chance = 1.0
        for depth, token in enumerate((*answer, END)):
            allowed = following(answers, answer[:depth])
            weights = of(answer[:depth]).exp()
            chance *= float(weights[token] / weights[list(allowed)].sum())
        found.append(chance)
    return found


@given(ANSWERS, st.integers(0, 1000))
def test_the_tree_gives_what_enumerating_all_token_sequences_gives(answers, seed):
    tree = AnswerTree.of(answers, END)

    def of(prefix):
        return model(seed, prefix)

    probabilities, mass = tree.read(logits_for(tree, of))
    assert sum(probabilities) == pytest.approx(1, abs=1e-5)
    assert probabilities == pytest.approx(enumerated(answers, of), abs=1e-5)
    # The mass is that of the tokens that may follow at the first branching.
    first = ()
    while len(following(answers, first)) == 1 and following(answers, first) != {END}:
        first += tuple(following(answers, first))
    if len(answers) > 1:
        assert mass == pytest.approx(float(of(first).softmax(-1)[list(following(answers, first))].sum()), abs=1e-5)


@given(ANSWERS.filter(lambda a: len(a) > 1), st.integers(0, 1000))
def test_for_a_model_that_only_says_answers_they_are_its_own_probabilities(answers, seed):
    tree = AnswerTree.of(answers, END)

    def of(prefix):
        return only(following(answers, prefix), model(seed, prefix))

    probabilities, mass = tree.read(logits_for(tree, of))
    for answer, probability in zip(answers, probabilities, strict=True):
        own = math.prod(float(of(answer[:d]).softmax(-1)[t]) for d, t in enumerate((*answer, END)))
        assert probability == pytest.approx(own, abs=1e-5)
    assert mass == pytest.approx(1, abs=1e-5)


@given(ANSWERS)
def test_the_spines_pass_every_branching_and_none_is_part_of_another(answers):
    tree = AnswerTree.of(answers, END)
    prefixes = {a[:d] for a in answers for d in range(len(a) + 1)}
    branchings = {p for p in prefixes if len(following(answers, p)) > 1}
    read = {tree.spines[s][:d] for s, d, _ in tree.branchings}
    assert read == branchings
    assert all(set(tokens) == following(answers, tree.spines[s][:d]) for s, d, tokens in tree.branchings)
    assert not any(a != b and a == b[: len(a)] for a in tree.spines for b in tree.spines)


def test_an_answer_that_begins_another_is_told_from_it_by_the_end():
    # "1" and "10": a reader that looks at the first token alone reads 10 as 1.
    tree = AnswerTree.of([(1,), (1, 2)], END)
    assert tree.spines == ((1,),)
    logits = torch.zeros(2, VOCABULARY)
    logits[1, 2] = math.log(3)
    probabilities, _ = tree.read([logits])
    assert probabilities == pytest.approx([0.25, 0.75])


def test_answers_that_part_at_their_first_token_need_no_decoding():
    tree = AnswerTree.of([(7, 1, 3), (7, 2, 3), (8, 8)], END)
    assert tree.spines == ((7,),)


def test_answers_that_part_late_on_both_sides_have_several_spines():
    tree = AnswerTree.of([(1, 1), (1, 2), (2, 1), (2, 2)], END)
    assert tree.spines == ((1,), (2,))
    one, two = torch.zeros(2, VOCABULARY), torch.zeros(2, VOCABULARY)
    one[0, 2] = two[0, 2] = math.log(3)  # 2 begins three answers of four
    one[1, 1] = math.log(4)
    probabilities, mass = tree.read([one, two])
    assert probabilities == pytest.approx([0.25 * 0.8, 0.25 * 0.2, 0.75 * 0.5, 0.75 * 0.5])
    assert mass == pytest.approx(4 / (VOCABULARY + 2))


def test_little_mass_is_reported_and_does_not_hide_in_the_shares():
    tree = AnswerTree.of([(1,), (2,)], END)
    logits = torch.zeros(1, VOCABULARY)
    logits[0, 5] = 20.0  # the model wants to say something else
    probabilities, mass = tree.read([logits])
    assert probabilities == pytest.approx([0.5, 0.5])
    assert mass < 1e-6


def test_logits_that_are_no_numbers_stay_so():
    tree = AnswerTree.of([(1,), (2,)], END)
    probabilities, _ = tree.read([torch.full((1, VOCABULARY), math.nan)])
    assert all(math.isnan(p) for p in probabilities)


def test_half_precision_logits_are_read_in_full_precision():
    tree = AnswerTree.of([(1,), (2,)], END)
    logits = torch.zeros(1, 50_000, dtype=torch.bfloat16)
    logits[0, 1] = 2.0
    probabilities, mass = tree.read([logits])
    assert probabilities == pytest.approx([1 / (1 + math.exp(-2)), 1 / (1 + math.exp(2))], abs=1e-6)
    assert mass == pytest.approx((math.exp(2) + 1) / (math.exp(2) + 49_999), rel=1e-4)


@pytest.mark.parametrize("answers", [[], [(1, 2), (1, 2)]])
def test_answers_that_cannot_be_told_apart_are_refused(answers):
    with pytest.raises(ValueError, match="answers must differ"):
        AnswerTree.of(answers, END)
