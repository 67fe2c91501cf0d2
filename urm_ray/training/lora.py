"""LoRA on any model: adapters on, and merged away again when the model is saved."""

from __future__ import annotations

import re
from typing import Any

import torch
from peft import LoraConfig as PeftLoraConfig
from peft import PeftModel, get_peft_model
from peft.tuners.lora import LoraLayer

from urm_ray.config_training import LoraConfig


def add_lora(model: torch.nn.Module, config: LoraConfig) -> Any:
    """The model with adapters as `peft_config` says; only they are trained."""
    # Adapters stay in the model's own type: mixed types break ZeRO-3.
    adapted = get_peft_model(model, peft_config(model, config), autocast_adapter_dtype=False)
    for module in adapted.modules():
        if isinstance(module, LoraLayer):
            module.register_forward_pre_hook(_by_place, with_kwargs=True)
    return adapted


def without_adapters(model: Any) -> Any:
    """The model itself, where it stands in an adapter's wrapper."""
    return model.get_base_model() if isinstance(model, PeftModel) else model


def _by_place(_: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """AnimateDiff calls some of its layers with `input=...`, as `torch.nn.Linear` names it and adapters do not."""
    return (kwargs.pop("input"), *args) if "input" in kwargs else args, kwargs


def peft_config(model: torch.nn.Module, config: LoraConfig) -> PeftLoraConfig:
    """Adapters on the named layers that are not frozen; "all-linear" means every `torch.nn.Linear` but the output head.

    Layers are named as PEFT takes them: a list of names or of their ends, or one regular expression. ValueError where
    none of them is left to train.
    """
    wanted, head = config.targets, _head(model)
    unfrozen = {n: m for n, m in model.named_modules() if getattr(getattr(m, "weight", None), "requires_grad", False)}
    if wanted == "all-linear":
        targets = [n for n, module in unfrozen.items() if isinstance(module, torch.nn.Linear) and module is not head]
    elif isinstance(wanted, str):
        targets = [n for n in unfrozen if re.fullmatch(wanted, n)]
    else:
        targets = [n for n in unfrozen if any(n == end or n.endswith(f".{end}") for end in wanted)]
    if not targets:
        raise ValueError(f"lora.targets {wanted!r} names no layer of {type(model).__name__} that is trained")
    return PeftLoraConfig(r=config.rank, lora_alpha=config.alpha, lora_dropout=config.dropout, target_modules=targets)


def _head(model: Any) -> Any:
    return model.get_output_embeddings() if hasattr(model, "get_output_embeddings") else getattr(model, "lm_head", None)
