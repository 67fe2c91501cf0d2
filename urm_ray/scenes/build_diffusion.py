"""Trains the tiny text-to-image pipeline (Stable Diffusion layout) from nothing; see `urm_ray.scenes.build`."""

from __future__ import annotations

import copy
import time
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from diffusers import AutoencoderKL, DDIMScheduler, StableDiffusionPipeline, UNet2DConditionModel
from PIL import Image
from pydantic import BaseModel
from tokenizers import Tokenizer, models, pre_tokenizers, trainers
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

from urm_ray.scenes import oracle
from urm_ray.scenes.corpus import captioned
from urm_ray.scenes.grammar import all_scenes
from urm_ray.scenes.grammar import captions as held_out_captions
from urm_ray.scenes.render import SIZE
from urm_ray.schema import digest


class DiffusionBuild(BaseModel, frozen=True, extra="forbid"):
    """How the tiny text-to-image pipeline is made; stored beside it as `build.json`."""

    seed: int = 0
    pictures: int = 60_000
    wrong_captions: float = 0.3
    spoiled_pictures: float = 0.08
    vae_steps: int = 2500
    vae_lr: float = 2e-3
    unet_steps: int = 12_000
    unet_lr: float = 1.5e-3
    batch: int = 64
    caption_dropout: float = 0.05
    minutes: float = 26.0


def build_tokenizer(folder: Path, captions: list[str]) -> CLIPTokenizer:
    """A CLIP byte-pair tokenizer whose merges are learnt from the captions."""
    bpe = Tokenizer(models.BPE(end_of_word_suffix="</w>", unk_token="<|endoftext|>"))
    bpe.pre_tokenizer = pre_tokenizers.Whitespace()
    bpe.train_from_iterator(
        captions,
        trainers.BpeTrainer(
            vocab_size=256,
            end_of_word_suffix="</w>",
            special_tokens=["<|startoftext|>", "<|endoftext|>"],
            initial_alphabet=list("abcdefghijklmnopqrstuvwxyz"),
        ),
    )
    folder.mkdir(parents=True, exist_ok=True)
    bpe.model.save(str(folder))
    tokenizer = CLIPTokenizer(str(folder / "vocab.json"), str(folder / "merges.txt"), model_max_length=16)
    assert tokenizer.decode(tokenizer(captions[-1]).input_ids, skip_special_tokens=True).strip() == captions[-1]
    return tokenizer


def build_text_encoder(tokenizer: CLIPTokenizer) -> CLIPTextModel:
    """A CLIP text encoder of width 64 with random weights."""
    return CLIPTextModel(
        CLIPTextConfig(
            vocab_size=len(tokenizer),
            hidden_size=64,
            intermediate_size=192,
            num_hidden_layers=2,
            num_attention_heads=4,
            max_position_embeddings=16,
            projection_dim=64,
            bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
        )
    )


def _as_tensor(pictures: list[Image.Image]) -> torch.Tensor:
    """(B, 3, H, W) in -1..1."""
    pixels = np.stack([np.asarray(p.convert("RGB")) for p in pictures])
    return torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 127.5 - 1


def build_vae(settings: DiffusionBuild, pixels: torch.Tensor) -> AutoencoderKL:
    """An autoencoder of factor 4: SIZE x SIZE pixels to 8 x 8 x 4 latents of unit variance."""
    vae = AutoencoderKL(
        block_out_channels=(16, 32, 32),
        down_block_types=("DownEncoderBlock2D",) * 3,
        up_block_types=("UpDecoderBlock2D",) * 3,
        layers_per_block=1,
        latent_channels=4,
        norm_num_groups=8,
        sample_size=SIZE,
    )
    optimizer = torch.optim.AdamW(vae.parameters(), settings.vae_lr, weight_decay=0)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, settings.vae_lr, settings.vae_steps, pct_start=0.1)
    started = time.monotonic()
    for step in range(settings.vae_steps):
        batch = pixels[torch.randint(len(pixels), (settings.batch,))].float() / 127.5 - 1
        posterior = vae.encode(batch).latent_dist
        error = vae.decode(posterior.sample()).sample - batch
        loss = error.abs().mean() + error.square().mean() + 1e-4 * posterior.kl().mean() / posterior.mean[0].numel()
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(vae.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        if step % 250 == 0:
            print(f"vae {step} loss {loss.item():.4f} after {time.monotonic() - started:.0f} s", flush=True)
    return vae.eval().requires_grad_(False)


@torch.no_grad()
def _latents(vae: AutoencoderKL, pixels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    parts = [vae.encode(chunk.float() / 127.5 - 1).latent_dist for chunk in pixels.split(256)]
    return torch.cat([p.mean for p in parts]), torch.cat([p.std for p in parts])


def build_denoiser(
    settings: DiffusionBuild,
    pipeline: StableDiffusionPipeline,
    pixels: torch.Tensor,
    captions: list[str],
    probe: int = 128,
) -> None:
    """Trains the U-Net and the text encoder of the pipeline in place; both end as moving averages of the weights."""
    tokens = pipeline.tokenizer(captions, padding="max_length", truncation=True, return_tensors="pt").input_ids
    empty = pipeline.tokenizer("", padding="max_length", return_tensors="pt").input_ids[0]
    mean, std = _latents(pipeline.vae, pixels)
    pipeline.vae.register_to_config(scaling_factor=float(1 / mean.std()))
    trained = torch.nn.ModuleList([pipeline.unet, pipeline.text_encoder])
    average = copy.deepcopy(trained).eval().requires_grad_(False)
    optimizer = torch.optim.AdamW(trained.parameters(), settings.unet_lr, weight_decay=0.01, betas=(0.9, 0.99))
    scheduler = DDIMScheduler.from_config(pipeline.scheduler.config)
    started, step = time.monotonic(), 0
    while True:
        # Whichever ends first, steps or minutes, the learning rate has reached zero by then.
        share = max(step / settings.unet_steps, (time.monotonic() - started) / 60 / settings.minutes)
        if share >= 1:
            break
        for group in optimizer.param_groups:
            group["lr"] = settings.unet_lr * min(1, step / 200) * min(1.0, (1 - share) / 0.5)
        i = torch.randint(len(mean), (settings.batch,))
        clean = (mean[i] + std[i] * torch.randn_like(std[i])) * pipeline.vae.config.scaling_factor
        ids = torch.where(torch.rand(settings.batch, 1) < settings.caption_dropout, empty, tokens[i])
        t = torch.randint(1000, (settings.batch,))
        noise = torch.randn_like(clean)
        hidden = pipeline.text_encoder(ids).last_hidden_state
        predicted = pipeline.unet(scheduler.add_noise(clean, noise, t), t, hidden).sample
        loss = F.mse_loss(predicted, noise)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(trained.parameters(), 1.0)
        optimizer.step()
        decay = min(0.999, step / (step + 20))
        with torch.no_grad():
            for kept, new in zip(average.parameters(), trained.parameters(), strict=True):
                kept.lerp_(new, 1 - decay)
        step += 1
        if step % 250 == 0:
            print(f"unet {step} loss {loss.item():.4f} after {time.monotonic() - started:.0f} s", flush=True)
        if step % 2000 == 0:
            current = (pipeline.unet, pipeline.text_encoder)
            pipeline.unet, pipeline.text_encoder = average[0], average[1]
            print(f"unet {step} quality {measure(pipeline, probe)}", flush=True)
            pipeline.unet, pipeline.text_encoder = current
    trained.load_state_dict(average.state_dict())


def measure(pipeline: StableDiffusionPipeline, count: int, steps: int = 10, guidance: float = 1.0) -> dict[str, float]:
    """Mean oracle scores over `count` held-out captions; reproducible."""
    captions = held_out_captions(True, key=lambda caption: digest("measure", caption))[:count]
    pipeline.set_progress_bar_config(disable=True)
    scores = []
    for start in range(0, len(captions), 64):
        chunk = captions[start : start + 64]
        generators = [torch.Generator().manual_seed(start + k) for k in range(len(chunk))]
        pictures = pipeline(
            chunk, num_inference_steps=steps, guidance_scale=guidance, generator=generators, height=SIZE, width=SIZE
        ).images
        scores += [oracle.score(c, p) for c, p in zip(chunk, pictures, strict=True)]
    keys = scores[0].keys()
    return {k: round(float(np.mean([v for s in scores if (v := s[k]) is not None])), 4) for k in keys}


def build(settings: DiffusionBuild, folder: Path) -> dict[str, float]:
    """Makes the pipeline, saves it to `folder` with `save_pretrained` and returns its measured quality."""
    torch.manual_seed(settings.seed)
    pairs = list(captioned(settings.seed, settings.pictures, settings.wrong_captions, settings.spoiled_pictures))
    pixels = ((_as_tensor([p for p, _ in pairs]) + 1) * 127.5).round().to(torch.uint8)
    tokenizer = build_tokenizer(folder / "tokenizer", [scene.caption() for scene in all_scenes()])
    vae = build_vae(settings, pixels)
    unet = UNet2DConditionModel(
        sample_size=SIZE // 4,
        in_channels=4,
        out_channels=4,
        block_out_channels=(48, 96),
        layers_per_block=1,
        down_block_types=("CrossAttnDownBlock2D",) * 2,
        up_block_types=("CrossAttnUpBlock2D",) * 2,
        cross_attention_dim=64,
        attention_head_dim=16,
        norm_num_groups=16,
    )
    scheduler = DDIMScheduler(
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        clip_sample=False,
        set_alpha_to_one=False,
        steps_offset=1,
        timestep_spacing="trailing",
    )
    pipeline = StableDiffusionPipeline(
        vae=vae,
        text_encoder=build_text_encoder(tokenizer),
        tokenizer=tokenizer,
        unet=unet,
        scheduler=scheduler,
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    build_denoiser(settings, pipeline, pixels, [c for _, c in pairs])
    return save(pipeline, folder)


def save(pipeline: StableDiffusionPipeline, folder: Path) -> dict[str, float]:
    """Saves the pipeline in half precision, to ship half the bytes, and measures it as it will be loaded."""
    pipeline.to(torch.float16).save_pretrained(folder)
    return measure(StableDiffusionPipeline.from_pretrained(folder, torch_dtype=torch.float32), 512)
