"""What a run keeps: checkpoints, models, candidates and pairs on its storage, and rows in the memory of nodes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from urm_ray.config_policy import understands
from urm_ray.config_training import DpoConfig, PoolConfig, Task, TrainConfig
from urm_ray.planning.questions import answer_tokens
from urm_ray.planning.shots import encoded_bytes
from urm_ray.planning.skeleton import parameter_count, skeleton
from urm_ray.planning.survey import Survey
from urm_ray.planning.trainings import Training

PICTURE_BYTES = {"data": 0.4, "made": 1.6}
"""Of a pixel: of pictures in data sets, mostly JPEG, and of those that are made, which are kept as PNG."""
CLIP_BYTES = 0.08
"""Of a pixel of a frame, encoded as a clip."""
_TEXT_BYTES = 5
"""Of a token."""
_IN_FLIGHT = 2
"""Units of work that lie between pools for each actor."""
_CHUNK = 32 << 20
"""Rows of a training come in chunks of about so many bytes (`pipeline.stream`), a few for each worker."""
_HELD_TWICE = 2
"""A new checkpoint is whole before the last one goes."""


@dataclass(frozen=True)
class Kept:
    """where: of the run's storage, of a node's disk (`scratch`), of its memory, or of Ray's object store."""

    what: str
    where: str
    bytes: float
    why: str


def kept(survey: Survey) -> Iterator[Kept]:
    yield from _data(survey)
    for setting, training in survey.trainings.items():
        size = checkpoint_bytes(training)
        why = "weights twice, master weights and Adam's moments; two of them while one is written"
        yield Kept(f"{setting}: checkpoint", "storage", _HELD_TWICE * size, why)
        yield Kept(f"{setting}: checkpoint", "scratch", _HELD_TWICE * size, "written here and copied to storage")
        yield Kept(f"{setting}: model", "storage", model_bytes(survey, setting), "as save_pretrained leaves it")
        yield Kept(
            f"{setting}: workers of a node", "memory", worker_bytes(survey, setting), "models and shuffle windows"
        )
    for task in survey.prompted:
        yield from _of_task(survey, task)


def _data(survey: Survey) -> Iterator[Kept]:
    for task in survey.config.tasks:
        of = survey.rows[task].of
        pairs, points = of["train_pairs"] + of["heldout_pairs"], of["train_points"] + of["heldout_points"]
        size = row_bytes(survey, task, "data")
        if pairs + points:
            both = 1 if understands(task) else 2
            yield Kept(f"prepare-{task}", "storage", (both * pairs + points) * size, f"{pairs + points:,} preferences")


def row_bytes(survey: Survey, task: Task, of: str) -> float:
    """Of a picture or clip: one of the data, or one that is made; of an answer that is made."""
    assumed, drawer = survey.config.planning.assumed, survey.checkpoints.drawers.get(task)
    if of == "made" and understands(task):
        return _TEXT_BYTES * answer_tokens(survey.config, survey.config.policy(task))
    if of == "made" and drawer:
        per_pixel = CLIP_BYTES if task.startswith("video") else PICTURE_BYTES["made"]
        return drawer.made.pixels * per_pixel
    if task.startswith("video"):
        return assumed.clip[0] * assumed.clip[1] * assumed.clip_seconds * assumed.clip_fps * CLIP_BYTES
    return assumed.picture[0] * assumed.picture[1] * PICTURE_BYTES["data"]


def _of_task(survey: Survey, task: Task) -> Iterator[Kept]:
    policy, of = survey.config.policy(task), survey.rows[task].of
    count, made = survey.candidates[task], row_bytes(survey, task, "made")
    about = row_bytes(survey, task, "data") if understands(task) else 0.0
    one = count * made + about
    prompts, pairs = of["train_prompts"], survey.pairs(task)
    yield Kept(f"generate-{task}", "storage", prompts * one, f"{prompts:,} prompts, {count:g} candidates each")
    flight = _in_flight(policy.generate.sampler_pool, policy.generate.judge_pool) * policy.generate.unit_rows * one
    yield Kept(f"generate-{task}", "object store", flight, f"{_IN_FLIGHT} units for each actor")
    yield Kept(f"pairs-{task}", "storage", prompts * (2 * made + about), "chosen and rejected")
    if task not in survey.aligned:
        return
    drawer, settings = survey.checkpoints.drawers.get(task), survey.config.dpo(task)
    if drawer and isinstance(settings, DpoConfig):
        size = encoded_bytes(drawer.made, drawer.told, 4 if settings.encode_dtype == "float32" else 2)
        yield Kept(f"dpo-{task}: encoded pairs", "storage", pairs * size, "latents and embeddings; deleted at the end")
    flight = _IN_FLIGHT * settings.workers * _CHUNK
    yield Kept(f"dpo-{task}", "object store", flight, "chunks of rows on their way to workers")
    both = 2 * of["heldout_prompts"] * (policy.evaluate.seeds_per_prompt * made + about)
    yield Kept(f"baseline-{task}, evaluate-{task}", "storage", both, f"{of['heldout_prompts']:,} held-out prompts each")


def _in_flight(*pools: PoolConfig) -> int:
    return _IN_FLIGHT * sum(pool.most for pool in pools)


def checkpoint_bytes(training: Training) -> float:
    """Of one checkpoint, whole: DeepSpeed's shards and, beside them, the weights as safetensors."""
    size = 2 if training.config.bf16 else 4
    master = 0 if training.config.zero_stage == 0 and not training.config.bf16 else 4
    return 2 * size * (training.trained + training.frozen) + (master + 8) * training.trained


def model_bytes(survey: Survey, setting: str) -> float:
    """Of the model that a training leaves; a pipeline is saved whole and in float32."""
    training = survey.trainings[setting]
    whole = training.trained + training.frozen
    task = next((task for task in survey.aligned if survey.dpo_setting(task) == setting), None)
    drawer = survey.checkpoints.drawers.get(task) if task else None
    if drawer is None:
        return (2 if training.config.bf16 else 4) * whole
    found, beside = drawer.architecture, [p for p in drawer.architecture.parts if p != drawer.family.denoiser]
    return 4 * (whole + sum(parameter_count(skeleton(found, part)) for part in beside if part != "scheduler"))


def worker_bytes(survey: Survey, setting: str) -> float:
    """Memory of a node's workers: each loads the model on the CPU first, unless ZeRO-3 shards it as it is loaded, and
    holds its shuffle window. The first gathers the trained weights beside a fresh model when it saves."""
    training = survey.trainings[setting]
    config: TrainConfig = training.config
    workers = min(config.workers, survey.config.planning.gpus_per_node)
    diffusion = isinstance(config, DpoConfig)
    whole = (4 if diffusion or not config.bf16 else 2) * (training.trained + training.frozen)
    sharded = config.zero_stage == 3 and not diffusion
    loaded = max(whole * (1 / config.workers if sharded else 1) * workers, 2 * whole)
    return loaded + workers * config.shuffle_rows * example_bytes(survey, setting)


def example_bytes(survey: Survey, setting: str) -> float:
    """Of one row of a shuffle window."""
    if setting == "reward":
        kinds = {task: (2 if kind == "pair" and not understands(task) else 1) for task, kind in survey.examples}
        total = sum(survey.examples.values()) or 1
        shares = {task: sum(n for (t, _), n in survey.examples.items() if t == task) / total for task in kinds}
        return sum(share * kinds[task] * row_bytes(survey, task, "data") for task, share in shares.items())
    task = next(task for task in survey.aligned if survey.dpo_setting(task) == setting)
    drawer, settings = survey.checkpoints.drawers.get(task), survey.config.dpo(task)
    if drawer and isinstance(settings, DpoConfig):
        return encoded_bytes(drawer.made, drawer.told, 4 if settings.encode_dtype == "float32" else 2)
    return row_bytes(survey, task, "data") + 2 * row_bytes(survey, task, "made")
