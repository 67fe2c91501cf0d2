"""Whether what a run puts on GPUs fits there, and what would."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from urm_ray.config_training import TrainConfig
from urm_ray.planning.checks import Finding, error, warning
from urm_ray.planning.devices import GIB
from urm_ray.planning.storage import Kept, worker_bytes
from urm_ray.planning.survey import Survey
from urm_ray.planning.trainings import Fit, Training, choice
from urm_ray.planning.uses import Use
from urm_ray.planning.work import pool_gpus

_TIGHT = 0.92
"""Share of a GPU's usable memory above which a longer row than was thought of ends a run."""
_LONG, _UNEVEN = 2, 3
"""Hours from which pools should share GPUs well, and how many times as long as the other one may take."""
_NODE_GIB = 1024
"""Memory of a node with eight GPUs, mostly 1 to 2 TiB."""


def described(fit: Fit, training: Training) -> str:
    """A choice in words, as settings."""
    stage, checkpointing, batch = fit
    words = [f"zero_stage {stage}", f"gradient_checkpointing {str(checkpointing).lower()}", f"batch {batch}"]
    if batch < training.config.batch and not training.config.batch % batch:
        words.append(f"accumulate {training.config.accumulate * training.config.batch // batch}")
    return ", ".join(words)


def memory(survey: Survey, pools: Sequence[Use]) -> Iterator[Finding]:
    """Trainings and pools against the usable memory of the GPUs."""
    usable = survey.gpu.usable
    for setting, training in survey.trainings.items():
        config = training.config
        if not config.use_gpu:
            continue
        if config.gradient_checkpointing and not training.can_checkpoint:
            continue  # said elsewhere
        peak, fit = training.as_configured().peak, choice(training, usable)
        need = f"{setting}: {peak / GIB:.1f} GiB a GPU, of {usable / GIB:.1f} GiB that can be used"
        if peak > usable and fit is None:
            yield error(f"{need}; on {config.workers} workers nothing fits: take more of them, lora, or smaller rows")
        elif peak > usable:
            assert fit is not None
            yield error(f"{need}; {described(fit, training)} fits")
        elif peak > _TIGHT * usable:
            yield warning(f"{need}: rows that are longer than the plan takes them to be would not fit")
        if peak <= usable and config.min_workers:
            few = replace(training, config=config.model_copy(update={"workers": config.min_workers}))
            if (alone := few.as_configured().peak) > usable:
                yield warning(
                    f"{setting}.min_workers: on {config.min_workers} workers it takes {alone / GIB:.1f} GiB a GPU, "
                    "which do not fit: take more"
                )
    for use in pools:
        if not use.fits(usable):
            share = usable * min(1.0, use.pool.num_gpus) / GIB
            name, rows = use.batched
            yield error(
                f"{use.setting}: its {use.what} takes {use.serving.peak / GIB:.1f} GiB with {name} {rows}, "
                f"and its share of a GPU has {share:.1f} GiB"
            )


def gpus(survey: Survey) -> Iterator[Finding]:
    """Whether there are as many GPUs as are asked for at a time."""
    there, config = survey.config.planning.gpus, survey.config
    trainings: list[tuple[str, TrainConfig]] = [("reward", config.reward)] if survey.examples else []
    trainings += [(survey.dpo_setting(task), config.dpo(task)) for task in survey.aligned]
    for name, settings in trainings:
        if settings.use_gpu and settings.workers > there:
            yield error(
                f"{name}.workers: {settings.workers} GPUs, and planning.gpus has {there}: it would wait forever"
            )
        elif settings.use_gpu and settings.workers < there:
            yield warning(f"{name}.workers: {settings.workers} of {there} GPUs: the others stand idle meanwhile")
    for task in survey.prompted:
        own = config.policy(task)
        for name, pools, budget in (
            ("generate", (own.generate.sampler_pool, own.generate.judge_pool), own.generate.budget),
            (
                "evaluate",
                (own.evaluate.sampler_pool, own.evaluate.judge_pool, own.evaluate.scorer_pool),
                own.evaluate.budget,
            ),
        ):
            wanted = budget.gpus if budget and budget.gpus else sum(map(pool_gpus, pools))
            if wanted > there:
                yield error(f"policies.{task}.{name}: its pools want {wanted:g} GPUs, and planning.gpus has {there}")


def balance(survey: Survey) -> Iterator[Finding]:
    """Whether the pools of a stage that stream into each other keep pace."""
    for task in survey.prompted:
        if survey.config.policy(task).generate.budget:
            continue
        stage, own = f"generate-{task}", {"sampler_pool": 0.0, "judge_pool": 0.0}
        works = [work for work in survey.works if work.stage == stage]
        if any(work.hours is None for work in works):
            continue
        for work in works:
            own[work.pool] += work.hours or 0.0
        slow, quick = sorted(own, key=lambda pool: -own[pool])
        if own[slow] > _LONG and own[slow] > _UNEVEN * own[quick] > 0:
            yield warning(
                f"policies.{task}.generate.{slow}: sets the pace at {own[slow]:,.0f} hours, and the GPUs of {quick} "
                f"work {own[quick] / own[slow]:.0%} of them: move some over"
            )


def nodes(survey: Survey, kept: Sequence[Kept]) -> Iterator[Finding]:
    """Memory of the nodes that workers run on."""
    for setting, training in survey.trainings.items():
        need = worker_bytes(survey, setting) / GIB
        if training.config.use_gpu and need > _NODE_GIB:
            yield warning(
                f"{setting}: its workers take {need:,.0f} GiB of a node's memory, models loaded on CPUs and windows of "
                f"shuffle_rows {training.config.shuffle_rows:,} rows"
            )
    flight = max((one.bytes for one in kept if one.where == "object store"), default=0.0) / GIB
    if flight > _NODE_GIB / 4:
        yield warning(f"rows between pools take {flight:,.0f} GiB of Ray's object store: lower unit_rows")


def models(survey: Survey) -> Iterator[Finding]:
    """What is not known of the models, and what therefore is left out."""
    for path, known in survey.checkpoints.named.items():
        if known is None:
            yield warning(
                f"{path}: its architecture is not known here: no folder, nothing in the hub's cache and not in the "
                "table; its memory, tokens and hours are left out"
            )
        elif known.format:
            yield error(f"{path}: is published in a format that does not load: {known.format}")
    for reader in (survey.checkpoints.judge, *survey.checkpoints.readers.values()):
        if reader.architecture and reader.eyes is None:
            kind = reader.architecture.parts["model"]["model_type"]
            yield warning(
                f"{reader.architecture.path}: how {kind} turns pictures into tokens is not known here: they are left "
                "out of its tokens, memory and hours"
            )
    for task, drawer in survey.checkpoints.drawers.items():
        if drawer is None and survey.checkpoints.named.get(survey.config.policy(task).path):
            yield error(f"policies.{task}.path: Diffusion-DPO cannot train this kind of pipeline")
    for setting, problem in survey.attempts.problems.items():
        yield error(f"{setting}: {problem}")
