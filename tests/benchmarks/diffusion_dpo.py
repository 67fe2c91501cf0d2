"""The step of Diffusion-DPO on encoded pairs with stored errors of the reference, against the step that published
trainers take: autoencoder, text encoder and the reference run anew each time.

The reference is a frozen copy, as in the paper's own trainer, or the policy with its adapters off where LoRA is
trained, as in diffusers'. Both have winners and losers in one batch. Theirs gets pixels, tokens and draws ready-made.
"""

from __future__ import annotations

import contextlib
import os
import socket
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch
import torch.nn.functional as F
from PIL import Image
from rounds import Result, Side, in_turns
from small_denoiser import SIDE, small_denoiser, tiny_denoiser
from torch.utils.flop_counter import FlopCounterMode
from transformers import TrainerCallback, TrainingArguments
from transformers.integrations import unset_hf_deepspeed_config
from transformers.trainer_callback import PrinterCallback

from urm_ray import schema
from urm_ray.config_training import DpoConfig
from urm_ray.denoisers.checkpoint import load_denoiser
from urm_ray.denoisers.registry import family_of
from urm_ray.media import encode_image
from urm_ray.models import load_pipeline
from urm_ray.training.diffusion_dpo import DiffusionDpoTrainer, trainable
from urm_ray.training.encode_pairs import EncodePairs
from urm_ray.training.encoded import collate_encoded
from urm_ray.training.zero import trainer_arguments

SEED = 0
PROMPTS = ("a red circle", "two blue squares", "a green triangle left of a red square")
TOLERANCE = 1e-3
"""Losses of both sides may differ by this much; they are around ln 2 = 0.69."""


def now() -> float:
    """Seconds, once the device has done all that it was asked."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter()


class Clock(TrainerCallback):
    """From the end of the first step, which warms up, to the end of the last."""

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if state.global_step == 1:
            self.start = now()
        if state.global_step == state.max_steps:
            self.seconds = now() - self.start


class Batches:
    """Encoded pairs, collated when they are asked for."""

    start = 0

    def __init__(self, table: pa.Table, batch: int, steps: int) -> None:
        self.table, self.batch, self.steps = table, batch, steps

    def __len__(self) -> int:
        return self.steps

    def __iter__(self) -> Iterator[dict[str, Any]]:
        for step in range(self.steps):
            yield collate_encoded(self.table.slice(step % 2 * self.batch, self.batch))


class Case:
    """Two batches of pairs for a policy, and both trainings on them. Every run starts from the policy's weights."""

    def __init__(self, path: str, side: int, **settings: Any) -> None:
        self.path, self.device = path, "cuda" if torch.cuda.is_available() else "cpu"
        settings |= {"schedule": "constant", "checkpoint_steps": settings["steps"], "log_steps": settings["steps"]}
        self.config = DpoConfig(reference="stored", use_gpu=self.device == "cuda", **settings)
        self.rows = [_pair(number, side) for number in range(2 * self.config.batch)]
        encode = EncodePairs(path, self.config, SEED)
        start = now()
        self.table = encode(schema.table_of(self.rows, schema.PREFERENCE_PAIR))
        self.encoding = (now() - start) / len(self.rows)
        self.noising = encode.noising
        self.losses: dict[str, list[float]] = {}

    def ours(self) -> tuple[float, float]:
        config, clock, losses = self.config, Clock(), list[torch.Tensor]()
        on_cpu = self.device == "cpu"
        arguments = trainer_arguments(config, tempfile.gettempdir(), SEED, on_cpu) | {"save_strategy": "no"}
        trainer = DiffusionDpoTrainer(
            model=self._policy(),
            args=TrainingArguments(**arguments),
            callbacks=[clock],
            family=family_of(self.path),
            batches=Batches(self.table, config.batch, config.steps),
            noising=self.noising,
            reference=None,
            config=config,
        )
        loss = trainer.compute_loss

        def kept(*args: Any, **kwargs: Any) -> torch.Tensor:
            losses.append((found := loss(*args, **kwargs)).detach())
            return found

        trainer.compute_loss = kept
        trainer.remove_callback(PrinterCallback)
        trainer.train()
        unset_hf_deepspeed_config()
        self.losses["ours"] = torch.stack(losses).tolist()
        return (config.steps - 1) * config.batch, clock.seconds

    def _policy(self) -> Any:
        torch.manual_seed(SEED)  # adapters start from chance
        return trainable(load_denoiser(self.path), self.config)

    def theirs(self) -> tuple[float, float]:
        config, batch = self.config, self.config.batch
        policy = load_pipeline(self.path, device=self.device)
        for part in (policy.unet, policy.vae, policy.text_encoder):
            part.requires_grad_(False)
        unet, frozen, off = self._policy().to(self.device).train(), policy.unet.eval(), contextlib.nullcontext
        if config.lora:
            frozen, off = unet, unet.disable_adapter
        trained = [parameter for parameter in unet.parameters() if parameter.requires_grad]
        optimizer = torch.optim.AdamW(trained, config.lr, (0.9, config.adam_beta2), weight_decay=config.weight_decay)
        made = [self._inputs(policy, step) for step in range(config.steps)]
        losses = []
        for step, (pixels, words, timesteps, noise, spread) in enumerate(made):
            with torch.no_grad():
                posterior = policy.vae.encode(pixels).latent_dist
                latents = (posterior.mean + posterior.std * spread) * policy.vae.config.scaling_factor
                hidden = policy.text_encoder(words)[0].repeat(2, 1, 1)
            noisy = policy.scheduler.add_noise(latents, noise, timesteps)
            after = unet(noisy, timesteps, hidden).sample
            with torch.no_grad(), off():
                before = frozen(noisy, timesteps, hidden).sample
            error, reference = ((one - noise).square().mean((1, 2, 3)) for one in (after, before))
            gain = error - reference
            loss = -F.logsigmoid(-config.beta / 2 * (gain[:batch] - gain[batch:])).mean()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(trained, config.max_grad_norm)
            optimizer.step()
            optimizer.zero_grad()
            losses.append(loss.detach())
            if step == 0:
                start = now()
        seconds = now() - start
        self.losses["theirs"] = torch.stack(losses).tolist()
        return (config.steps - 1) * batch, seconds

    def _inputs(self, policy: Any, step: int) -> tuple[torch.Tensor, ...]:
        """What a data loader's workers would have ready: pixels, tokens, and the same draws as ours."""
        rows = self.rows[step % 2 * self.config.batch :][: self.config.batch]
        pixels = [torch.from_numpy(np.array(_picture(row["number"], k, row["side"]))) for k in (0, 1) for row in rows]
        words = policy.tokenizer([row["prompt"] for row in rows], padding="max_length", return_tensors="pt").input_ids
        shape = self.table["chosen_mean"][0]["shape"].as_py()
        drawn = [self.noising.draw(row["pair_id"], self.noising.number(row["pair_id"], step), shape) for row in rows]
        made = (
            torch.stack(pixels).permute(0, 3, 1, 2).float() / 127.5 - 1,
            words,
            torch.tensor([timestep for timestep, _, _ in drawn] * 2),
            torch.stack([noise for _, noise, _ in drawn] * 2),
            torch.cat([torch.stack([spread[k] for _, _, spread in drawn]) for k in (0, 1)]),
        )
        return tuple(tensor.to(self.device) for tensor in made)

    def differ_by(self) -> float:
        """The largest difference between the losses of both sides at any step; AssertionError where it matters."""
        most = max(abs(a - b) for a, b in zip(self.losses["ours"], self.losses["theirs"], strict=True))
        assert most < TOLERANCE, self.losses
        return most

    def work(self) -> dict[str, float]:
        """Floating-point operations of each part in one step, as kernels are counted, by those of the U-Net trained;
        and what theirs come to by ours, which is the ratio to be had from leaving work out."""
        policy, trained = load_pipeline(self.path, device=self.device), self._policy().to(self.device)
        pixels, words, timesteps, noise, _ = self._inputs(policy, 0)
        hidden = policy.text_encoder(words)[0].repeat(2, 1, 1).detach()
        parts = {
            "autoencoder": lambda: policy.vae.encode(pixels),
            "text encoder": lambda: policy.text_encoder(words),
            "reference": lambda: policy.unet(noise, timesteps, hidden),
            "policy": lambda: trained(noise, timesteps, hidden).sample.sum().backward(),
        }
        counted = {}
        for name, run in parts.items():
            with torch.set_grad_enabled(name == "policy"), FlopCounterMode(display=False) as counter:
                run()
            counted[name] = counter.get_total_flops()
        shares = {name: count / counted["policy"] for name, count in counted.items()}
        return shares | {"theirs by ours": sum(shares.values())}


def _picture(number: int, side: int, pixels: int) -> Image.Image:
    """Soft blots with some noise over them."""
    dice = np.random.default_rng([number, side])
    blots = Image.fromarray(dice.integers(0, 256, (8, 8, 3), dtype=np.uint8)).resize((pixels, pixels), 3)
    grain = dice.integers(-8, 9, (pixels, pixels, 3))
    return Image.fromarray(np.clip(np.asarray(blots) + grain, 0, 255).astype(np.uint8))


def _pair(number: int, pixels: int) -> dict[str, Any]:
    """A `schema.PREFERENCE_PAIR` row, and what it was made from."""
    sides = {
        name: {"index": k, "seed": k, "media": encode_image(_picture(number, k, pixels)), "text": None, "error": None}
        for k, name in enumerate(("chosen", "rejected"))
    }
    known = {"pair_id": f"pair{number}", "prompt_id": f"prompt{number}", "prompt": PROMPTS[number % len(PROMPTS)]}
    return dict.fromkeys(schema.PREFERENCE_PAIR.names) | known | sides | {"number": number, "side": pixels}


LORA = {"rank": 8, "alpha": 8, "targets": ["to_k", "to_q", "to_v", "to_out.0"]}
"""As in diffusers' script."""


def benchmark(rounds: int, size: str, lora: bool) -> Result:
    _alone()
    settings: dict[str, Any] = {"beta": 1000.0, "lora": LORA if lora else None, "lr": 1e-4 if lora else 1e-5}
    if size == "tiny":
        case = Case(tiny_denoiser(), 32, batch=16, steps=21, **settings)
    else:
        place = Path(tempfile.gettempdir()) / "urm_ray_benchmarks" / "small_denoiser"
        case = Case(small_denoiser(place), SIDE, batch=4, steps=4, **settings)
    reference = "adapters off" if lora else "a frozen copy"
    return in_turns(
        Side("encoded pairs, stored errors of the reference", case.ours),
        Side(f"autoencoder, text encoder and reference ({reference}) at each step", case.theirs),
        rounds,
        "pairs",
        target=2.0,
        trained=sum(p.numel() for p in case._policy().parameters() if p.requires_grad),
        pairs_a_step=case.config.batch,
        work=case.work,
        largest_difference_of_losses=case.differ_by,
        losses=lambda: case.losses,
        seconds_to_encode_a_pair_once=case.encoding,
    )


def _alone() -> None:
    """A process group of this process alone, which DeepSpeed needs."""
    import deepspeed

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    os.environ |= {"RANK": "0", "LOCAL_RANK": "0", "WORLD_SIZE": "1", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    if not torch.cuda.is_available():
        os.environ["DS_ACCELERATOR"] = "cpu"
    deepspeed.init_distributed(dist_backend="nccl" if torch.cuda.is_available() else "gloo", verbose=False)
