"""DeepSpeed settings and trainer arguments from our configuration."""

from __future__ import annotations

from typing import Any

from urm_ray.config_training import TrainConfig


def zero_config(config: TrainConfig, universal: bool = False) -> dict[str, Any]:
    """A DeepSpeed configuration for the chosen ZeRO stage; batch sizes and clipping are filled in by the trainer.

    universal: the checkpoint that is loaded was made so that any number of workers can (`elastic.make_universal`).
    """
    zero: dict[str, Any] = {"stage": config.zero_stage}
    if config.zero_stage in (1, 2):
        zero |= {"reduce_bucket_size": 50_000_000, "allgather_bucket_size": 50_000_000}
    if config.zero_stage == 2:
        zero["contiguous_gradients"] = True
    if config.zero_stage == 3:
        zero |= {
            "reduce_bucket_size": 50_000_000,
            "stage3_prefetch_bucket_size": 10_000_000,
            "stage3_param_persistence_threshold": 100_000,
            "stage3_gather_16bit_weights_on_model_save": True,
        }
    return {
        "checkpoint": {"load_universal": universal},
        "zero_optimization": zero,
        "train_micro_batch_size_per_gpu": "auto",
        "gradient_accumulation_steps": "auto",
        "gradient_clipping": "auto",
        "bf16": {"enabled": config.bf16},
        "zero_allow_untested_optimizer": True,
        "zero_force_ds_cpu_optimizer": False,
    }


def trainer_arguments(
    config: TrainConfig, output_dir: str, seed: int, use_cpu: bool, carried: int = 1, universal: bool = False
) -> dict[str, Any]:
    """Keyword arguments of `transformers.TrainingArguments` and its subclasses.

    carried: shares of the rows that each worker carries. universal: as in `zero_config`.
    """
    return {
        "output_dir": output_dir,
        "max_steps": config.steps,
        "per_device_train_batch_size": config.batch,
        "gradient_accumulation_steps": config.accumulate * carried,
        "learning_rate": config.lr,
        "lr_scheduler_type": config.schedule,
        "warmup_steps": config.warmup_steps,
        "weight_decay": config.weight_decay,
        "adam_beta2": config.adam_beta2,
        "max_grad_norm": config.max_grad_norm,
        "gradient_checkpointing": config.gradient_checkpointing,
        "bf16": config.bf16,
        "use_cpu": use_cpu,
        "save_strategy": "steps",
        "save_steps": config.checkpoint_steps,
        "save_total_limit": 1,
        "logging_steps": config.log_steps,
        "logging_first_step": True,
        "logging_nan_inf_filter": False,
        "deepspeed": zero_config(config, universal),
        "seed": seed % 2**31,
        "ignore_data_skip": True,  # the stream itself starts where the checkpoint left it
        "remove_unused_columns": False,
        "disable_tqdm": True,
        "report_to": [],
    }
