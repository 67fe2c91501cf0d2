"""Estimates against memory that torch's own allocator reports, for real passes of small models on a CPU.

tests/benchmarks/plan_memory.py does the same for larger ones, with DeepSpeed and by what the operating system sees.
"""

import sys

import pytest
import torch
from helpers import ROOT
from torch.profiler import ProfilerActivity, profile

from urm_ray.config_policy import SamplerConfig
from urm_ray.config_training import DpoConfig
from urm_ray.planning.architectures import VLM, architecture
from urm_ray.planning.denoiser_passes import denoising_pass, dpo_pass
from urm_ray.planning.geometry import Look, eyes_of
from urm_ray.planning.shots import conditioning, family_of, shots
from urm_ray.planning.skeleton import built, skeleton
from urm_ray.planning.vlm_passes import Batch, training_pass
from urm_ray.training.encode_once import encode_once
from urm_ray.training.read_once import read_once

sys.path.insert(0, str(ROOT / "tests/benchmarks"))
from plan_memory_models import QWEN, UNET

WITHIN = 0.15


def measured(run) -> int:
    """The most bytes that torch's CPU allocator had given out at a time while `run` ran, less those before."""
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as seen:
        run()
    events = [e for e in seen.profiler.kineto_results.events() if e.name() == "[memory]"]
    held = most = 0
    for event in sorted(events, key=lambda e: e.start_ns()):
        held += event.nbytes()
        most = max(most, held)
    return most


def real(config) -> torch.nn.Module:
    torch.manual_seed(0)
    return built(config).train()


@pytest.mark.parametrize("checkpointing", [False, True], ids=["plain", "checkpointing"])
@pytest.mark.parametrize("answers", [1, 2], ids=["sft", "dpo"])
def test_a_backward_pass_of_a_vlm(tmp_path, answers, checkpointing):
    import json

    text = QWEN["text_config"] | {
        "hidden_size": 384,
        "intermediate_size": 1024,
        "num_hidden_layers": 6,
        "vocab_size": 4000,
    }
    text |= {"rope_parameters": text["rope_parameters"] | {"mrope_section": [4, 6, 6]}}
    vision = QWEN["vision_config"] | {"depth": 4, "hidden_size": 256, "intermediate_size": 704, "out_hidden_size": 384}
    (tmp_path / "config.json").write_text(json.dumps(QWEN | {"text_config": text, "vision_config": vision}))
    found = architecture(str(tmp_path))
    eyes, look = eyes_of(found), Look((336, 336))
    seen, tokens, predicted = eyes.tokens((look,)), 500, 8 if answers == 1 else 150
    bare, model = skeleton(found), real(found.parts[VLM])
    for one in (bare, model):
        if checkpointing:
            one.gradient_checkpointing_enable()
    guessed = training_pass(bare, eyes, Batch(((look,),) * 2, tokens, predicted, answers)).peak(4)
    if answers == 2:
        encode_once(model)
        read_once(model, pairs=True)

    def run() -> None:
        grid = eyes.grid(look)
        ids = torch.randint(10, 3000, (2, tokens)).repeat(answers, 1)
        ids[:, 5 : 5 + seen] = model.config.image_token_id
        ids[2:, -predicted:] = torch.randint(3000, 4000, (2 * (answers - 1), predicted))
        states = model.base_model(
            input_ids=ids,
            attention_mask=torch.ones_like(ids),
            pixel_values=torch.randn(2 * grid[1] * grid[2], 3 * 2 * 14 * 14),
            image_grid_thw=torch.tensor([grid] * 2),
            mm_token_type_ids=(ids == model.config.image_token_id).long(),
            use_cache=False,
        ).last_hidden_state
        logits = model.get_output_embeddings()(states[:, -predicted:])
        logits.log_softmax(-1)[..., 0].sum().backward()

    run()  # the first batch of pairs is read in both ways
    model.zero_grad()
    assert guessed == pytest.approx(measured(run), rel=WITHIN)


@pytest.fixture
def unet(tmp_path):
    """(architecture, family, what it makes, conditioning) of a U-Net of 20 million parameters."""
    import json

    from plan_memory_models import TEXT, VAE

    parts = {"unet": UNET | {"block_out_channels": [64, 128, 256]}, "vae": VAE, "text_encoder": TEXT}
    index = {"_class_name": "StableDiffusionPipeline"} | {part: ["library", "Class"] for part in parts}
    (tmp_path / "model_index.json").write_text(json.dumps(index))
    for part, config in parts.items():
        (tmp_path / part).mkdir()
        (tmp_path / part / "config.json").write_text(json.dumps(config))
    found = architecture(str(tmp_path))
    family, sampler = family_of(found), SamplerConfig()
    made = shots(found, family, sampler)
    return found, family, made, conditioning(found, family, sampler, made)


@pytest.mark.parametrize("checkpointing", [False, True], ids=["plain", "checkpointing"])
def test_a_step_of_diffusion_dpo(unet, checkpointing):
    found, family, made, told = unet
    config = DpoConfig(batch=2, gradient_checkpointing=checkpointing)
    bare, frozen = skeleton(found, "unet"), skeleton(found, "unet")
    model, reference = real(found.parts["unet"]), real(found.parts["unet"]).requires_grad_(False)
    for one in (bare, model):
        if checkpointing:
            one.enable_gradient_checkpointing()
    guessed = dpo_pass(family, bare, frozen, made, told, config).peak(4)

    def run() -> None:
        clean, std, noisy, target = (torch.randn(4, *made.latents) for _ in range(4))
        both = {name: torch.randn(4, *tensor.shape) for name, tensor in told.items()}
        times = torch.full((4,), 500)
        predicted = family.predict(model, noisy, times, both)
        with torch.no_grad():
            theirs = family.predict(reference, noisy, times, both)
        ((predicted - target).square().mean() + 0 * theirs.mean() + 0 * (clean + std).mean()).backward()

    assert guessed == pytest.approx(measured(run), rel=WITHIN)


def test_a_step_of_sampling(unet):
    found, family, made, told = unet
    model = real(found.parts["unet"]).eval()
    guessed = denoising_pass(family, skeleton(found, "unet").eval(), made, told, 8).peak()

    def run() -> None:
        both = {name: torch.randn(8, *tensor.shape) for name, tensor in told.items()}
        with torch.no_grad():
            family.predict(model, torch.randn(8, *made.latents), torch.full((8,), 500), both)

    assert guessed == pytest.approx(measured(run), rel=WITHIN)
