"""LoRA on any model: adapters on, and merged away again when the model is saved."""

from __future__ import annotations

from typing import Any

import torch
from peft import LoraConfig as PeftLoraConfig
from peft import get_peft_model

from urm_ray.config import LoraConfig


def add_lora(model: torch.nn.Module, config: LoraConfig) -> Any:
    """The model with adapters on the named linear layers; only they are trained.

    "all-linear" means every `torch.nn.Linear` but the output head.
    """
    targets = config.targets
    if targets == "all-linear":
        names = [name for name, module in model.named_modules() if isinstance(module, torch.nn.Linear)]
        targets = [name for name in names if name.rsplit(".", 1)[-1] != "lm_head"]
    peft_config = PeftLoraConfig(
        r=config.rank, lora_alpha=config.alpha, lora_dropout=config.dropout, target_modules=targets
    )
    # Adapters stay in the model's own type: mixed types break ZeRO-3.
    return get_peft_model(model, peft_config, autocast_adapter_dtype=False)
