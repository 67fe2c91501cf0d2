"""Trains the tiny text-to-video pipeline (TextToVideoSD layout) on top of the text-to-image one; see `build`.

As real video models do, it starts from a picture model: the denoiser takes over the picture denoiser's weights and
learns to look along time, the text encoder learns the words for motion, and the autoencoder is the picture model's own.
"""

from __future__ import annotations

import copy
import random
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from diffusers import DDIMScheduler, TextToVideoSDPipeline, UNet3DConditionModel
from diffusers.models.transformers.transformer_temporal import TransformerTemporalModel
from PIL import Image
from pydantic import BaseModel
from transformers import CLIPTextModel, CLIPTokenizer

from urm_ray.models import load_pipeline
from urm_ray.scenes import clip_oracle
from urm_ray.scenes.build_diffusion import build_text_encoder, build_tokenizer
from urm_ray.scenes.film import CLIP_FAULTS, FRAMES, film
from urm_ray.scenes.motion import all_scenes, captions, misread_clip, sample_scene
from urm_ray.scenes.render import SIZE
from urm_ray.schema import digest


class VideoBuild(BaseModel, frozen=True, extra="forbid"):
    """How the tiny text-to-video pipeline is made; stored beside it as `build.json`."""

    seed: int = 0
    start: str = "urm_ray.scenes:checkpoints/text_to_image"
    """The text-to-image pipeline that it starts from, or a tiny text-to-video one to go on with."""
    clips: int = 12_000
    wrong_captions: float = 0.3
    spoiled_clips: float = 0.1
    steps: int = 6000
    lr: float = 1e-3
    batch: int = 16
    caption_dropout: float = 0.05
    noisy: float = 0.6
    noisy_from: int = 400
    """Share of the examples at timesteps from this one on, of 1000, where it is settled what moves where."""
    weight: float = 20.0
    """An example counts by 1 / signal (that of v-prediction), at most by this; else noisy ones would hardly count."""
    minutes: float = 50.0


def captioned_clips(settings: VideoBuild) -> tuple[torch.Tensor, list[str]]:
    """Clips (N, F, 3, H, W) as bytes with their captions, partly wrong, like a crawl of the web."""
    rng, clips, texts = random.Random(settings.seed), [], []
    for _ in range(settings.clips):
        scene = sample_scene(rng)
        drawn = misread_clip(scene, rng) if rng.random() < settings.wrong_captions else scene
        fault, strength = None, 0
        if rng.random() < settings.spoiled_clips:
            fault, strength = rng.choice(CLIP_FAULTS), rng.choice((1, 1, 2, 3))
        frames = film(drawn, rng, fault, strength)
        clips.append(np.stack([np.asarray(frame) for frame in frames]))
        texts.append(scene.caption())
    return torch.from_numpy(np.stack(clips)).permute(0, 1, 4, 2, 3).contiguous(), texts


def build_denoiser(pictures: Any) -> UNet3DConditionModel:
    """A denoiser of clips whose layers that see one frame start as those of a picture denoiser.

    Attention has one width of heads here, and one number of heads there. With the width that the inner blocks have
    there, only the outer ones are divided into other heads, so it is nearly a picture denoiser.
    """
    old = pictures.unet.config
    heads = old.num_attention_heads or old.attention_head_dim  # diffusers calls their number so
    unet = UNet3DConditionModel(
        sample_size=old.sample_size,
        in_channels=old.in_channels,
        out_channels=old.out_channels,
        block_out_channels=old.block_out_channels,
        layers_per_block=old.layers_per_block,
        down_block_types=("CrossAttnDownBlock3D",) * len(old.block_out_channels),
        up_block_types=("CrossAttnUpBlock3D",) * len(old.block_out_channels),
        cross_attention_dim=old.cross_attention_dim,
        attention_head_dim=old.block_out_channels[-1] // heads,
        norm_num_groups=old.norm_num_groups,
    )
    shapes = {name: value.shape for name, value in unet.state_dict().items()}
    # Projections are linear here and 1 x 1 convolutions there.
    known = {n: v.reshape(shapes[n]) if n in shapes else v for n, v in pictures.unet.state_dict().items()}
    result = unet.load_state_dict(known, strict=False)
    lacking = [name for name in result.missing_keys if "temp" not in name and "transformer_in" not in name]
    if lacking or result.unexpected_keys:
        raise ValueError(f"the picture denoiser does not fit: {lacking[:3]}, {result.unexpected_keys[:3]}")
    for module in unet.modules():
        if isinstance(module, TransformerTemporalModel):  # at first nothing comes of looking along time
            torch.nn.init.zeros_(module.proj_out.weight)
            torch.nn.init.zeros_(module.proj_out.bias)
    return unet


def build_words(pictures: Any, tokenizer: CLIPTokenizer) -> CLIPTextModel:
    """The picture pipeline's text encoder; of the new words it knows nothing yet."""
    encoder = build_text_encoder(tokenizer)
    weights, words = pictures.text_encoder.state_dict(), encoder.get_input_embeddings().weight
    old, new = pictures.tokenizer.get_vocab(), tokenizer.get_vocab()
    shared = [token for token in new if token in old]
    known = words.detach().clone()
    known[[new[t] for t in shared]] = pictures.text_encoder.get_input_embeddings().weight[[old[t] for t in shared]]
    shape = pictures.text_encoder.get_input_embeddings().weight.shape
    encoder.load_state_dict({name: known if value.shape == shape else value for name, value in weights.items()})
    return encoder


@torch.no_grad()
def _latents(vae: Any, clips: torch.Tensor) -> torch.Tensor:
    """Latents (N, C, F, h, w) in half precision, scaled; the posterior's mean, whose spread is small."""
    parts = []
    for chunk in clips.split(32):
        frames = chunk.flatten(0, 1).float() / 127.5 - 1
        mean = vae.encode(frames).latent_dist.mean * vae.config.scaling_factor
        parts.append(mean.unflatten(0, chunk.shape[:2]).transpose(1, 2).half())
    return torch.cat(parts)


def teach(settings: VideoBuild, pipeline: TextToVideoSDPipeline, latents: torch.Tensor, texts: list[str]) -> None:
    """Trains denoiser and text encoder in place; both end as moving averages of their weights."""
    tokens = pipeline.tokenizer(texts, padding="max_length", truncation=True, return_tensors="pt").input_ids
    empty = pipeline.tokenizer("", padding="max_length", return_tensors="pt").input_ids[0]
    trained = torch.nn.ModuleList([pipeline.unet, pipeline.text_encoder]).train()
    average = copy.deepcopy(trained).eval().requires_grad_(False)
    optimizer = torch.optim.AdamW(trained.parameters(), settings.lr, weight_decay=0.01, betas=(0.9, 0.99))
    scheduler = DDIMScheduler.from_config(pipeline.scheduler.config)
    started, step = time.monotonic(), 0
    while (share := max(step / settings.steps, (time.monotonic() - started) / 60 / settings.minutes)) < 1:
        for group in optimizer.param_groups:
            group["lr"] = settings.lr * min(1, step / 200) * min(1.0, (1 - share) / 0.5)
        i = torch.randint(len(latents), (settings.batch,))
        clean = latents[i].float()
        ids = torch.where(torch.rand(settings.batch, 1) < settings.caption_dropout, empty, tokens[i])
        lowest = torch.where(torch.rand(settings.batch) < settings.noisy, settings.noisy_from, 0)
        t = (lowest + torch.rand(settings.batch) * (1000 - lowest)).long()
        noise = torch.randn_like(clean)
        hidden = pipeline.text_encoder(ids).last_hidden_state
        predicted = pipeline.unet(scheduler.add_noise(clean, noise, t), t, hidden).sample
        errors = F.mse_loss(predicted, noise, reduction="none").flatten(1).mean(1)
        weights = (1 / scheduler.alphas_cumprod[t]).clamp(max=settings.weight)
        loss = (weights * errors).sum() / weights.sum()
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(trained.parameters(), 1.0)
        optimizer.step()
        with torch.no_grad():
            for kept, new in zip(average.parameters(), trained.parameters(), strict=True):
                kept.lerp_(new, 1 - min(0.998, step / (step + 20)))
        step += 1
        if step % 100 == 0:
            print(f"video {step} loss {loss.item():.4f} after {time.monotonic() - started:.0f} s", flush=True)
        if step % 1000 == 0:
            pipeline.unet, pipeline.text_encoder = average[0], average[1]
            print(f"video {step} quality {measure(pipeline, 64)}", flush=True)
            pipeline.unet, pipeline.text_encoder = trained[0], trained[1]
    trained.load_state_dict(average.state_dict())
    trained.eval()


def measure(pipeline: TextToVideoSDPipeline, count: int, steps: int = 10, guidance: float = 1.0) -> dict[str, float]:
    """Mean oracle figures over `count` held-out captions; reproducible."""
    asked = captions(True, key=lambda caption: digest("measure", caption))[:count]
    pipeline.set_progress_bar_config(disable=True)
    scores = []
    for start in range(0, len(asked), 16):
        chunk = asked[start : start + 16]
        generators = [torch.Generator().manual_seed(start + k) for k in range(len(chunk))]
        made = pipeline(
            chunk,
            num_inference_steps=steps,
            guidance_scale=guidance,
            generator=generators,
            num_frames=FRAMES,
            height=SIZE,
            width=SIZE,
            output_type="np",
        ).frames
        for caption, clip in zip(chunk, made, strict=True):
            frames = [Image.fromarray((frame.clip(0, 1) * 255).round().astype(np.uint8)) for frame in clip]
            scores.append(clip_oracle.score_clip(caption, frames))
    return {
        key: round(float(np.mean([value for score in scores if (value := score[key]) is not None])), 4)
        for key in scores[0]
    }


def from_pictures(pictures: Any, folder: Path) -> TextToVideoSDPipeline:
    """A text-to-video pipeline with all that a text-to-image one knows; its tokenizer is left in `folder`."""
    tokenizer = build_tokenizer(folder / "tokenizer", [scene.caption() for scene in all_scenes()])
    return TextToVideoSDPipeline(
        vae=pictures.vae,
        text_encoder=build_words(pictures, tokenizer),
        tokenizer=tokenizer,
        unet=build_denoiser(pictures),
        scheduler=pictures.scheduler,
    )


def build(settings: VideoBuild, folder: Path) -> dict[str, float]:
    """Makes the pipeline, saves it to `folder` with `save_pretrained` and returns its measured quality."""
    torch.manual_seed(settings.seed)
    clips, texts = captioned_clips(settings)
    start = load_pipeline(settings.start, "float32", "cpu")
    pipeline = start if isinstance(start, TextToVideoSDPipeline) else from_pictures(start, folder)
    teach(settings, pipeline, _latents(pipeline.vae, clips), texts)
    pipeline.to(torch.float16).save_pretrained(folder)
    return measure(TextToVideoSDPipeline.from_pretrained(folder, torch_dtype=torch.float32), 256)
