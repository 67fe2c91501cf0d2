"""LoRA on any model: adapters on, and merged away again when the model is saved."""

from __future__ import annotations

from typing import Any

import torch
from peft import LoraConfig as PeftLoraConfig
from peft import get_peft_model

from urm_ray.config_training import LoraConfig


def add_lora(model: torch.nn.Module, config: LoraConfig) -> Any:
    """The model with adapters as `peft_config` says; only they are trained."""
    # Adapters stay in the model's own type: mixed types break ZeRO-3.
    return get_peft_model(model, peft_config(model, config), autocast_adapter_dtype=False)


def peft_config(model: torch.nn.Module, config: LoraConfig) -> PeftLoraConfig:
    """Adapters on the named linear layers; "all-linear" means every unfrozen `torch.nn.Linear` but the output head."""
    targets = config.targets
    if targets == "all-linear":
        layers = [(name, module) for name, module in model.named_modules() if isinstance(module, torch.nn.Linear)]
        unfrozen = [name for name, layer in layers if layer.weight.requires_grad]
        targets = [name for name in unfrozen if name.rsplit(".", 1)[-1] != "lm_head"]
    return PeftLoraConfig(r=config.rank, lora_alpha=config.alpha, lora_dropout=config.dropout, target_modules=targets)
