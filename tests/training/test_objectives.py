"""Objectives and their DPO loss, against references that are written out number by number."""

import math
import random

import pytest
import torch
from diffusers import (
    CogVideoXDDIMScheduler,
    DDIMScheduler,
    EulerAncestralDiscreteScheduler,
    FlowMatchEulerDiscreteScheduler,
    UniPCMultistepScheduler,
)
from hypothesis import given
from hypothesis import strategies as st

from urm_ray.config_training import DpoConfig
from urm_ray.training.guards import TrainingError
from urm_ray.training.losses import diffusion_dpo_loss
from urm_ray.training.noising import Noising
from urm_ray.training.objectives import objective_of, without_terminal_signal

BETAS = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}
SHAPE = (1, 2, 2)


def diffusion(prediction: str) -> DDIMScheduler:
    return DDIMScheduler(**BETAS, prediction_type=prediction, clip_sample=False)


def flow(**options) -> FlowMatchEulerDiscreteScheduler:
    return FlowMatchEulerDiscreteScheduler(**options)


SCHEDULERS = {
    "epsilon": lambda: diffusion("epsilon"),
    "v_prediction": lambda: diffusion("v_prediction"),
    "flow": lambda: flow(shift=3.0),
}


def noising(scheduler, seed: int = 0, tokens=math.prod, **settings) -> Noising:
    config = DpoConfig(**settings)
    return Noising(objective_of(scheduler, config, tokens), config, seed)


def remaining(timestep: int) -> float:
    """The share of the picture's variance that is left at a timestep of Stable Diffusion's schedule."""
    left = 1.0
    for n in range(timestep + 1):
        root = 0.00085**0.5 + (0.012**0.5 - 0.00085**0.5) * n / 999
        left *= 1 - root**2
    return left


def written_out(objective: str, clean: list[float], noise: list[float], timestep: float) -> tuple[list, list]:
    """(noisy, target), number by number."""
    if objective == "flow":
        s = timestep / 1000
        pairs = [((1 - s) * x + s * e, e - x) for x, e in zip(clean, noise, strict=True)]
    else:
        a = remaining(int(timestep))
        signal, sigma = math.sqrt(a), math.sqrt(1 - a)
        pairs = [
            (signal * x + sigma * e, e if objective == "epsilon" else signal * e - sigma * x)
            for x, e in zip(clean, noise, strict=True)
        ]
    return [noisy for noisy, _ in pairs], [target for _, target in pairs]


def policy(noisy: list[float], gain: float) -> list[float]:
    """A denoiser of one weight."""
    return [gain * value + 0.1 for value in noisy]


def error(predicted: list[float], target: list[float]) -> float:
    return sum((p - t) ** 2 for p, t in zip(predicted, target, strict=True)) / len(target)


@pytest.mark.parametrize("objective", SCHEDULERS)
@given(seed=st.integers(0, 10**6), beta=st.sampled_from([0.5, 20.0]))
def test_the_dpo_loss_of_each_objective_is_the_one_written_out(objective, seed, beta):
    chance = random.Random(seed)
    pairs = 2
    mean = [[chance.gauss(0, 1) for _ in range(4)] for _ in range(2 * pairs)]
    ids = [f"pair{n}" for n in range(pairs)]
    made = noising(SCHEDULERS[objective](), seed)
    posterior = torch.tensor(mean).reshape(-1, *SHAPE), torch.full((2 * pairs, *SHAPE), 0.1)
    noised = made(*posterior, ids, [3] * pairs)
    predicted, reference = (torch.tensor(1.2) * noised.noisy + 0.1, 0.7 * noised.noisy + 0.1)
    found = diffusion_dpo_loss(predicted, reference, noised.target, beta)

    total = 0.0
    for n in range(pairs):
        timestep, noise, spread = made.draw(ids[n], 3, SHAPE)
        gains = []
        for side in (0, 1):  # winner, loser: one timestep and one noise
            dice = spread[side].flatten().tolist()
            clean = [m + 0.1 * d for m, d in zip(mean[n + side * pairs], dice, strict=True)]
            noisy, target = written_out(objective, clean, noise.flatten().tolist(), timestep)
            assert noised.noisy[n + side * pairs].flatten().tolist() == pytest.approx(noisy, abs=1e-4)
            assert noised.target[n + side * pairs].flatten().tolist() == pytest.approx(target, abs=1e-4)
            assert float(noised.timesteps[n + side * pairs]) == pytest.approx(timestep)
            gains.append(error(policy(noisy, 1.2), target) - error(policy(noisy, 0.7), target))
        inside = -beta / 2 * (gains[0] - gains[1])
        total += math.log1p(math.exp(-abs(inside))) + max(0.0, -inside)  # -log sigmoid
    assert float(found.loss) == pytest.approx(total / pairs, rel=1e-3, abs=1e-4)


@given(st.integers(0, 500))
def test_a_model_that_predicts_the_velocity_leads_the_scheduler_to_the_clean_latents(step):
    scheduler = flow(shift=3.0)
    mean = torch.randn(2, *SHAPE, generator=torch.Generator().manual_seed(step))
    made = noising(scheduler)(mean, mean * 0, ["pair"], [step])
    scheduler.set_timesteps(sigmas=[_unshifted(float(made.timesteps[0]) / 1000, 3.0)])
    assert float(scheduler.timesteps[0]) == pytest.approx(float(made.timesteps[0]), rel=1e-4)
    assert torch.allclose(scheduler.step(made.target, scheduler.timesteps[0], made.noisy).prev_sample, mean, atol=1e-4)


def _unshifted(s: float, shift: float) -> float:
    return s / (shift - (shift - 1) * s)


DYNAMIC = {"use_dynamic_shifting": True, "base_shift": 0.5, "max_shift": 1.15}
SHIFTED = [
    pytest.param(lambda: flow(shift=3.0), {}, id="stable diffusion 3"),
    pytest.param(lambda: flow(**DYNAMIC), {"mu": 0.5 + 0.65 * 744 / 3840}, id="flux"),
    pytest.param(
        lambda: flow(**DYNAMIC, time_shift_type="linear"), {"mu": 0.5 + 0.65 * 744 / 3840}, id="dynamic, linear"
    ),
    pytest.param(
        lambda: UniPCMultistepScheduler(prediction_type="flow_prediction", use_flow_sigmas=True, flow_shift=5.0),
        {},
        id="wan",
    ),
]


@pytest.mark.parametrize(("scheduler", "options"), SHIFTED)
def test_times_are_shifted_as_the_scheduler_shifts_its_own(scheduler, options):
    # A thousand of the scheduler's own timesteps are the quantiles of ours, drawn from a uniform density.
    own, drawn = scheduler(), noising(scheduler(), tokens=lambda shape: 1000)
    if isinstance(own, FlowMatchEulerDiscreteScheduler):
        own.set_timesteps(sigmas=[n / 999 for n in range(999, 0, -1)], **options)
    else:
        own.set_timesteps(999)
    found = sorted(drawn.draw("pair", n, SHAPE)[0] for n in range(4000))
    expected = sorted(float(s) * 1000 for s in own.sigmas[:-1])
    for part in (0.05, 0.25, 0.5, 0.75, 0.95):
        assert found[int(4000 * part)] == pytest.approx(expected[int(999 * part)], abs=25), part


def test_a_logit_normal_density_is_one():
    drawn = noising(flow(shift=1.0), flow_density="logit_normal", logit_mean=0.5, logit_std=0.8)
    odds = torch.logit(torch.tensor([drawn.draw("pair", n, SHAPE)[0] / 1000 for n in range(3000)]))
    assert float(odds.mean()) == pytest.approx(0.5, abs=0.06)
    assert float(odds.std()) == pytest.approx(0.8, abs=0.05)
    shifted = noising(flow(shift=math.e), flow_density="logit_normal", logit_mean=0.5, logit_std=0.8)
    assert float(torch.logit(torch.tensor(shifted.draw("pair", 7, SHAPE)[0] / 1000))) == pytest.approx(
        float(odds[7]) + 1, abs=1e-3
    )


@pytest.mark.parametrize("density", ["uniform", "logit_normal"])
def test_times_of_a_flow_stay_in_their_range(density):
    inside = noising(flow(shift=3.0), flow_density=density, min_timestep=200, max_timestep=300)
    drawn = [inside.draw("pair", n, SHAPE)[0] for n in range(500)]
    assert 200 < min(drawn) < 215
    assert 285 < max(drawn) <= 300
    whole = [noising(flow(), flow_density=density).draw("pair", n, SHAPE)[0] for n in range(500)]
    assert min(whole) > 0
    assert max(whole) <= 1000


@pytest.mark.parametrize(("objective", "listed"), [("epsilon", [249, 499, 749, 999]), ("flow", [250, 500, 750, 1000])])
def test_listed_timesteps_are_all_that_are_drawn(objective, listed):
    # SDXL-Turbo knows no others.
    made = noising(SCHEDULERS[objective](), timesteps=listed)
    drawn = [made.draw(f"pair{n}", 0, SHAPE)[0] for n in range(200)]
    assert set(drawn) == set(listed)
    assert min(drawn.count(timestep) for timestep in listed) > 25


@pytest.mark.parametrize(
    ("scheduler", "settings", "about"),
    [
        (flow(), {"timesteps": [0, 500]}, r"timesteps: \[0\] cannot be drawn: the scheduler has 1 to 1000"),
        (flow(), {"timesteps": [1001]}, r"timesteps: \[1001\] cannot be drawn"),
        (diffusion("epsilon"), {"timesteps": [5, 1000]}, r"\[1000\] cannot be drawn: the scheduler has 0 to 999"),
        (flow(), {"min_timestep": 300, "max_timestep": 300}, "no timestep can be drawn from 300 up to 300"),
        (flow(), {"max_timestep": 1001}, "no timestep can be drawn from 0 up to 1001"),
        (flow(invert_sigmas=True), {}, "counts time the other way round"),
        (flow(), {"zero_terminal_snr": True}, "a flow ends in pure noise as it is"),
    ],
)
def test_what_cannot_be_drawn_is_refused(scheduler, settings, about):
    with pytest.raises(TrainingError, match=about):
        noising(scheduler, **settings)


def test_a_list_of_timesteps_and_a_range_of_them_exclude_each_other():
    with pytest.raises(ValueError, match="leave min_timestep and max_timestep out"):
        DpoConfig(timesteps=[1], max_timestep=5)


def test_variances_without_terminal_signal_are_those_of_diffusers():
    plain, rescaled = diffusion("epsilon"), DDIMScheduler(**BETAS, rescale_betas_zero_snr=True)
    found = without_terminal_signal(plain.alphas_cumprod)
    assert torch.allclose(found, rescaled.alphas_cumprod, atol=1e-6)
    assert float(found[-1]) == 0
    assert float(found[0]) == pytest.approx(float(plain.alphas_cumprod[0]))


def at_pure_noise(prediction: str) -> tuple[float, float]:
    """(distance of winner's and loser's noisy latents, gradient of the loss by a denoiser's weight) at timestep 999."""
    mean = torch.randn(2, *SHAPE, generator=torch.Generator().manual_seed(1))
    settings = {"zero_terminal_snr": True, "timesteps": [998, 999]}
    made = noising(EulerAncestralDiscreteScheduler(**BETAS, prediction_type=prediction), **settings)
    number = next(n for n in range(99) if made.draw("pair", n, SHAPE)[0] == 999)
    noised = made(mean, mean * 0, ["pair"], [number])
    weight = torch.tensor(0.9, requires_grad=True)
    diffusion_dpo_loss(weight * noised.noisy, noised.noisy * 0.8, noised.target, 10.0).loss.backward()
    assert weight.grad is not None
    return float((noised.noisy[0] - noised.noisy[1]).abs().max()), abs(float(weight.grad))


def test_pure_noise_teaches_a_policy_that_predicts_v_and_no_policy_that_predicts_epsilon():
    apart, gradient = at_pure_noise("v_prediction")
    assert apart == 0
    assert gradient > 0.1
    apart, gradient = at_pure_noise("epsilon")
    assert apart == 0
    assert gradient < 1e-6


def test_a_policy_is_not_trained_on_pure_noise_alone_if_it_predicts_epsilon():
    with pytest.raises(TrainingError, match="every timestep that can be drawn is pure noise"):
        noising(diffusion("epsilon"), zero_terminal_snr=True, timesteps=[999])
    noising(diffusion("v_prediction"), zero_terminal_snr=True, timesteps=[999])
    noising(diffusion("epsilon"), timesteps=[999])


def test_a_schedulers_own_zero_terminal_snr_is_kept():
    scheduler = CogVideoXDDIMScheduler(prediction_type="v_prediction", rescale_betas_zero_snr=True)
    mean = torch.ones(2, *SHAPE)
    made = noising(scheduler, timesteps=[999])(mean, mean * 0, ["pair"], [0])
    assert torch.equal(made.noisy[0], made.noisy[1])
    assert torch.allclose(made.target, -mean, atol=1e-5)
