"""Diffusion-DPO of a text-to-image or text-to-video U-Net (paper III-D; arXiv 2311.12908) on encoded pairs."""

from __future__ import annotations

import contextlib
from typing import Any

import torch
from transformers import Trainer

from urm_ray.config_training import DpoConfig
from urm_ray.training.guards import CollapseGuard, TrainingError, need_finite, need_reference_start
from urm_ray.training.lora import add_lora
from urm_ray.training.losses import DiffusionDpo, diffusion_dpo_loss, dpo_loss_of_errors, sample_errors
from urm_ray.training.noising import Noised, Noising, predict


def start_tolerance(config: DpoConfig) -> float:
    """How far the loss at step 0 may be from ln 2.

    Stored errors were computed in a batch of another size, which rounds otherwise, and beta multiplies the difference.
    For a single pair at beta 5000 it was up to 7e-5 in float32 and 0.1 in bfloat16 (measured on latents of 4 x 8 x 8,
    on a CPU; TF32 lies between). A reference that is another model, or saw other draws, is off by far more.
    """
    if config.reference != "stored":
        return 1e-3
    return 0.25 if config.bf16 else 0.05


def trainable(denoiser: Any, config: DpoConfig) -> Any:
    """The denoiser made ready to be trained: all of its weights, or LoRA adapters on it.

    Its own dropout is switched off (the temporal layers of UNet3DConditionModel have it): winner, loser and reference
    are compared with each other, and chance would take part in the comparison.
    """
    for module in denoiser.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    if config.gradient_checkpointing:
        try:
            denoiser.enable_gradient_checkpointing()
        except ValueError:
            raise TrainingError(f"gradient_checkpointing: {type(denoiser).__name__} has none") from None
    return add_lora(denoiser, config.lora) if config.lora else denoiser.requires_grad_(True)


class DiffusionDpoTrainer(Trainer):
    """The step of Diffusion-DPO in transformers' loop. Logs winner and loser errors apart.

    batches: `encoded.collate_encoded` batches with a `start`, the number of the first. reference: the frozen copy,
    where the configuration asks for one.
    """

    def __init__(
        self, *args: Any, batches: Any, noising: Noising, reference: Any, config: DpoConfig, **kwargs: Any
    ) -> None:
        super().__init__(*args, **kwargs)
        self.batches, self.noising, self.reference, self.config = batches, noising, reference, config
        self._micro = batches.start
        self.model_accepts_loss_kwargs = False
        self._sums: dict[str, list[float]] = {}
        both = "denoising errors of winners and losers", "above"
        self._guard = CollapseGuard(config.guard_ratio, config.guard_patience, both)

    def get_train_dataloader(self) -> Any:
        return self.batches

    def _prepare_inputs(self, inputs: dict[str, Any]) -> dict[str, Any]:
        # The parent would round stored errors and latents to half precision, and beta is too large for that.
        device = self.args.device
        return {k: v.to(device) if isinstance(v, torch.Tensor) else v for k, v in inputs.items()}

    def _loss(self, model: Any, inputs: dict[str, Any], noised: Noised, numbers: list[int]) -> DiffusionDpo:
        predicted = predict(model, noised, inputs["embedding"])
        beta, sft_weight = self.config.beta, self.config.sft_weight
        if self.config.reference == "stored":
            which = torch.tensor(numbers * 2, device=predicted.device)[:, None]
            errors = sample_errors(predicted, noised.target)
            return dpo_loss_of_errors(errors, inputs["reference"].gather(1, which)[:, 0], beta, sft_weight)
        off: Any = contextlib.nullcontext()
        if self.config.reference == "adapter_off":
            off = self.accelerator.unwrap_model(model).disable_adapter()
        with torch.no_grad(), off:
            reference = predict(self.reference or model, noised, inputs["embedding"])
        return diffusion_dpo_loss(predicted, reference, noised.target, beta, sft_weight)

    def compute_loss(self, model: Any, inputs: dict[str, Any], *args: Any, **kwargs: Any) -> torch.Tensor:
        ids = inputs["ids"]
        numbers = [self.noising.number(pair_id, self._micro) for pair_id in ids]
        noised = self.noising(inputs["mean"], inputs["std"], ids, numbers)
        result = self._loss(model, inputs, noised, numbers)
        loss = float(result.loss.detach())
        need_finite(loss, self._micro, ids)
        if self._micro == 0:
            need_reference_start(loss, start_tolerance(self.config))
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
        super().log(logs, start_time)
        if "loser_excess" in logs:
            self._guard.check(logs["winner_excess"], logs["loser_excess"], self.state.global_step)
