import pytest
import torch
from diffusers import DDIMScheduler, DDPMScheduler, EDMEulerScheduler, EulerDiscreteScheduler
from hypothesis import given
from hypothesis import strategies as st

from urm_ray.config_training import DpoConfig
from urm_ray.training.guards import TrainingError
from urm_ray.training.noising import Noising
from urm_ray.training.objectives import objective_of

PICTURE, CLIP = (2, 4, 4), (2, 3, 4, 4)
BETAS = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear", "clip_sample": False}


def noising(scheduler=None, seed: int = 0, **settings) -> Noising:
    config = DpoConfig(**settings)
    return Noising(objective_of(scheduler or DDIMScheduler(**BETAS), config), config, seed)


def posterior(pairs: int, shape=PICTURE, spread: float = 0.1) -> tuple[torch.Tensor, torch.Tensor]:
    mean = torch.randn(2 * pairs, *shape, generator=torch.Generator().manual_seed(pairs))
    return mean, torch.full_like(mean, spread)


def ids(pairs: int) -> list[str]:
    return [f"pair{n}" for n in range(pairs)]


@pytest.mark.parametrize("shape", [PICTURE, CLIP])
@pytest.mark.parametrize("step", [0, 7])
def test_winner_and_loser_share_noise_and_timestep(step, shape):
    # Defect 19: noise and timestep were drawn for each of them anew.
    made = noising()(*posterior(3, shape), ids(3), [step] * 3)
    assert made.noisy.shape == made.target.shape == (6, *shape)
    for values in (made.timesteps, made.target):
        winners, losers = values.chunk(2)
        assert torch.equal(winners, losers)
    assert len({int(t) for t in made.timesteps}) > 1


def test_a_clip_has_one_timestep_and_new_noise_in_every_frame():
    mean, std = posterior(1, CLIP, spread=0.0)
    made = noising()(mean, std, ids(1), [0])
    assert made.timesteps.shape == (2,)
    assert not torch.equal(made.target[:, :, 0], made.target[:, :, 1])
    frames = [DDIMScheduler(**BETAS).add_noise(mean[:, :, f], made.target[:, :, f], made.timesteps) for f in range(3)]
    assert torch.allclose(made.noisy, torch.stack(frames, 2), atol=1e-6)


def test_what_is_drawn_depends_on_the_pair_and_the_step_alone():
    # So a resumed run, or one with more workers, draws the same.
    mean, std = posterior(3)
    together = noising()(mean, std, ids(3), [5] * 3)
    alone = noising()(mean[[1, 4]], std[[1, 4]], ["pair1"], [5])
    for name in ("noisy", "timesteps", "target"):
        assert torch.equal(getattr(together, name)[[1, 4]], getattr(alone, name)), name
    assert not torch.equal(noising()(mean[[1, 4]], std[[1, 4]], ["pair1"], [6]).target, alone.target)
    assert not torch.equal(noising(seed=1)(mean[[1, 4]], std[[1, 4]], ["pair1"], [5]).target, alone.target)
    assert not torch.equal(together.target[0], together.target[1])


def test_draws_are_those_of_earlier_versions():
    # Read off the first version, so that a run of today can be compared with one of then.
    timestep, noise, spread = noising().draw("pair1", 5, PICTURE)
    assert timestep == 340
    assert noise.flatten()[:3].tolist() == pytest.approx([0.3895, 0.1993, -0.5021], abs=1e-4)
    assert spread.flatten()[:3].tolist() == pytest.approx([-1.3447, -1.4870, 0.0865], abs=1e-4)


def test_winner_and_loser_lie_at_their_own_places_in_their_posteriors():
    mean, std = posterior(1, spread=0.1)
    mean[1] = mean[0]
    drawn, still = noising()(mean, std, ids(1), [0]), noising()(mean, std * 0, ids(1), [0])
    apart = (drawn.noisy - still.noisy).abs()
    assert 0 < float(apart.max()) < 0.1 * 5
    assert not torch.equal(drawn.noisy[0], drawn.noisy[1])


SCHEDULERS = [
    pytest.param(lambda **options: DDIMScheduler(**BETAS, **options), id="ddim"),
    pytest.param(lambda **options: DDIMScheduler(**BETAS, rescale_betas_zero_snr=True, **options), id="zero snr"),
    pytest.param(lambda **options: DDPMScheduler(clip_sample=False, **options), id="ddpm"),
]


@pytest.mark.parametrize("scheduler", SCHEDULERS)
@pytest.mark.parametrize("shape", [PICTURE, CLIP])
def test_noise_and_velocity_are_those_of_diffusers(scheduler, shape):
    for prediction in ("epsilon", "v_prediction"):
        own = scheduler(prediction_type=prediction)
        mean, std = posterior(4, shape, spread=0.0)
        made = noising(own)(mean, std, ids(4), [3] * 4)
        noise = torch.stack([noising(own).draw(i, 3, shape)[1] for i in ids(4)] * 2)
        target = noise if prediction == "epsilon" else own.get_velocity(mean, noise, made.timesteps)
        assert torch.equal(made.noisy, own.add_noise(mean, noise, made.timesteps))
        assert torch.equal(made.target, target)


@pytest.mark.parametrize("prediction", ["epsilon", "v_prediction"])
@given(step=st.integers(0, 500))
def test_a_model_that_predicts_the_target_leads_the_scheduler_to_the_clean_latents(prediction, step):
    scheduler = DDIMScheduler(**BETAS, prediction_type=prediction)
    scheduler.set_timesteps(1000)
    mean, std = posterior(1, spread=0.0)
    made = noising(scheduler, max_timestep=900)(mean, std, ids(1), [step])
    found = scheduler.step(made.target, int(made.timesteps[0]), made.noisy).pred_original_sample
    assert torch.allclose(found, mean, atol=1e-3)


def test_a_scheduler_that_works_with_sigmas_shows_its_model_the_same_latents():
    euler = EulerDiscreteScheduler(
        beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", timestep_spacing="trailing"
    )
    euler.set_timesteps(1000)
    mean, std = posterior(1, spread=0.0)
    made = noising(euler)(mean, std, ids(1), [3])
    shown = euler.add_noise(mean, made.target, made.timesteps)
    assert torch.allclose(made.noisy, euler.scale_model_input(shown, made.timesteps[0]), atol=1e-4)


def test_timesteps_stay_in_their_range():
    inside = noising(min_timestep=200, max_timestep=210)
    drawn = {inside.draw("pair", step, PICTURE)[0] for step in range(200)}
    assert drawn == set(range(200, 210))
    assert max(noising().draw("pair", step, PICTURE)[0] for step in range(200)) > 950


@pytest.mark.parametrize(("low", "high"), [(10, 10), (0, 1001), (1000, None)])
def test_a_range_without_timesteps_is_refused(low, high):
    with pytest.raises(TrainingError, match=r"no timestep can be drawn from .* the scheduler has 1000"):
        noising(min_timestep=low, max_timestep=high)


@pytest.mark.parametrize(
    ("scheduler", "named"),
    [
        (DDIMScheduler(**BETAS, prediction_type="sample"), "DDIMScheduler with prediction type sample"),
        (EDMEulerScheduler(), "EDMEulerScheduler with prediction type epsilon"),
    ],
)
def test_another_kind_of_prediction_is_refused(scheduler, named):
    with pytest.raises(TrainingError, match=f"epsilon or v_prediction with a fixed variance .* flows, not {named}"):
        noising(scheduler)


@given(st.text(min_size=1, max_size=6), st.integers(1, 6))
def test_stored_draws_are_few_and_all_used(pair_id, count):
    stored = noising(reference="stored", stored_draws=count)
    numbers = [stored.number(pair_id, step) for step in range(60)]
    assert set(numbers) == set(range(count))
    again = noising(reference="stored", stored_draws=count)
    assert numbers == [again.number(pair_id, step) for step in range(60)]


def test_without_stored_errors_every_step_is_a_new_draw():
    assert [noising().number("pair", step) for step in (0, 5, 9)] == [0, 5, 9]
