import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from urm_ray.training.losses import diffusion_dpo_loss, sample_errors

SHAPES = [(4,), (3, 2, 2), (3, 2, 2, 5)]  # a vector, a picture, a clip


def tensors(seed: int, pairs: int, shape, count: int = 3) -> list[torch.Tensor]:
    dice = torch.Generator().manual_seed(seed)
    return [torch.randn(2 * pairs, *shape, generator=dice) for _ in range(count)]


def written_out(predicted, reference, target, beta) -> float:
    """-log sigmoid(-beta / 2 * [(winner - reference) - (loser - reference)]), sample by sample, in plain numbers."""

    def error(one, two) -> float:
        a, b = one.flatten().tolist(), two.flatten().tolist()
        return sum((x - y) ** 2 for x, y in zip(a, b, strict=True)) / len(a)

    pairs, total = len(predicted) // 2, 0.0
    for w in range(pairs):
        lo = w + pairs
        winner = error(predicted[w], target[w]) - error(reference[w], target[w])
        loser = error(predicted[lo], target[lo]) - error(reference[lo], target[lo])
        total += math.log1p(math.exp(beta / 2 * (winner - loser)))
    return total / pairs


@given(st.integers(0, 1000), st.integers(1, 4), st.sampled_from(SHAPES), st.sampled_from([0.1, 1.0, 5.0]))
def test_the_loss_is_the_published_one(seed, pairs, shape, beta):
    predicted, reference, target = tensors(seed, pairs, shape)
    result = diffusion_dpo_loss(predicted, reference, target, beta)
    assert float(result.loss) == pytest.approx(written_out(predicted, reference, target, beta), rel=1e-4)


@given(st.integers(0, 1000), st.sampled_from(SHAPES), st.sampled_from([1.0, 5000.0]))
def test_the_loss_is_ln_2_while_the_policy_is_the_reference(seed, shape, beta):
    predicted, target = tensors(seed, 3, shape, 2)
    result = diffusion_dpo_loss(predicted, predicted.clone(), target, beta)
    assert float(result.loss) == pytest.approx(math.log(2), abs=1e-6)
    assert result.accuracy.tolist() == [0.0] * 3


@given(st.integers(0, 1000), st.sampled_from(SHAPES))
def test_a_step_down_the_gradient_makes_winners_likelier_and_losers_less_likely(seed, shape):
    predicted, target = tensors(seed, 3, shape, 2)
    reference = predicted.clone()
    predicted.requires_grad_(True)
    before = diffusion_dpo_loss(predicted, reference, target, 2.0)
    before.loss.backward()
    assert predicted.grad is not None
    moved = (predicted - 0.05 * predicted.grad).detach()
    after = diffusion_dpo_loss(moved, reference, target, 2.0)
    assert float(after.loss) < float(before.loss.detach())
    assert (after.winner_error < before.winner_error).all()
    assert (after.loser_error > before.loser_error).all()
    assert after.accuracy.tolist() == [1.0] * 3


@given(st.integers(0, 1000), st.sampled_from(SHAPES), st.sampled_from([0.5, 4.0]))
def test_the_winners_own_error_counts_as_a_share_of_the_references(seed, shape, weight):
    predicted, reference, target = tensors(seed, 2, shape)
    alone = diffusion_dpo_loss(predicted, reference, target, 1.0)
    both = diffusion_dpo_loss(predicted, reference, target, 1.0, weight)
    shares = alone.winner_error / alone.winner_reference - 1
    assert float(both.loss) == pytest.approx(float(alone.loss) + weight * float(shares.mean()), rel=1e-4)
    start = diffusion_dpo_loss(reference, reference, target, 5000.0, weight)
    assert float(start.loss) == pytest.approx(math.log(2), abs=1e-5)


def test_with_it_a_winner_is_held_where_dpo_lets_it_go():
    # Both samples lie along one weight: DPO raises both errors, since the loser's rises more.
    slope, target = torch.tensor([[1.0], [3.0]]), torch.zeros(2, 1)
    gradients = []
    for weight in (0.0, 4.0):
        prediction = torch.ones(1, requires_grad=True)
        diffusion_dpo_loss(prediction * slope, slope.clone(), target, 0.1, weight).loss.backward()
        gradients.append(float(prediction.grad))
    assert gradients[0] < 0 < gradients[1]


def test_a_reference_without_error_does_not_divide_by_nothing():
    target = torch.zeros(2, 4)
    assert math.isfinite(float(diffusion_dpo_loss(target.clone(), target, target, 1.0, 4.0).loss))


def test_no_gradient_reaches_the_reference():
    predicted, reference, target = (t.requires_grad_(True) for t in tensors(0, 2, (3, 2, 2)))
    result = diffusion_dpo_loss(predicted, reference, target.detach(), 1.0)
    result.loss.backward()
    assert predicted.grad is not None
    assert reference.grad is None
    assert not any(
        t.requires_grad for t in (result.winner_error, result.loser_error, result.winner_reference, result.accuracy)
    )


@pytest.mark.parametrize("shape", SHAPES)
def test_a_sample_has_one_error_whatever_its_axes(shape):
    # Defect 19: the width axis of a clip was left over, and log-sigmoid was applied to each pixel column.
    predicted, target = tensors(1, 2, shape, 2)
    errors = sample_errors(predicted, target)
    assert errors.shape == (4,)
    assert errors.tolist() == pytest.approx(
        [float(((p - t) ** 2).mean()) for p, t in zip(predicted, target, strict=True)], rel=1e-5
    )
    result = diffusion_dpo_loss(predicted, target, target, 1.0)
    assert result.winner_error.shape == result.loser_error.shape == result.accuracy.shape == (2,)
    assert result.loss.shape == ()


def test_a_clip_weighs_as_much_as_a_picture():
    picture_p, picture_t = tensors(2, 1, (3, 4, 4), 2)
    clip_p, clip_t = (t.unsqueeze(2).repeat(1, 1, 7, 1, 1) for t in (picture_p, picture_t))
    assert sample_errors(clip_p, clip_t).tolist() == pytest.approx(
        sample_errors(picture_p, picture_t).tolist(), rel=1e-5
    )


def test_one_pair_does_not_depend_on_the_others():
    predicted, reference, target = tensors(3, 3, (3, 2, 2))
    whole = diffusion_dpo_loss(predicted, reference, target, 1.0)
    alone = [diffusion_dpo_loss(predicted[i::3], reference[i::3], target[i::3], 1.0) for i in range(3)]
    assert float(whole.loss) == pytest.approx(sum(float(r.loss) for r in alone) / 3, rel=1e-5)
    assert whole.winner_error.tolist() == pytest.approx([float(r.winner_error) for r in alone])


def test_winners_come_first():
    target = torch.zeros(2, 4)
    reference = torch.ones(2, 4)
    better = torch.stack([torch.full((4,), 0.5), torch.full((4,), 1.5)])  # the winner nearer, the loser farther
    assert float(diffusion_dpo_loss(better, reference, target, 2.0).loss) < math.log(2)
    assert float(diffusion_dpo_loss(better.flip(0), reference, target, 2.0).loss) > math.log(2)
    assert diffusion_dpo_loss(better, reference, target, 2.0).accuracy.tolist() == [1.0]


def test_half_precision_is_summed_in_full():
    predicted = torch.full((2, 20_000), 0.01, dtype=torch.bfloat16)
    errors = sample_errors(predicted, torch.zeros_like(predicted))
    assert errors.dtype == torch.float32
    assert errors.tolist() == pytest.approx([float(predicted[0, 0]) ** 2] * 2, rel=1e-3)


def test_a_large_beta_neither_overflows_nor_loses_its_gradient():
    predicted, reference, target = tensors(4, 2, (3, 2, 2))
    predicted.requires_grad_(True)
    result = diffusion_dpo_loss(predicted, reference, target, 1e6)
    result.loss.backward()
    assert math.isfinite(float(result.loss.detach()))
    assert predicted.grad is not None
    assert torch.isfinite(predicted.grad).all()


def test_a_winner_without_a_loser_is_refused():
    with pytest.raises(ValueError, match="as many losers"):
        diffusion_dpo_loss(torch.zeros(3, 4), torch.zeros(3, 4), torch.zeros(3, 4), 1.0)
