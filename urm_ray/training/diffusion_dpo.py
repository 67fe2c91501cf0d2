"""Diffusion-DPO of a text-to-image pipeline (paper III-D; arXiv 2311.12908)."""

from __future__ import annotations

import contextlib
import math
from typing import Any

import numpy as np
import pyarrow as pa
import ray.train
import torch
from transformers import Trainer, TrainingArguments

from urm_ray.config import DpoConfig
from urm_ray.media import decode_image
from urm_ray.models import load_pipeline
from urm_ray.schema import seed_of
from urm_ray.training.callback import RayTrainCallback, TrainingError, remove_local_checkpoints
from urm_ray.training.launch import last_checkpoint, run_trainer, save_model, start_worker
from urm_ray.training.lora import add_lora
from urm_ray.training.losses import DiffusionDpo, diffusion_dpo_loss
from urm_ray.training.stream import ShardBatches
from urm_ray.training.zero import trainer_arguments


def collate_pairs(table: pa.Table) -> dict[str, Any]:
    """Pictures (2B, 3, H, W) in -1..1, winners first, with the B prompts and pair ids."""
    rows = table.to_pylist()
    pictures = [decode_image(row[side]["media"]) for side in ("chosen", "rejected") for row in rows]
    pixels = torch.from_numpy(np.stack([np.asarray(p) for p in pictures])).permute(0, 3, 1, 2).float() / 127.5 - 1
    return {"pixels": pixels, "prompts": [row["prompt"] for row in rows], "ids": [row["pair_id"] for row in rows]}


class PairEncoder:
    """The frozen parts of the policy: pictures to latents, captions to embeddings, clean latents to noised ones."""

    def __init__(self, pipeline: Any, config: DpoConfig, seed: int) -> None:
        self.pipeline, self.seed = pipeline, seed
        steps = pipeline.scheduler.config.num_train_timesteps
        self.timesteps = (config.min_timestep, steps if config.max_timestep is None else config.max_timestep)
        if pipeline.scheduler.config.prediction_type != "epsilon":
            raise ValueError(
                f"Diffusion-DPO here needs epsilon prediction, not {pipeline.scheduler.config.prediction_type}"
            )

    @torch.no_grad()
    def __call__(self, batch: dict[str, Any], step: int) -> dict[str, torch.Tensor]:
        """Noisy latents (2B, C, h, w), timesteps (2B,), embeddings (2B, L, D) and the noise to be predicted.

        Noise and timestep are shared inside a pair and come from the pair's id and the step alone.
        """
        vae, device = self.pipeline.vae, self.pipeline.device
        draws = [self._draw(pair_id, step, batch["pixels"].shape[-2:]) for pair_id in batch["ids"]]
        timesteps = torch.tensor([t for t, _, _ in draws], device=device).repeat(2)
        noise = torch.stack([n for _, n, _ in draws]).to(device).repeat(2, 1, 1, 1)
        spread = torch.cat([torch.stack([s[k] for _, _, s in draws]) for k in (0, 1)]).to(device)
        posterior = vae.encode(batch["pixels"].to(device, vae.dtype)).latent_dist
        latents = (posterior.mean + posterior.std * spread) * vae.config.scaling_factor
        tokens = self.pipeline.tokenizer(
            batch["prompts"],
            padding="max_length",
            max_length=self.pipeline.tokenizer.model_max_length,
            truncation=True,
            return_tensors="pt",
        ).input_ids.to(device)
        hidden = self.pipeline.text_encoder(tokens).last_hidden_state
        noisy = self.pipeline.scheduler.add_noise(latents, noise, timesteps)
        return {"noisy": noisy, "timesteps": timesteps, "hidden": hidden.repeat(2, 1, 1), "target": noise}

    def _draw(self, pair_id: str, step: int, size: torch.Size) -> tuple[int, torch.Tensor, torch.Tensor]:
        dice = torch.Generator().manual_seed(seed_of("dpo", self.seed, pair_id, step))
        shape = (self.pipeline.vae.config.latent_channels, *(n // self.pipeline.vae_scale_factor for n in size))
        timestep = int(torch.randint(*self.timesteps, (1,), generator=dice))
        return timestep, torch.randn(shape, generator=dice), torch.randn(2, *shape, generator=dice)


class DiffusionDpoTrainer(Trainer):
    """The step of Diffusion-DPO in transformers' loop. Logs winner and loser errors apart."""

    def __init__(
        self, *args: Any, batches: ShardBatches, encoder: PairEncoder, reference: Any, config: DpoConfig, **kwargs: Any
    ) -> None:
        super().__init__(*args, **kwargs)
        self.batches, self.encoder, self.reference, self.config = batches, encoder, reference, config
        self._micro = batches.start
        self.model_accepts_loss_kwargs = False
        self._sums: dict[str, list[float]] = {}
        self._bad_logs = 0

    def get_train_dataloader(self) -> Any:
        return self.batches

    def _reference(self, model: Any, inputs: tuple[Any, ...]) -> torch.Tensor:
        off = contextlib.nullcontext()
        if self.config.reference == "adapter_off":
            off = self.accelerator.unwrap_model(model).disable_adapter()
        with torch.no_grad(), off:
            return (self.reference or model)(*inputs).sample

    def compute_loss(self, model: Any, inputs: dict[str, Any], *args: Any, **kwargs: Any) -> torch.Tensor:
        encoded = self.encoder(inputs, self._micro)
        arguments = (encoded["noisy"], encoded["timesteps"], encoded["hidden"])
        reference = self._reference(model, arguments)
        result = diffusion_dpo_loss(model(*arguments).sample, reference, encoded["target"], self.config.beta)
        if self._micro == 0 and abs(float(result.loss) - math.log(2)) > 1e-3:
            raise TrainingError(
                f"the loss at step 0 is {float(result.loss):.5f}, not ln 2: the reference is not the policy"
            )
        self._micro += 1
        self._note(result)
        return result.loss

    def _note(self, result: DiffusionDpo) -> None:
        figures = {
            "winner_error": result.winner_error,
            "loser_error": result.loser_error,
            "winner_reference": result.winner_reference,
            "loser_reference": result.loser_reference,
            "accuracy": result.accuracy,
        }
        for name, value in figures.items():
            self._sums.setdefault(name, []).append(float(value.detach().mean()))

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        if "loss" in logs and self._sums:
            means = torch.tensor([sum(v) / len(v) for v in self._sums.values()], device=self.accelerator.device)
            means = self.accelerator.reduce(means, "mean").tolist()
            figures = dict(zip(self._sums, means, strict=True))
            logs |= figures
            logs["winner_excess"] = figures["winner_error"] / figures["winner_reference"] - 1
            logs["loser_excess"] = figures["loser_error"] / figures["loser_reference"] - 1
            self._sums = {}
            self._guard(logs)
        super().log(logs, start_time)

    def _guard(self, logs: dict[str, float]) -> None:
        """Stops when both errors have grown far beyond the reference's: the policy is forgetting, not choosing."""
        collapsed = min(logs["winner_excess"], logs["loser_excess"]) > self.config.guard_ratio
        self._bad_logs = self._bad_logs + 1 if collapsed else 0
        if self.config.guard_patience and self._bad_logs >= self.config.guard_patience:
            print(f"[dpo] stopped: both errors exceed the reference's by {self.config.guard_ratio:.0%}", flush=True)
            self.control.should_training_stop = True


def dpo_loop(settings: dict[str, Any]) -> None:
    """One Ray Train worker. settings: `train` (DpoConfig), `policy`, `dtype`, `seed`, `stage`."""
    config = DpoConfig(**settings["train"])
    scratch = start_worker(config, settings["stage"])
    device = "auto" if config.use_gpu else "cpu"

    def fresh() -> Any:
        denoiser = load_pipeline(settings["policy"], "float32", "cpu").unet
        return add_lora(denoiser, config.lora) if config.lora else denoiser.requires_grad_(True)

    pipeline = load_pipeline(settings["policy"], "float32", device)
    reference = pipeline.unet.requires_grad_(False).eval() if config.reference == "copy" else None
    model = fresh()
    # After the models: under ZeRO-3 these arguments make transformers shard whatever it loads, frozen encoders too.
    arguments = TrainingArguments(**trainer_arguments(config, scratch, settings["seed"], use_cpu=not config.use_gpu))
    checkpoint, done = last_checkpoint(scratch)
    batches = ShardBatches(
        ray.train.get_dataset_shard("train"),
        collate_pairs,
        config.batch,
        total=config.steps * config.accumulate,
        start=done * config.accumulate,
        seed=settings["seed"] % 2**31,
        window=settings["rows"],
    )
    trainer = DiffusionDpoTrainer(
        model=model,
        args=arguments,
        callbacks=[RayTrainCallback("dpo")],
        batches=batches,
        encoder=PairEncoder(pipeline, config, settings["seed"]),
        reference=reference,
        config=config,
    )
    run_trainer(trainer, checkpoint)

    def save(denoiser: Any, folder: str) -> None:
        whole = load_pipeline(settings["policy"], "float32", "cpu")
        whole.unet = denoiser
        whole.save_pretrained(folder)

    save_model(trainer, fresh, save, settings["stage"])
    remove_local_checkpoints(scratch)
