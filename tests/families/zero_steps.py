"""Run in a process of its own: steps of Diffusion-DPO of each video family under DeepSpeed; prints losses as JSON.

Arguments: ZeRO stage, a free port, a scratch folder. One rank, bfloat16.
"""

from __future__ import annotations

import json
import os
import sys

from families import checks
from families.clip_pairs import SEED, pair
from families.clip_pipelines import FAMILIES, folder_of
from transformers import TrainingArguments
from transformers.integrations import unset_hf_deepspeed_config

from urm_ray.config_training import DpoConfig
from urm_ray.denoisers.checkpoint import load_denoiser
from urm_ray.denoisers.registry import family_of
from urm_ray.models import load_pipeline
from urm_ray.training.diffusion_dpo import DiffusionDpoTrainer, trainable
from urm_ray.training.encode_pairs import load_reference
from urm_ray.training.encoded import collate_encoded
from urm_ray.training.noising import Noising
from urm_ray.training.objectives import objective_of
from urm_ray.training.zero import trainer_arguments


def losses(name: str, stage: int, scratch: str) -> list[float]:
    config = DpoConfig(
        zero_stage=stage, bf16=True, steps=2, batch=2, beta=100.0, lr=1e-3, log_steps=1, checkpoint_steps=1
    )  # fmt: skip
    path, family = folder_of(name), family_of(folder_of(name))
    batch = collate_encoded(checks.encoded(path, [pair(name, number) for number in range(2)], config))
    scheduler = load_pipeline(path, device="cpu", only=("scheduler",)).scheduler
    reference, model = load_reference(path, config, "cpu"), trainable(load_denoiser(path), config)
    arguments = trainer_arguments(config, scratch, SEED, use_cpu=True) | {"save_strategy": "no"}
    trainer = DiffusionDpoTrainer(
        model=model,
        args=TrainingArguments(**arguments),
        family=family,
        batches=checks.Batches(batch, config.steps),
        noising=Noising(objective_of(scheduler, config, family.tokens), config, SEED),
        reference=reference,
        config=config,
    )
    trainer.train()
    unset_hf_deepspeed_config()  # else what is loaded for the next family is sharded
    return [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]


if __name__ == "__main__":
    zero_stage, port, folder = sys.argv[1:]
    os.environ |= {"RANK": "0", "LOCAL_RANK": "0", "WORLD_SIZE": "1", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    print("LOSSES " + json.dumps({name: losses(name, int(zero_stage), folder) for name in FAMILIES}))
