from functools import cache

import pytest
import torch
from diffusers import DiffusionPipeline
from families import clip_pipelines
from families.clip_pairs import PROMPTS, encode, encoded, pair
from families.clip_pipelines import FAMILIES, SIZES, folder_of
from torchvision.transforms.functional import to_tensor

from urm_ray.clips import Sampling, decode_clip
from urm_ray.config_training import DpoConfig
from urm_ray.denoisers.family import Family
from urm_ray.denoisers.registry import family_for
from urm_ray.store import StoreError
from urm_ray.training.encoded import collate_encoded, unpack
from urm_ray.training.objectives import objective_of

every_family = pytest.mark.parametrize("family", FAMILIES)


def plain(folder: str) -> DiffusionPipeline:
    pipeline = DiffusionPipeline.from_pretrained(folder, use_safetensors=True)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


@cache
def shared(family: str) -> DiffusionPipeline:
    return plain(folder_of(family))


def sampled(pipeline: DiffusionPipeline, family: str, prompt: str, **changes):
    height, width, frames = SIZES[family]
    options = {"height": height, "width": width, "num_frames": frames, "num_inference_steps": 2, "guidance_scale": 1.0}
    if family == "ltx":
        options["frame_rate"] = 6.0
    dice = torch.Generator().manual_seed(1)
    return pipeline(prompt, generator=dice, output_type="pt", **options | changes).frames


def in_our_layout(family: str, pipeline: DiffusionPipeline, latents: torch.Tensor, size) -> torch.Tensor:
    """Latents as a denoiser of diffusers takes them, as (N, C, F, h, w)."""
    if family == "ltx":
        height, width, frames = size
        return pipeline._unpack_latents(latents, (frames - 1) // 8 + 1, height // 32, width // 32)
    return latents.transpose(1, 2) if family == "cogvideox" else latents


def predicts_as_it_does_when_it_samples(family: str, pipeline: DiffusionPipeline, told: dict, **changes) -> None:
    """told: the conditions of PROMPTS[0] as stored."""
    ours: Family = family_for(pipeline)
    denoiser, calls = getattr(pipeline, ours.denoiser), []
    hook = denoiser.register_forward_hook(lambda module, *call: calls.append(call), with_kwargs=True)
    sampled(pipeline, family, PROMPTS[0], **changes)
    hook.remove()
    names = ("height", "width", "num_frames")
    size = tuple(changes.get(name, own) for name, own in zip(names, SIZES[family], strict=True))
    for positional, named, result in calls:
        seen = positional[0] if positional else named["hidden_states"]
        time = torch.as_tensor(positional[1] if positional else named["timestep"]).flatten()[:1]
        with torch.no_grad():
            found = ours.predict(denoiser, in_our_layout(family, pipeline, seen, size), time, told)
        assert torch.allclose(found, in_our_layout(family, pipeline, result[0], size), atol=1e-5)
    assert len(calls) == 2


@every_family
def test_a_denoiser_predicts_in_training_what_it_does_when_it_samples(family):
    told = {name: value[:1] for name, value in encoded(family)["conditioning"].items()}
    predicts_as_it_does_when_it_samples(family, shared(family), told)


VARIANTS = {
    "sines and no rotation, as CogVideoX-2B": ({"use_rotary_positional_embeddings": False}, {}),
    "two frames a token, as CogVideoX 1.5": ({"patch_size_t": 2, "sample_height": 8, "sample_width": 8}, {}),
    "another size than it was trained for": ({}, {"height": 32, "width": 16, "num_frames": 17}),
}


@pytest.mark.parametrize("name", VARIANTS)
def test_each_cogvideox_places_its_tokens_as_its_pipeline_does(name, tmp_path):
    changes, size = VARIANTS[name]
    clip_pipelines.save("cogvideox", str(tmp_path), changes)
    told = collate_encoded(encode([pair("cogvideox", 0)], str(tmp_path)))["conditioning"]
    predicts_as_it_does_when_it_samples("cogvideox", plain(str(tmp_path)), told, **size)


def test_a_wan_that_takes_a_time_for_each_token_predicts_as_its_pipeline_does(tmp_path):
    clip_pipelines.save("wan", str(tmp_path), {"expand_timesteps": True})  # Wan 2.2 of 5 billion weights
    told = collate_encoded(encode([pair("wan", 0)], str(tmp_path)))["conditioning"]
    predicts_as_it_does_when_it_samples("wan", plain(str(tmp_path)), told)


@every_family
def test_who_knows_the_clip_and_gives_our_target_samples_that_clip(family):
    # Latents, their scale, what noise does to them and what is to be predicted: each as the pipeline itself has it.
    pipeline = plain(folder_of(family))
    if "set_alpha_to_one" in pipeline.scheduler.config:  # else the last step leaves a little noise
        pipeline.scheduler = type(pipeline.scheduler).from_config(pipeline.scheduler.config, set_alpha_to_one=True)
    ours, clean = family_for(pipeline), encoded(family)["mean"][:1]
    objective = objective_of(pipeline.scheduler, DpoConfig(), ours.tokens)

    def all_knowing(module, positional, named, result):
        noisy = in_our_layout(family, pipeline, positional[0] if positional else named["hidden_states"], SIZES[family])
        time = torch.as_tensor(positional[1] if positional else named["timestep"]).reshape(1)
        if family == "wan":  # its scheduler tells the denoiser of a whole number near the time that it means
            time = 1000 * pipeline.scheduler.sigmas[pipeline.scheduler.step_index or 0].reshape(1)
        nothing, one = torch.zeros_like(clean), torch.ones_like(clean)
        noise = (noisy - objective.noised(clean, nothing, time).noisy) / objective.noised(nothing, one, time).noisy
        target = in_its_layout(family, pipeline, objective.noised(clean, noise, time).target)
        return (target,) if isinstance(result, tuple) else type(result)(target)

    getattr(pipeline, ours.denoiser).register_forward_hook(all_knowing, with_kwargs=True)
    found = sampled(pipeline, family, PROMPTS[0], num_inference_steps=4)[0].movedim(1, 0)

    frames = decode_clip(pair(family, 0)["chosen"]["media"], Sampling(maximum=64)).frames
    pixels = torch.stack([to_tensor(frame) for frame in frames], 1) * 2 - 1
    expected = (through(pipeline.vae, pixels) / 2 + 0.5).clamp(0, 1)
    assert torch.allclose(found, expected, atol=1e-4)
    assert expected.std() > 0.05


def in_its_layout(family: str, pipeline: DiffusionPipeline, latents: torch.Tensor) -> torch.Tensor:
    if family == "ltx":
        return pipeline._pack_latents(latents)
    return latents.transpose(1, 2) if family == "cogvideox" else latents


@torch.no_grad()
def through(vae: torch.nn.Module, pixels: torch.Tensor) -> torch.Tensor:
    """A clip (3, F, H, W) in -1..1 encoded and decoded again, without noise."""
    if type(vae).__name__ == "AutoencoderKL":
        return vae.decode(vae.encode(pixels.movedim(1, 0)).latent_dist.mode()).sample.movedim(0, 1)
    return vae.decode(vae.encode(pixels[None]).latent_dist.mode()).sample[0]


@every_family
def test_latents_of_a_clip_are_in_time_order_and_keep_its_spread(family):
    one, other = encoded(family)["mean"].shape, encoded(family)["std"].shape
    height, width, frames = SIZES[family]
    deep = {"cogvideox": (3, 8), "wan": (2, 8), "ltx": (2, 32)}.get(family, (frames, 8))
    assert one == other == (4, encoded(family)["mean"].shape[1], deep[0], height // deep[1], width // deep[1])
    assert (encoded(family)["std"] > 0).all()


MISFITS = [
    ("text_to_video", {"height": 24, "width": 20}, "multiples of 8"),
    ("animatediff", {"frames": 9}, "9 frames: the policy makes 8 at most"),
    ("cogvideox", {"frames": 5}, "5 frames: the policy makes 1 or 8"),
    ("cogvideox", {"height": 24}, "multiples of 16"),
    ("wan", {"frames": 8}, "8 frames: the policy makes 5 or 9"),
    ("wan", {"width": 24}, "multiples of 16"),
    ("ltx", {"frames": 16}, "16 frames: the policy makes 9 or 17"),
    ("ltx", {"width": 48}, "multiples of 32"),
]


@pytest.mark.parametrize(("family", "changes", "reason"), MISFITS)
def test_a_pair_whose_clips_do_not_fit_is_dropped_with_its_reason_alone(family, changes, reason):
    rows = [pair(family, 0, **changes), pair(family, 1)]
    made = encode(rows, folder_of(family))
    dropped, kept = made["dropped"].to_pylist()
    assert dropped.startswith("media_error: ")
    assert reason in dropped
    assert made["chosen_mean"][0].as_py() is None
    assert kept is None
    assert torch.equal(unpack(made["chosen_mean"][1]), encoded(family)["mean"][1])


def test_frames_a_second_condition_ltx_pair_by_pair():
    rows = [pair("ltx", 0, fps=4.0), pair("ltx", 1, fps=24.0)]
    batch = collate_encoded(encode(rows, folder_of("ltx")))
    scales = batch["conditioning"]["rope_interpolation_scale"]
    assert scales.tolist() == [[2.0, 32.0, 32.0], [pytest.approx(1 / 3), 32.0, 32.0]]
    ours, denoiser = family_for(shared("ltx")), shared("ltx").transformer
    noisy, times = torch.randn(2, 8, 2, 1, 2, generator=torch.Generator().manual_seed(0)), torch.tensor([400.0, 700.0])

    @torch.no_grad()
    def predicted(pairs: list[int], speeds: list[int]) -> torch.Tensor:
        told = {name: value[pairs] for name, value in batch["conditioning"].items()}
        return ours.predict(denoiser, noisy[pairs], times[pairs], told | {"rope_interpolation_scale": scales[speeds]})

    together = predicted([0, 1], [0, 1])
    for k in range(2):
        assert torch.allclose(predicted([k], [k])[0], together[k], atol=1e-5)
        assert not torch.allclose(predicted([k], [1 - k])[0], together[k], atol=1e-3)


def test_clips_of_unlike_or_unknown_speed_are_no_pair_for_ltx():
    unlike, unknown = pair("ltx", 0), pair("ltx", 1)
    unlike["rejected"]["media"]["fps"] = 12.0
    for side in ("chosen", "rejected"):
        unknown[side]["media"]["fps"] = None
    made = encode([unlike, unknown], folder_of("ltx"))
    assert ["frames a second must be known and equal" in reason for reason in made["dropped"].to_pylist()] == [True] * 2


def test_a_wan_of_two_denoisers_is_refused(tmp_path):
    clip_pipelines.save("wan", str(tmp_path))
    index = tmp_path / "model_index.json"
    index.write_text(index.read_text().replace('"boundary_ratio": null', '"boundary_ratio": 0.875'))
    with pytest.raises(StoreError, match="this policy has two"):
        encode([pair("wan", 0)], str(tmp_path))
