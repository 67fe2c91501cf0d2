"""Whether the settings of a run make sense together: one sentence on each that does not."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from urm_ray.config_pairs import BY_SCORE
from urm_ray.config_policy import PolicyConfig, understands
from urm_ray.config_training import DpoConfig, PoolConfig, RewardConfig, Task, TrainConfig
from urm_ray.denoisers.clip_transformer import ClipTransformer
from urm_ray.judge.protocol import ProtocolError, protocol
from urm_ray.planning.amounts import passes, step_rows
from urm_ray.planning.architectures import TIMESTEPS
from urm_ray.planning.survey import Survey
from urm_ray.sources.registry import Part

_BIG = 1_000_000_000
_PATHS = ("preferences_path", "prompts_path")
_TRAIN: tuple[Part, ...] = ("train_pairs", "train_points", "train_prompts")
_HELD_OUT: tuple[Part, ...] = ("heldout_pairs", "heldout_points", "heldout_prompts")
_REREADS = 6
"""Passes over the same rows from which a training rather learns them by heart."""


@dataclass(frozen=True)
class Finding:
    """error: the run, or the training it is about, cannot end well. warning: it may be meant."""

    kind: Literal["error", "warning"]
    sentence: str


def error(sentence: str) -> Finding:
    return Finding("error", sentence)


def warning(sentence: str) -> Finding:
    return Finding("warning", sentence)


def settings(survey: Survey) -> Iterator[Finding]:
    """Of the whole run, its models set aside."""
    config = survey.config
    yield from _inputs(survey)
    yield from _judge(survey)
    if survey.examples:
        yield from _training("reward", config.reward, sum(survey.examples.values()), "examples")
        counts = {task: sum(n for (t, _), n in survey.examples.items() if t == task) for task in config.tasks}
        for task in (task for task, count in counts.items() if not count):
            yield warning(f"tasks: the judge is trained on no preference of {task}: it will have to judge it untaught")
    for task in survey.prompted:
        yield from _policy(survey, task, config.policy(task))
    for task in config.tasks:
        if task not in survey.prompted and not survey.examples:
            yield error(f"policies.{task}: there is no policy, no candidates, or no prompt: nothing is done for it")


def _inputs(survey: Survey) -> Iterator[Finding]:
    """Files of the data: whether they are here, and leave something to train on."""
    config = survey.config
    for task in config.tasks:
        own, prepare = config.prepare.tasks.get(task), config.prepare.of_task(task)
        at = {name: f"prepare.tasks.{task}" if own and getattr(own, name) else "prepare" for name in _PATHS}
        named = {f"{at['prompts_path']}.prompts_path": prepare.prompts_path}
        named[f"policies.{task}.candidates_path"] = config.policy(task).candidates_path
        if not config.judge.path:
            named[f"{at['preferences_path']}.preferences_path"] = prepare.preferences_path
        if not prepare.train_prompts and not prepare.heldout_prompts:
            named.pop(f"{at['prompts_path']}.prompts_path")
        for setting, path in named.items():
            if path and not Path(path).exists():
                yield warning(f"{setting}: {path} is not here yet: its numbers are those asked for or assumed")
        of = survey.rows[task].of
        for train, held_out in zip(_TRAIN, _HELD_OUT, strict=True):
            if of[held_out] and getattr(prepare, train) and not of[train]:
                yield error(
                    f"prepare.{held_out}: all {of[held_out]:,} of {task} are held out: nothing is left to train on"
                )


def _judge(survey: Survey) -> Iterator[Finding]:
    judge, base = survey.config.judge, survey.config.judge_base.path
    try:
        forms = protocol(judge.protocol)
        forms.need_readout(judge.readout)
    except ProtocolError as problem:
        yield error(f"judge: {problem}")
    else:
        for task in survey.prompted:
            pairs = survey.config.pairs
            wanted = pairs.construction
            if wanted in BY_SCORE and not forms.questions(task, "point"):
                yield error(
                    f"pairs.construction: {wanted} needs point scores, and {judge.protocol} gives none of {task}"
                )
            if pairs.ranking != "none" and not forms.questions(task, "pair"):
                yield error(f"pairs.ranking: {pairs.ranking} compares, and {judge.protocol} asks no pairs of {task}")
            if few := pairs.too_few_calls(forms.questions(task, "pair"), forms.questions(task, "point")):
                yield error(f"pairs.{few}")
    if judge.path and base:
        yield warning("judge.path: the run takes this judge and trains none: judge_base is not used")
    if judge.readout == "generate" and not judge.path and not survey.config.paper_exact:
        yield warning("judge.readout: a judge that is trained here answers at once: logits needs no decoding")
    pools = [survey.config.policy(task).generate.judge_pool for task in survey.prompted]
    yield from _slow(survey, "judge.dtype", judge.dtype, [*pools, judge.actors])


def _slow(survey: Survey, setting: str, dtype: str, pools: list[PoolConfig]) -> Iterator[Finding]:
    if dtype == "float32" and any(pool.num_gpus for pool in pools):
        times = survey.gpu.bfloat16 / survey.gpu.float32
        yield warning(f"{setting}: float32 takes twice the memory and up to {times:.0f} times the time of bfloat16")


def _training(name: str, config: TrainConfig, rows: float, what: str) -> Iterator[Finding]:
    """Batches, steps and devices of a training over so many rows."""
    step, seen = step_rows(config), passes(config, rows)
    if step > rows:
        yield error(f"{name}: one step takes {step:,} {what} (batch x accumulate x workers), and there are {rows:,.0f}")
    elif seen > _REREADS:
        yield warning(f"{name}.steps: {config.steps:,} steps are {seen:.1f} passes over the same {rows:,.0f} {what}")
    elif seen < 0.5:
        yield warning(f"{name}.steps: {config.steps:,} steps see {seen:.0%} of {rows:,.0f} {what}")
    if config.warmup_steps >= config.steps:
        yield error(f"{name}.warmup_steps: {config.warmup_steps} of {config.steps} steps: the rate never gets to lr")
    if config.checkpoint_steps > config.steps:
        yield warning(f"{name}.checkpoint_steps: {config.checkpoint_steps} is past the last step: a death starts anew")
    if not config.use_gpu and config.workers * config.num_cpus > 64:
        yield warning(f"{name}.use_gpu is false: {config.workers} workers train on {config.num_cpus:g} CPUs each")


def _policy(survey: Survey, task: Task, policy: PolicyConfig) -> Iterator[Finding]:
    name, held_out = f"policies.{task}", survey.rows[task].of["heldout_prompts"]
    aligned = task in survey.aligned
    if aligned and held_out and not policy.evaluate.scorer:
        yield error(
            f"{name}.evaluate.scorer: none: the judge that built the pairs would be the only judge of the result"
        )
    if aligned and not held_out:
        yield warning(f"prepare.heldout_prompts: 0: it will not be known what {task} gained")
    if aligned:
        dpo = survey.config.dpo(task)
        yield from _training(survey.dpo_setting(task), dpo, survey.pairs(task), "preference pairs")
        yield from _slow(survey, f"{name}.dtype", policy.dtype, [policy.generate.sampler_pool])
        if isinstance(dpo, DpoConfig):
            yield from _denoiser(survey, task, policy, dpo)
    if understands(task):
        if policy.sampler.answers.max_new_tokens < survey.config.planning.assumed.answer_tokens:
            yield warning(
                f"{name}.sampler.answers.max_new_tokens: {policy.sampler.answers.max_new_tokens} is below the "
                f"{survey.config.planning.assumed.answer_tokens} that answers are taken to have: longer ones are lost"
            )
    elif task == "video_generation" and policy.path:
        yield from _clips(survey, task, policy)


def _denoiser(survey: Survey, task: Task, policy: PolicyConfig, dpo: DpoConfig) -> Iterator[Finding]:
    name = f"policies.{task}"
    turbo = "turbo" in policy.path.lower()
    if turbo and dpo.timesteps is None:
        yield warning(f"{name}.dpo.timesteps: a single-step policy knows few: SDXL-Turbo 249, 499, 749 and 999")
    if dpo.zero_terminal_snr and _predicts_noise(survey, task):
        last = TIMESTEPS - 1
        drawn = last in dpo.timesteps if dpo.timesteps else dpo.max_timestep in (None, TIMESTEPS)
        if drawn or policy.sampler.steps == 1:
            only = ", the only one that a single step samples at" if policy.sampler.steps == 1 else ""
            yield warning(
                f"{name}.dpo.zero_terminal_snr: timestep {last} is left without signal{only}: a policy that predicts "
                "noise learns nothing there"
            )
    if policy.sampler.steps == 1 and policy.sampler.guidance > 1:
        yield warning(f"{name}.sampler.guidance: {policy.sampler.guidance:g} with one step: distilled policies take 0")
    if not dpo.gradient_checkpointing and dpo.zero_stage != 3:
        return
    training = survey.trainings.get(survey.dpo_setting(task))
    if training and dpo.gradient_checkpointing and not training.can_checkpoint:
        yield error(f"{name}.dpo.gradient_checkpointing: its denoiser has none")
    if training and dpo.zero_stage == 3 and training.trained + training.frozen < _BIG:
        yield warning(f"{name}.dpo.zero_stage: 3 gathers weights again and again that fit on every GPU: take 1 or 2")


def _predicts_noise(survey: Survey, task: Task) -> bool:
    drawer = survey.checkpoints.drawers.get(task)
    return drawer is not None and drawer.architecture.prediction == "epsilon"


def _clips(survey: Survey, task: Task, policy: PolicyConfig) -> Iterator[Finding]:
    drawer = survey.checkpoints.drawers.get(task)
    if drawer is None:
        return
    time, side = drawer.made.compression
    frames, sampler = policy.sampler.frames, policy.sampler
    if isinstance(drawer.family, ClipTransformer) and (able := drawer.family.lengths(frames, time)) != [frames]:
        lengths = " or ".join(map(str, able))
        yield error(f"policies.{task}.sampler.frames: {frames}: its autoencoder joins {time} frames: take {lengths}")
    of = side * drawer.family.patch
    for what, size in (("height", sampler.height), ("width", sampler.width)):
        if size and size % of:
            yield error(f"policies.{task}.sampler.{what}: {size} is no multiple of {of}, of its latents and patches")
    judge = survey.config.judge.clips
    if judge.rate and judge.rate > sampler.fps:
        yield warning(f"judge.clips.rate: {judge.rate:g} a second of clips of {sampler.fps:g}: frames are shown twice")
    if judge.count and judge.count > frames:
        yield warning(f"judge.clips.count: {judge.count} frames of clips of {frames}: the last is shown again")


def lora(survey: Survey) -> Iterator[Finding]:
    """Of adapters, which need the models."""
    for name, training in survey.trainings.items():
        config, whole = training.config, training.trained + training.frozen
        if config.lora is None:
            if isinstance(config, RewardConfig) and config.zero_stage == 0 and whole > _BIG:
                yield warning(f"{name}.zero_stage: 0 keeps all optimizer states of {whole / 1e9:.1f} B on every GPU")
            continue
        share = training.trained / whole
        if share > 0.2:
            yield warning(f"{name}.lora.rank: {config.lora.rank}: adapters have {share:.0%} of the model's parameters")
        if config.lr < 1e-5 and not math.isclose(config.lr, 1e-5):
            yield warning(f"{name}.lr: {config.lr:g} is what whole models are trained with; adapters mostly take 1e-4")
