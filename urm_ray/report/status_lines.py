"""Where a run stands, as lines that a person reads."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from urm_ray.report.progress_line import progress_line
from urm_ray.report.wording import count, duration, interval, number, value_of, words

_REASONS = 3
"""For which what was put aside is counted apart."""
_SHORTEN = 60


def status_lines(standing: Mapping[str, Any]) -> Iterator[str]:
    """standing: of `status.standing`."""
    stages = standing["stages"]
    done = sum(stage["state"] == "done" for stage in stages)
    spent = sum(stage["seconds"] or 0.0 for stage in stages)
    yield f"{standing['run']}: {done} of {count(len(stages), 'stage')} done in {duration(spent)}; {_writer(standing)}"
    several = Counter(stage["name"] for stage in stages)
    named = [stage["name" if several[stage["name"]] == 1 else "folder"] for stage in stages]
    width = max(map(len, named), default=0)
    for name, stage in zip(named, stages, strict=True):
        took = duration(stage["seconds"]) if stage["seconds"] is not None else ""
        yield f"{name:{width}}  {stage['state']:9}  {took:>12}  {_said(stage, standing['time'])}".rstrip()


def _writer(standing: Mapping[str, Any]) -> str:
    writer = standing["writer"]
    if writer is None:
        return "nobody writes into it"
    who = f"process {writer['pid']} on {writer['host']}"
    since = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(writer["since"]))
    if writer["lives"]:
        return f"{who} writes into it since {since} ({duration(standing['time'] - writer['since'])})"
    return f"{who}, which wrote into it since {since}, is dead: the same command goes on from here"


def _said(stage: Mapping[str, Any], now: float) -> str:
    parts = []
    if stage["progress"]:
        told = {**stage["progress"], "left_s": stage["left_s"]}
        if stage["state"] == "stopped":
            told |= {"rate": 0, "tokens_per_s": {}, "at_work": {}}
        part = f"{told['part']}: " if told.get("part") else ""
        ago = f" ({duration(max(0.0, now - told['time']))} ago)"
        parts.append(part + progress_line(told) + ago)
    parts += _found(stage["found"] or {})
    if stage["put_aside"]:
        reasons = [f"{count(n)} {_short(reason)}" for reason, n in stage["put_aside"].items()]
        more = [f"{count(len(reasons) - _REASONS)} more reasons"] if len(reasons) > _REASONS else []
        total = count(sum(stage["put_aside"].values()))
        parts.append(f"{total} put aside ({', '.join(reasons[:_REASONS] + more)})")
    return "; ".join(parts)


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _SHORTEN else f"{line[:_SHORTEN]}..."


def _found(found: Mapping[str, Any]) -> Iterator[str]:
    """What a stage that is done is remembered for."""
    if "rows" in found:
        yield ", ".join(f"{count(n)} {words(part)}" for part, n in found["rows"].items() if n)
    if "prompts" in found:
        yield count(found["prompts"], "prompt")
    if "audit" in found:
        dropped = ", ".join(f"{count(n)} {words(reason)}" for reason, n in found["audit"]["dropped"].items() if n)
        yield f"{count(found['audit']['kept'])} of {count(found['audit']['prompts'], 'pair')} kept" + (
            f" (dropped: {dropped})" if dropped else ""
        )
    if "steps" in found:
        yield f"{count(found['steps'], 'step')}, loss {found['final_loss']:.4g}"
    figures = found.get("figures") or {}
    if "headline" in figures:
        gain = figures["gain"]
        yield (
            f"{words(figures['headline'])} {number(value_of(figures['before']))} to"
            f" {number(value_of(figures['after']))}, gain {number(value_of(gain), signed=True)}"
            f" ({interval(gain, signed=True)}), n {count(gain['n'])}"
        )
    else:
        for task, of in figures.items():
            right = of["judge"]["pair_accuracy"]
            yield f"{words(task)} {number(value_of(right))} ({interval(right)}), n {count(right['n'])}"
