"""Diffusion-DPO of a text-to-image or text-to-video denoiser (paper III-D; arXiv 2311.12908) on encoded pairs."""

from __future__ import annotations

import contextlib
from typing import Any

import torch
from transformers import Trainer

from urm_ray.config_training import DpoConfig
from urm_ray.denoisers.family import Family
from urm_ray.training.guards import CollapseGuard, TrainingError, need_finite, need_reference_start
from urm_ray.training.lora import add_lora
from urm_ray.training.losses import DiffusionDpo, diffusion_dpo_loss, dpo_loss_of_errors, sample_errors
from urm_ray.training.noising import Noising, predict
from urm_ray.training.objectives import Noised
from urm_ray.training.waits import TimedBatches

NOTED = ("loss", "winner_error", "loser_error", "winner_reference", "loser_reference", "accuracy")
"""What is kept of each micro-batch until the next log."""


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
    """A denoiser as `load_denoiser` gives it, made ready to be trained: its weights, or LoRA adapters on them.

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
    if config.train_only:
        for name, parameter in denoiser.named_parameters():
            parameter.requires_grad &= any(part in name for part in config.train_only)
        if not any(parameter.requires_grad for parameter in denoiser.parameters()):
            names = " or ".join(config.train_only)
            raise TrainingError(f"train_only: no parameter of {type(denoiser).__name__} has {names} in its name")
    return add_lora(denoiser, config.lora) if config.lora else denoiser


class DiffusionDpoTrainer(Trainer):
    """The step of Diffusion-DPO in transformers' loop. Logs winner and loser errors apart.

    family: of the policy. batches: `encoded.collate_encoded` batches with a `start`, the number of the first.
    reference: the frozen copy, where the configuration asks for one. carried: shares of the rows that take turns in
    the batches.
    """

    def __init__(
        self,
        *args: Any,
        family: Family,
        batches: Any,
        noising: Noising,
        reference: Any,
        config: DpoConfig,
        carried: int = 1,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        self.family, self.batches, self.noising = family, batches, noising
        self._timed = TimedBatches(batches)
        self.reference, self.config = reference, config
        self._seen, self._carried = 0, carried
        self.model_accepts_loss_kwargs = False
        self._notes: list[tuple[int, list[str], torch.Tensor]] = []
        both = "denoising errors of winners and losers", "above"
        self._guard = CollapseGuard(config.guard_ratio, config.guard_patience, both)

    def get_train_dataloader(self) -> Any:
        return self._timed

    def _prepare_inputs(self, inputs: dict[str, Any]) -> dict[str, Any]:
        # The parent would round stored errors and latents to half precision, and beta is too large for that.
        def moved(value: Any) -> Any:
            if isinstance(value, dict):
                return {name: moved(inner) for name, inner in value.items()}
            return value.to(self.args.device) if isinstance(value, torch.Tensor) else value

        return moved(inputs)

    def _loss(self, model: Any, inputs: dict[str, Any], noised: Noised, numbers: list[int]) -> DiffusionDpo:
        told = inputs["conditioning"]
        predicted = predict(self.family, model, noised, told)
        beta, sft_weight = self.config.beta, self.config.sft_weight
        if self.config.reference == "stored":
            which = torch.tensor(numbers * 2, device=predicted.device)[:, None]
            errors = sample_errors(predicted, noised.target)
            return dpo_loss_of_errors(errors, inputs["reference"].gather(1, which)[:, 0], beta, sft_weight)
        off: Any = contextlib.nullcontext()
        if self.config.reference == "adapter_off":
            off = self.accelerator.unwrap_model(model).disable_adapter()
        with torch.no_grad(), off:
            reference = predict(self.family, self.reference or model, noised, told)
        return diffusion_dpo_loss(predicted, reference, noised.target, beta, sft_weight)

    @property
    def _micro(self) -> int:
        """The number of the current micro-batch among those of its share."""
        turn = self.config.accumulate
        steps, within = divmod(self._seen, turn * self._carried)
        return self.batches.start + steps * turn + within % turn

    def compute_loss(self, model: Any, inputs: dict[str, Any], *args: Any, **kwargs: Any) -> torch.Tensor:
        ids = inputs["ids"]
        numbers = [self.noising.number(pair_id, self._micro) for pair_id in ids]
        noised = self.noising(inputs["mean"], inputs["std"], ids, numbers)
        result = self._loss(model, inputs, noised, numbers)
        self._notes.append((self._micro, ids, torch.stack([getattr(result, name).detach().mean() for name in NOTED])))
        if self._micro == 0:
            loss = float(result.loss.detach())
            need_finite(loss, 0, ids)
            need_reference_start(loss, start_tolerance(self.config))
        self._seen += 1
        return result.loss

    def _noted(self) -> torch.Tensor:
        """NOTED of each micro-batch since the last log (N, 6); TrainingError for a loss that is not a number.

        To read a number is to wait for the device, so it is not done at every step.
        """
        noted = torch.stack([note for _, _, note in self._notes])
        for (micro, ids, _), loss in zip(self._notes, noted[:, 0].tolist(), strict=True):
            need_finite(loss, micro, ids)
        return noted

    def _save_checkpoint(self, *args: Any, **kwargs: Any) -> None:
        if self._notes:
            self._noted()  # what is saved last may be saved without a log before it
        super()._save_checkpoint(*args, **kwargs)

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        noted, self._notes = self._noted() if self._notes else None, []
        if "loss" in logs and noted is not None:
            means = self.accelerator.reduce(noted.mean(0), "mean").tolist()
            figures = dict(zip(NOTED, means, strict=True))
            logs |= {name: figures[name] for name in NOTED[1:]}
            logs["winner_excess"] = figures["winner_error"] / figures["winner_reference"] - 1
            logs["loser_excess"] = figures["loser_error"] / figures["loser_reference"] - 1
            logs["waiting"] = self._timed.share(self.accelerator)
        super().log(logs, start_time)
        if "loser_excess" in logs:
            self._guard.check(logs["winner_excess"], logs["loser_excess"], self.state.global_step)
