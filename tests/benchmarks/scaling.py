"""The generate stage with 1, 2, 4 and 8 sleeping samplers and as many judges: how near to linear it gets."""

from __future__ import annotations

import statistics

import psutil
from rounds import Result, spread
from sampled import sampled
from sleeping import sleeping_pipeline

from urm_ray.pipeline.context import connect

EVERY_S = 0.5


def benchmark(
    rounds: int, prompts: int, seconds: float, unit_rows: int, actors: tuple[int, ...] = (1, 2, 4, 8)
) -> Result:
    """Rates of the most actors against those of the fewest times as many. prompts: for each actor of a kind."""
    connect()
    rates: dict[int, list[float]] = {count: [] for count in actors}
    busy: dict[int, list[float]] = {count: [] for count in actors}
    for number in range(rounds):
        for count in actors if number % 2 == 0 else actors[::-1]:
            with sampled(psutil.cpu_percent, EVERY_S) as seen:
                took = sleeping_pipeline(prompts * count, count, seconds, unit_rows).streamed()
            rates[count].append(prompts * count / took.seconds)
            busy[count].append(statistics.fmean(seen[-max(1, int(took.seconds / EVERY_S)) :]) / 100)
    first, most = actors[0], actors[-1]
    shares = {
        str(count): spread([rate * first / (one * count) for rate, one in zip(found, rates[first], strict=True)])
        for count, found in rates.items()
    }
    return Result(
        "prompts",
        (f"{most} samplers and {most} judges", rates[most]),
        (f"{most / first:g} times {first} of each", [rate * most / first for rate in rates[first]]),
        0.9,
        {
            "of linear, by actors of each kind": shares,
            "share of this machine's CPUs at work, by actors of each kind": {
                str(count): spread(found) for count, found in busy.items()
            },
            "prompts an actor": prompts,
            "seconds a prompt": seconds,
            "prompts a unit": unit_rows,
        },
    )
