"""The plan of a run: what it asks and costs, whether it fits, and what is wrong with its settings, as lines of text."""

from __future__ import annotations

from collections.abc import Iterator

from urm_ray.config import Config
from urm_ray.planning import checks, fits
from urm_ray.planning.amounts import passes
from urm_ray.planning.checks import Finding
from urm_ray.planning.devices import CONTEXT_GIB, FRAGMENTED, stated
from urm_ray.planning.questions import CHARACTERS
from urm_ray.planning.skeleton import parameter_count, skeleton
from urm_ray.planning.storage import Kept, kept
from urm_ray.planning.survey import Survey
from urm_ray.planning.tables import gib, heading, hours, number, table, wrapped
from urm_ray.planning.trainings import STAGES, Training, choice
from urm_ray.planning.uses import Use, uses
from urm_ray.planning.work import stage_hours

_PER_NODE = ("scratch", "memory")


def plan(config: Config) -> Iterator[str]:
    """The lines of a plan. StoreError where a model's folder or `planning.gpu` is not there."""
    survey = Survey(config)
    gpu, planning = survey.gpu, config.planning
    yield heading(
        f"Plan for {planning.gpus} x {gpu.name}: {gpu.usable / 2**30:.1f} GiB each can be used, of {gpu.memory:g} less "
        f"{CONTEXT_GIB:g} for context and NCCL and {FRAGMENTED:.0%} in pieces (assumed)"
    )
    yield from _models(survey)
    yield from _data(survey)
    for setting, training in survey.trainings.items():
        yield from _training(survey, setting, training)
    pools, stored = list(uses(survey)), list(kept(survey))
    yield from _pools(survey, pools)
    yield from _work(survey)
    yield from _storage(stored)
    yield from _findings(list(_found(survey, pools, stored)))


def _found(survey: Survey, pools: list[Use], stored: list[Kept]) -> Iterator[Finding]:
    yield from fits.models(survey)
    yield from checks.settings(survey)
    yield from checks.lora(survey)
    yield from fits.memory(survey, pools)
    yield from fits.gpus(survey)
    yield from fits.balance(survey)
    yield from fits.nodes(survey, stored)


def _models(survey: Survey) -> Iterator[str]:
    yield heading("Models, counted part by part from their architectures")
    rows = []
    for path, known in survey.checkpoints.named.items():
        if known is None:
            rows.append((path, "?", "?", "not known"))
            continue
        counts = {p: parameter_count(skeleton(known, p)) for p in known.parts if p != "scheduler"}
        parts = ", ".join(f"{p} {n / 1e9:.3f} B" for p, n in counts.items()) if len(counts) > 1 else ""
        total = sum(counts.values())
        rows.append((path, f"{total:,}", gib(2 * total), f"{known.found}{': ' if parts else ''}{parts}"))
    yield from table(("path", "parameters", "GiB in bf16", "architecture from"), rows)


def _data(survey: Survey) -> Iterator[str]:
    yield heading("Rows; * counted in the data, the others as many as are asked for or assumed")
    head = (
        "task",
        "train pairs",
        "train points",
        "held-out pairs",
        "held-out points",
        "train prompts",
        "held-out prompts",
    )
    names = [name.replace("held-out", "heldout").replace(" ", "_") for name in head[1:]]
    rows = [
        (task, *(f"{found.of[n]:,}{'*' if n in found.counted else ''}" for n in names))  # type: ignore[index]
        for task, found in survey.rows.items()
    ]
    yield from table(head, rows)
    if survey.examples:
        total = sum(survey.examples.values())
        config = survey.config.reward
        yield wrapped(
            f"One pass of the judge's mixture is {total:,.0f} examples (a pair is two, one for each order); "
            f"{config.steps:,} steps are {passes(config, total):.2f} passes."
        )
    for task in survey.aligned:
        dpo, pairs = survey.config.dpo(task), survey.pairs(task)
        yield wrapped(
            f"{task}: about {pairs:,.0f} preference pairs (planning.assumed.pairs_kept, pairs.keep); {dpo.steps:,} "
            f"steps are {passes(dpo, pairs):.2f} passes."
        )


def _training(survey: Survey, setting: str, training: Training) -> Iterator[str]:
    config, usable = training.config, survey.gpu.usable
    where = "GPU" if config.use_gpu else "worker, on a CPU"
    longest = ""
    if setting == "reward" and survey.longest_example:
        longest = f", rows of up to {survey.longest_example.tokens + survey.longest_example.predicted:,} tokens"
    yield heading(
        f"Memory of {setting}, GiB a {where}: {training.trained:,} parameters trained, {training.frozen:,} frozen, "
        f"{config.workers} workers, {'bf16' if config.bf16 else 'fp32'}, micro-batch {config.batch}{longest}"
    )
    rows = []
    for checkpointing in (False, True) if training.can_checkpoint else (False,):
        for stage in STAGES:
            memory = training.memory(stage, checkpointing, config.batch)
            most = training.largest(stage, checkpointing, usable)
            own = (stage, checkpointing) == (config.zero_stage, config.gradient_checkpointing)
            parts = (memory.weights, memory.optimizer, memory.gradients, memory.activations, memory.step, memory.peak)
            row = [f"{stage}{' <' if own else ''}", "yes" if checkpointing else "no", *map(gib, parts)]
            rows.append(row + (["yes" if memory.peak <= usable else "no", str(most)] if config.use_gpu else []))
    head = ["ZeRO", "checkpointing", "weights", "optimizer", "gradients", "activations", "at step", "peak"]
    yield from table(head + (["fits", "micro-batch that fits"] if config.use_gpu else []), rows)
    if config.use_gpu:
        fit = choice(training, usable)
        yield wrapped(f"< is configured. Best that fits: {fits.described(fit, training) if fit else 'nothing'}.")


def _pools(survey: Survey, pools: list[Use]) -> Iterator[str]:
    yield heading("Memory of pools, GiB an actor")
    rows = []
    for use in pools:
        share = min(1.0, use.pool.num_gpus)
        fit = f"{'yes' if use.fits(survey.gpu.usable) else 'no'}, of {share:g} GPU" if share else "on CPUs"
        sizes = gib(use.serving.weights), gib(use.serving.passing), gib(use.serving.peak)
        rows.append((use.setting, use.what, str(use.batched[1]), *sizes, fit))
    yield from table(("pool", "model", "batch", "weights", "a pass", "peak", "fits"), rows)


def _work(survey: Survey) -> Iterator[str]:
    yield heading("Work; tokens are those of one row")
    rows = [
        (
            work.name,
            f"{work.rows:,.0f}",
            number(round(work.read)),
            number(round(work.written)),
            number(1 / work.seconds) if work.seconds and work.gpus else "",
            number(work.gpus) if work.gpus else "CPUs",
            hours(work.hours) if work.gpus and work.seconds != 0 else "",
        )
        for work in survey.works
    ]
    yield from table(("what", "rows", "read", "written", "rows/s a GPU", "GPUs", "time"), rows)
    stages = list(stage_hours(survey.works))
    if not stages:
        yield heading("Throughputs: none are reckoned with, since nothing asks for a GPU")
    else:
        yield heading("Time of stages, and GPU-hours, those that wait for the slowest pool among them")
        lines = [(stage, hours(clock), number(held) if held is not None else "?") for stage, clock, held in stages]
        known = [(clock, held) for _, clock, held in stages if clock is not None and held is not None]
        whole = hours(sum(clock for clock, _ in known)), number(sum(held for _, held in known))
        yield from table(("stage", "by the clock", "GPU-hours"), [*lines, ("all that is known", *whole)])
        yield heading(
            "Throughputs that times are reckoned with: shares of what the maker states, and where they are from"
        )
        source = f"{survey.gpu.bfloat16:g} TFLOPS bf16, {survey.gpu.float32:g} fp32, {survey.gpu.bandwidth:g} TB/s"
        rates = [(name, f"{value:g}", why) for name, value, why in stated(survey.config.planning.throughputs)]
        measured = survey.config.planning.throughputs.measured
        rates += [(name, f"{rate:g}", "rows a second on a GPU, measured") for name, rate in measured.items()]
        yield from table(("rate", "value", "from"), [*rates, (survey.gpu.name, "1", f"{source}: {survey.gpu.source}")])
    assumed = survey.config.planning.assumed
    yield wrapped(
        f"Taken to be so until there is data (planning.assumed): prompts of {assumed.prompt_tokens} tokens, answers of "
        f"{assumed.answer_tokens}, decoded verdicts of {assumed.verdict_tokens}, pictures of "
        f"{assumed.picture[0]} x {assumed.picture[1]}, clips of {assumed.clip[0]} x {assumed.clip[1]}, "
        f"{assumed.clip_seconds:g} s at {assumed.clip_fps:g} frames a second; without a tokenizer at hand {CHARACTERS} "
        "characters are a token."
    )


def _storage(stored: list[Kept]) -> Iterator[str]:
    yield heading("Bytes, GiB: on the run's storage; for each node its scratch disk and memory; in Ray's object store")
    rows = [(one.what, one.where, gib(one.bytes), one.why) for one in stored]
    yield from table(("what", "where", "GiB", "because"), rows)
    disk = sum(one.bytes for one in stored if one.where == "storage")
    most = {w: max((o.bytes for o in stored if o.where == w), default=0.0) for w in (*_PER_NODE, "object store")}
    needs = ", ".join(f"{where} {gib(size)}" for where, size in most.items())
    yield wrapped(f"Together {gib(disk)} GiB of storage, if nothing is deleted. Most at a time, GiB: {needs}.")


def _findings(found: list[Finding]) -> Iterator[str]:
    for kind, title in (("error", "Errors"), ("warning", "Warnings")):
        own = list(dict.fromkeys(one.sentence for one in found if one.kind == kind))
        yield heading(f"{title}: {len(own) or 'none'}")
        yield from (wrapped(sentence, "- ") for sentence in own)
