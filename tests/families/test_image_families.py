"""Text-to-image families: sampled, encoded, trained by Diffusion-DPO, saved, and read by diffusers alone."""

from __future__ import annotations

import inspect
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import FluxPipeline
from families.checks import (
    adapters_move_and_nothing_else,
    latents_are_decoded_as_they_were_encoded,
    one_step_moves_every_parameter,
    told_in_training_as_in_sampling,
)
from families.pipelines import FAMILIES, folder_of
from helpers import candidate, run_python
from policies import noise_frames, picture_row

from urm_ray.candidates.image import ImageSampler
from urm_ray.config_policy import SamplerConfig
from urm_ray.denoisers.checkpoint import save_policy
from urm_ray.denoisers.registry import family_of
from urm_ray.media import decode_image, encode_image
from urm_ray.models import load_pipeline

NAMES = list(FAMILIES)
HEIGHT, WIDTH = 16, 24
"""Not square, so that one cannot be taken for the other."""
REQUESTS = [("a red circle", 5), ("a blue square", 6), ("a red circle", 7)]


def row(number: int = 0) -> dict[str, Any]:
    """A preference pair of pictures of noise."""
    frames = [noise_frames(2 * number + k, 1, size=32)[0].crop((0, 0, WIDTH, HEIGHT)) for k in (0, 1)]
    sides = {side: candidate(k, media=encode_image(frames[k])) for k, side in enumerate(("chosen", "rejected"))}
    return picture_row(number, **sides)


def pixels(media: dict[str, Any]) -> torch.Tensor:
    """(1, 3, H, W) in -1..1."""
    image = np.asarray(decode_image(media)).astype(np.float32)
    return torch.from_numpy(image / 127.5 - 1).permute(2, 0, 1)[None]


def sampler(name: str, **changes: Any) -> ImageSampler:
    """One step without guidance for Turbo."""
    turbo = {"steps": 1, "guidance": 0.0} if name.endswith("turbo") else {"steps": 2, "guidance": 3.0}
    settings = {"height": HEIGHT, "width": WIDTH, "batch": 3} | turbo | changes
    return ImageSampler(folder_of(name), SamplerConfig(**settings), device="cpu")


def shown(made: dict[str, Any]) -> np.ndarray:
    return np.asarray(decode_image(made["media"])).astype(int)


@pytest.mark.parametrize("name", NAMES)
def test_a_picture_depends_on_its_prompt_and_seed_and_not_on_its_neighbours(name):
    together, alone = sampler(name).sample(REQUESTS), sampler(name, batch=1).sample(REQUESTS)
    assert together == sampler(name).sample(REQUESTS)
    assert [c["error"] for c in together] == [None] * 3
    for one, other in zip(together, alone, strict=True):
        assert (one["media"]["height"], one["media"]["width"]) == (HEIGHT, WIDTH)
        assert np.abs(shown(one) - shown(other)).max() <= 1
    assert np.abs(shown(together[0]) - shown(together[2])).max() > 1


@pytest.mark.parametrize("name", NAMES)
def test_a_denoiser_is_told_in_training_what_it_is_told_in_sampling(name):
    config = SamplerConfig(guidance=1.0)
    found = told_in_training_as_in_sampling(folder_of(name), row(), config, height=HEIGHT, width=WIDTH)
    tensors = {key for key, value in found.items() if isinstance(value, torch.Tensor)}
    assert {"encoder_hidden_states", "timestep"} <= tensors
    if "xl" in name:
        assert found["time_ids"].tolist() == [[HEIGHT, WIDTH, 0, 0, HEIGHT, WIDTH]]


def packed(latents: torch.Tensor) -> torch.Tensor:
    return FluxPipeline._pack_latents(latents, *latents.shape)


@pytest.mark.parametrize("name", NAMES)
def test_latents_are_decoded_as_they_were_encoded(name):
    pair = row()
    layout = packed if name == "flux" else lambda latents: latents
    latents_are_decoded_as_they_were_encoded(
        folder_of(name), pair, pixels(pair["chosen"]["media"]), layout, height=HEIGHT, width=WIDTH
    )


def sampled(pipeline: Any) -> np.ndarray:
    """A picture (H, W, 3) in 0..1."""
    pipeline.set_progress_bar_config(disable=True)
    dice = torch.Generator().manual_seed(3)
    made = pipeline("a red circle", num_inference_steps=2, guidance_scale=1.5, generator=dice, output_type="np")
    return made.images[0]


KINDS = {"full": one_step_moves_every_parameter, "lora": adapters_move_and_nothing_else}


@pytest.fixture(scope="module")
def policy(tmp_path_factory):
    """By family and kind of training: (folder of a policy that was trained and saved, what it drew before that)."""
    folder = tmp_path_factory.mktemp("policies")

    @cache
    def made(name: str, kind: str) -> tuple[Path, np.ndarray]:
        path, rows = folder_of(name), [row(0), row(1)]
        settings = {"timesteps": [249, 499, 749, 999]} if name.endswith("turbo") else {}
        denoiser = KINDS[kind](path, rows, str(folder / "trainer"), **settings)
        saved = folder / f"{name}-{kind}"
        save_policy(path, denoiser, str(saved))
        whole = load_pipeline(path, device="cpu")
        family_of(path).put(whole, denoiser)
        return saved, sampled(whole)

    return made


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", NAMES)
def test_one_step_moves_every_parameter(name, kind, policy):
    saved, drawn = policy(name, kind)
    assert np.isfinite(drawn).all()
    before, after = (files(folder) for folder in (Path(folder_of(name)), saved))
    assert before.keys() == after.keys()
    assert {file.suffix for file in after} <= {".json", ".safetensors"}
    weights = [file for file in after if file.suffix == ".safetensors"]
    assert {file.parts[0] for file in weights if before[file] != after[file]} == {family_of(folder_of(name)).denoiser}


def files(folder: Path) -> dict[Path, bytes]:
    return {file.relative_to(folder): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


PLAIN = """
import sys
from pathlib import Path
import numpy as np
sys.modules["urm_ray"] = None  # importing it would be an error
from typing import Any
import torch
from diffusers import DiffusionPipeline
{sampled}
np.savez(sys.argv[1], **{{
    Path(folder).name: sampled(DiffusionPipeline.from_pretrained(folder, use_safetensors=True))
    for folder in sys.argv[2:]
}})
"""


def test_a_trained_policy_is_a_plain_checkpoint(policy, tmp_path):
    trained = [policy(name, kind) for name in NAMES for kind in KINDS]
    code = PLAIN.format(sampled=inspect.getsource(sampled))
    ran = run_python("-c", code, str(tmp_path / "drawn.npz"), *(str(folder) for folder, _ in trained))
    assert ran.returncode == 0, ran.stderr
    found = np.load(tmp_path / "drawn.npz")
    for folder, drawn in trained:
        assert np.allclose(found[folder.name], drawn, atol=1e-5), folder
    for name in NAMES:
        untrained = sampled(load_pipeline(folder_of(name), device="cpu"))
        assert not any(np.allclose(found[f"{name}-{kind}"], untrained, atol=1e-5) for kind in KINDS), name
