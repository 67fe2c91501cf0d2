import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st
from scipy import stats
from transformers import TemperatureLogitsWarper, TopKLogitsWarper, TopPLogitsWarper

from urm_ray.candidates.draw import draw, filtered, uniform

SEEDS = st.integers(0, 2**63 - 1)
WORD = 2**64


def mixed(bits: int) -> int:
    """splitmix64's finaliser, in whole numbers of any size."""
    bits = (bits ^ bits >> 30) * 0xBF58476D1CE4E5B9 % WORD
    bits = (bits ^ bits >> 27) * 0x94D049BB133111EB % WORD
    return bits ^ bits >> 31


@given(st.lists(SEEDS, min_size=1, max_size=4), st.integers(0, 10_000))
def test_noise_is_splitmix_of_the_seed_the_step_and_the_token(seeds, step):
    found = uniform(torch.tensor(seeds), step, 3)
    for row, seed in zip(found.tolist(), seeds, strict=True):
        start = mixed((seed + (step + 1) * 0xD1B54A32D192ED03) % WORD)
        wanted = [mixed((start + n * 0x9E3779B97F4A7C15) % WORD) >> 11 for n in (1, 2, 3)]
        assert row == [(bits + 0.5) / 2**53 for bits in wanted]
        assert all(0 < value < 1 for value in row)


@given(SEEDS, SEEDS, st.integers(0, 50))
def test_noise_depends_neither_on_other_rows_nor_on_how_many_tokens_there_are(one, two, step):
    together = uniform(torch.tensor([one, two]), step, 9)
    assert torch.equal(together[0], uniform(torch.tensor([one]), step, 4000)[0, :9])
    assert torch.equal(together[1], uniform(torch.tensor([two]), step, 9)[0])


def test_noise_is_uniform_over_tokens_steps_and_seeds_and_none_follows_from_another():
    by_token = uniform(torch.tensor([5]), 0, 20_000)[0]
    by_step = torch.stack([uniform(torch.tensor([5]), step, 2)[0] for step in range(4000)])
    by_seed = uniform(torch.arange(20_000), 3, 2)
    for values in (by_token, by_step[:, 0], by_seed[:, 0]):
        assert stats.kstest(values.numpy(), "uniform").pvalue > 1e-3
        assert abs(float(torch.corrcoef(torch.stack([values[:-1], values[1:]]))[0, 1])) < 0.06
    for pairs in (by_step, by_seed):
        assert abs(float(torch.corrcoef(pairs.T)[0, 1])) < 0.06


ROWS = st.lists(st.lists(st.sampled_from([-3.0, -1.5, 0.0, 0.25, 0.5, 2.0, 4.0]), min_size=6, max_size=6), min_size=1)


@given(ROWS, st.floats(0.1, 3), st.integers(0, 8), st.sampled_from([0.05, 0.3, 0.5, 0.9, 0.99, 1.0]))
@example([[0.0] * 6], 0.7, 3, 0.5)
@example([[9.0, 0.0, 0.0, 0.0, 0.0, 0.0]], 1.0, 0, 0.05)
def test_what_may_be_drawn_is_what_transformers_leaves(rows, temperature, top_k, top_p):
    logits = torch.tensor(rows)
    wanted = TemperatureLogitsWarper(temperature)(None, logits)
    wanted = TopKLogitsWarper(top_k)(None, wanted) if top_k else wanted
    wanted = TopPLogitsWarper(top_p)(None, wanted) if top_p < 1 else wanted
    assert torch.equal(filtered(logits, temperature, top_k, top_p), wanted)


def test_half_precision_is_filtered_in_single():
    logits = torch.tensor([[1.0, 2.0, 3.0]], dtype=torch.bfloat16)
    assert filtered(logits, 0.7, 0, 1.0).dtype == torch.float32


@pytest.mark.parametrize(("top_k", "top_p"), [(0, 1.0), (3, 1.0), (0, 0.8)])
def test_tokens_come_as_often_as_they_are_likely_and_the_others_never(top_k, top_p):
    scores = filtered(torch.tensor([[2.0, 1.0, 0.0, -1.0, 3.0, 0.5]]), 0.9, top_k, top_p)
    count = 40_000
    drawn = draw(scores.expand(count, -1), torch.arange(count) * 7919, 4)
    chances = scores[0].softmax(-1)
    counts = torch.bincount(drawn, minlength=6)
    assert (counts[chances == 0] == 0).all()
    kept = chances > 0
    likely = chances[kept].double()
    assert stats.chisquare(counts[kept].numpy(), (likely / likely.sum() * count).numpy()).pvalue > 1e-3


def test_rounding_changes_a_draw_no_oftener_than_its_size():
    # Batches round logits in different ways; a draw by cumulated shares would move at each of its borders.
    count = 40_000
    scores = torch.randn(count, 30, generator=torch.Generator().manual_seed(0))
    seeds = torch.arange(count) + 10**12
    for size in (1e-2, 1e-3):
        noise = (torch.rand(scores.shape, generator=torch.Generator().manual_seed(1)) * 2 - 1) * size
        moved = (draw(scores, seeds, 0) != draw(scores + noise, seeds, 0)).float().mean()
        assert moved < size
