"""The generate stage with samplers and judges that sleep: how near it comes to what their sleep alone would take.

What counts is the time from when all actors stand until the stage's manifest is written. The ideal is a line of
samplers and one of judges, each always busy.
"""

from __future__ import annotations

from rounds import Result, spread
from sampled import sampled
from sleeping import sleeping_pipeline

from urm_ray.pipeline.context import connect


def benchmark(rounds: int, prompts: int, actors: int, seconds: float, unit_rows: int) -> Result:
    """actors: of each kind. seconds: that either takes for a prompt."""
    connect()
    pipeline = sleeping_pipeline(prompts, actors, seconds, unit_rows)
    rates, starts, grown = [], [], []
    for _ in range(rounds):
        with sampled(_resident) as seen:
            took = pipeline.streamed()
        rates.append(prompts / took.seconds)
        starts.append(took.start_up)
        grown.append((max(seen) - seen[0]) / 2**20)
    return Result(
        "prompts",
        ("the generate stage", rates),
        (f"{actors} actors of each kind that never wait", [actors / seconds] * rounds),
        0.9,
        {
            "prompts": prompts,
            "actors of each kind": actors,
            "seconds a prompt": seconds,
            "prompts a unit": unit_rows,
            "seconds_to_start": spread(starts),
            "driver grew by MiB": spread(grown),
            "driver grew by less than 200 MiB": max(grown) < 200,
        },
    )


def _resident() -> int:
    with open("/proc/self/status", encoding="ascii") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmRSS:")) * 1024
