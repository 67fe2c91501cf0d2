"""Generate and judge in one streaming execution, against the two as stages one after the other.

One sampler and one judge on either side. What counts is the time from when the actors of a stage stand until all that
it makes is written.
"""

from __future__ import annotations

from pipelines import Pipeline, Took, captions
from rounds import Result, Side, in_turns, spread
from sleeping import sleeping_pipeline

from urm_ray.pipeline.actors import Judge, Sample
from urm_ray.pipeline.context import connect


def benchmark(rounds: int, prompts: int, seconds: float | None = None, candidates: int = 2) -> Result:
    """seconds: that sampler and judge each sleep for a prompt; None takes the embedded policy and judge."""
    connect()
    if seconds is None:
        pipeline = Pipeline(Sample, Judge, captions(prompts), unit_rows=10, num_cpus=0.8, candidates=candidates)
    else:
        pipeline = sleeping_pipeline(prompts, 1, seconds, unit_rows=10)
    starts: dict[str, list[float]] = {"streamed": [], "one after the other": []}

    def timed(name: str, took: Took) -> tuple[float, float]:
        starts[name].append(took.start_up)
        return took.rows, took.seconds

    return in_turns(
        Side("streamed", lambda: timed("streamed", pipeline.streamed())),
        Side("one after the other", lambda: timed("one after the other", pipeline.one_after_the_other())),
        rounds,
        "prompts",
        target=1.15,
        prompts=prompts,
        seconds_to_start=lambda: {name: spread(values[1:]) for name, values in starts.items()},
    )
