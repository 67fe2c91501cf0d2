"""One Ray Train worker of Diffusion-DPO. It holds the denoiser alone: pairs come encoded."""

from __future__ import annotations

from typing import Any

from transformers import TrainingArguments

from urm_ray.config_training import DpoConfig
from urm_ray.denoisers.checkpoint import load_denoiser, save_policy
from urm_ray.denoisers.registry import family_of
from urm_ray.models import load_pipeline
from urm_ray.training.callback import RayTrainCallback, remove_local_checkpoints
from urm_ray.training.diffusion_dpo import DiffusionDpoTrainer, trainable
from urm_ray.training.elastic import batches_of_worker, carried
from urm_ray.training.encode_pairs import load_reference
from urm_ray.training.encoded import collate_encoded
from urm_ray.training.launch import last_checkpoint, run_trainer, save_model, start_worker
from urm_ray.training.noising import Noising
from urm_ray.training.objectives import objective_of
from urm_ray.training.tracked import tracked
from urm_ray.training.zero import trainer_arguments


def dpo_loop(settings: dict[str, Any]) -> None:
    """settings: `train` (DpoConfig), `policy` (path), `seed`, `stage` (URI), `rows` (of the shuffle window), `logged`
    (of `RayTrainCallback`, or missing), `tracking` (TrackingConfig)."""
    config = DpoConfig(**settings["train"])
    scratch = start_worker(config, settings["stage"])

    def fresh() -> Any:
        return trainable(load_denoiser(settings["policy"]), config)

    family = family_of(settings["policy"])
    scheduler = load_pipeline(settings["policy"], device="cpu", only=("scheduler",)).scheduler
    device = "auto" if config.use_gpu else "cpu"
    reference = load_reference(settings["policy"], config, device) if config.reference == "copy" else None
    model = fresh()
    start = last_checkpoint(scratch)
    # After the models: under ZeRO-3 these arguments make transformers shard whatever it loads, frozen models too.
    arguments = trainer_arguments(
        config, scratch, settings["seed"], not config.use_gpu, carried(config), start.universal
    )
    arguments |= {"gradient_checkpointing": False}  # the trainer does not know how to ask a denoiser for it
    arguments = TrainingArguments(**arguments)
    batches = batches_of_worker(config, collate_encoded, start.steps, settings["seed"], settings["rows"])
    trainer = DiffusionDpoTrainer(
        model=model,
        args=arguments,
        callbacks=[RayTrainCallback("dpo", settings.get("logged"), settings["stage"]), *tracked(settings)],
        family=family,
        batches=batches,
        carried=carried(config),
        noising=Noising(objective_of(scheduler, config, family.tokens), config, settings["seed"]),
        reference=reference,
        config=config,
    )
    run_trainer(trainer, start.folder)

    def save(denoiser: Any, folder: str) -> None:
        save_policy(settings["policy"], denoiser, folder)

    save_model(trainer, fresh, save, settings["stage"])
    remove_local_checkpoints(scratch)
