from functools import cache
from itertools import pairwise

import numpy as np
import pytest
import torch
from diffusers import DiffusionPipeline
from families import clip_pipelines
from families.clip_pipelines import FAMILIES, SIZES, folder_of

from urm_ray.candidates.video import VideoSampler
from urm_ray.clips import Sampling, decode_clip
from urm_ray.config_policy import SamplerConfig
from urm_ray.models import load_pipeline, makes
from urm_ray.store import StoreError

REQUESTS = [("a red circle moves left", 5), ("a blue square", 6), ("a red circle moves left", 7)]
every_family = pytest.mark.parametrize("family", FAMILIES)


def sampler(family: str, dtype: str = "float32", **changes) -> VideoSampler:
    height, width, frames = SIZES[family]
    settings = {"steps": 2, "frames": frames, "height": height, "width": width, "fps": 6.0, "guidance": 3.0, "batch": 2}
    return VideoSampler(folder_of(family), SamplerConfig(**settings | changes), dtype, "cpu")


def pixels(candidate: dict) -> np.ndarray:
    frames = decode_clip(candidate["media"], Sampling(maximum=64)).frames
    return np.stack([np.asarray(frame) for frame in frames]).astype(int)


@cache
def plain(family: str) -> DiffusionPipeline:
    pipeline = DiffusionPipeline.from_pretrained(folder_of(family), use_safetensors=True)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


@every_family
def test_a_candidate_is_the_clip_that_diffusers_makes_of_its_prompt_and_seed_alone(family):
    found = sampler(family).sample(REQUESTS)
    height, width, frames = SIZES[family]
    for candidate, (prompt, seed) in zip(found, REQUESTS, strict=True):
        media = candidate["media"]
        assert (media["frames"], media["height"], media["width"], media["fps"]) == (frames, height, width, 6.0)
        alone = plain(family)(
            prompt, height=height, width=width, num_frames=frames, num_inference_steps=2, guidance_scale=3.0,
            generator=torch.Generator().manual_seed(seed), output_type="np",
            **({"frame_rate": 6.0} if family == "ltx" else {}),
        ).frames[0]  # fmt: skip
        made = pixels(candidate)
        assert np.abs(made - (alone * 255).round()).max() <= 1
        assert all(np.abs(one - other).max() > 1 for one, other in pairwise(made))


@every_family
def test_a_size_that_is_left_open_is_the_pipelines_own(family):
    made = sampler(family, height=None, width=None, batch=1, guidance=1.0)
    media = made.sample(REQUESTS[:1])[0]["media"]
    own = {"cogvideox": (16, 32), "wan": (480, 832), "ltx": (512, 704)}
    assert (media["height"], media["width"]) == own.get(family, (16, 16))


MISFITS = [
    ("animatediff", {"frames": 9}, "makes 8 at most"),
    ("cogvideox", {"frames": 13}, "makes 9 or 16"),
    ("cogvideox", {"height": 24}, "multiples of 16"),
    ("wan", {"frames": 16}, "makes 13 or 17"),
    ("wan", {"width": 24}, "multiples of 16"),
    ("ltx", {"frames": 16}, "makes 9 or 17"),
    ("ltx", {"height": 48}, "multiples of 32"),
    ("ltx", {"steps": 1}, "needs two"),
]


@pytest.mark.parametrize(("family", "changes", "reason"), MISFITS)
def test_a_clip_that_the_pipeline_would_make_otherwise_is_refused_before_any_is_made(family, changes, reason):
    with pytest.raises(StoreError, match=rf"sampler\W.*{reason}"):
        sampler(family, **changes)


@pytest.mark.parametrize("frames", [1, 8, 9, 16, 17])
def test_cogvideox_makes_clips_of_a_multiple_of_eight_frames_and_of_one_more(frames):
    made = sampler("cogvideox", frames=frames, batch=1, steps=1).sample(REQUESTS[:1])
    assert made[0]["media"]["frames"] == frames


def test_the_speed_of_a_clip_is_told_to_ltx():
    slow, fast = (sampler("ltx", fps=fps).sample(REQUESTS[:1])[0] for fps in (4.0, 24.0))
    assert (slow["media"]["fps"], fast["media"]["fps"]) == (4.0, 24.0)
    assert np.abs(pixels(slow) - pixels(fast)).max() > 1


@pytest.mark.parametrize("family", ["wan", "cogvideox"])
def test_a_policy_in_bfloat16_keeps_an_autoencoder_that_needs_more(family):
    made = sampler(family, "bfloat16")
    assert made.pipeline.vae.dtype == torch.float32
    assert made.pipeline.transformer.proj_out.weight.dtype == torch.bfloat16
    half, full = made.sample(REQUESTS[:1])[0], sampler(family).sample(REQUESTS[:1])[0]
    assert half["error"] is None
    assert np.abs(pixels(half) - pixels(full)).mean() < 8


def test_an_autoencoder_of_ltx_that_takes_a_timestep_gets_one(tmp_path):
    folder = str(tmp_path / "timed")
    clip_pipelines.save("ltx", folder, {"timestep_conditioning": True})
    made = VideoSampler(folder, SamplerConfig(steps=2, frames=9, height=32, width=32), device="cpu")
    told = []
    made.pipeline.vae.decoder.register_forward_pre_hook(lambda module, args: told.append(args[1]))
    assert made.sample(REQUESTS[:1])[0]["error"] is None
    assert told[0].tolist() == pytest.approx([0.05])


@every_family
def test_what_a_family_makes_is_known_by_its_name(family):
    assert makes(type(plain(family)).__name__) == "video"
    assert load_pipeline(folder_of(family), device="cpu", wanted="video")


def test_a_tokenizer_that_needs_a_package_says_which(tmp_path):
    clip_pipelines.save("cogvideox", str(tmp_path))  # the released one has a spiece.model and no tokenizer.json
    (tmp_path / "tokenizer" / "tokenizer.json").unlink()
    (tmp_path / "tokenizer" / "spiece.model").write_bytes(b"pieces")
    with pytest.raises(StoreError, match="pip install sentencepiece"):
        load_pipeline(str(tmp_path), device="cpu", only=("tokenizer",))
