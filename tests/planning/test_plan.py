"""The page that a plan prints: its sections, and figures that agree with each other from table to table."""

import re
from functools import cache

import pytest
from planning.runs import IMAGE, config, on_gpus

from urm_ray.planning.plan import plan

SECTIONS = (
    "Plan for 8 x H100-80GB",
    "Models, counted part by part",
    "Rows;",
    "Memory of reward, GiB a GPU",
    "Memory of policies.image_generation.dpo, GiB a GPU",
    "Memory of pools",
    "Work;",
    "Time of stages",
    "Throughputs",
    "Bytes, GiB",
    "Errors: none",
    "Warnings:",
)


@cache
def page() -> tuple[str, ...]:
    """Of a run whose pools and trainings all have GPUs."""
    made = config(IMAGE, policy=on_gpus(), reward={"use_gpu": True}, judge={"actors": {"num_gpus": 1}})
    return tuple("\n".join(plan(made)).splitlines())


def section(beginning: str) -> list[str]:
    start = next(number for number, line in enumerate(page()) if line.startswith(beginning))
    rest = page()[start + 1 :]
    return list(rest[: rest.index("")] if "" in rest else rest)


def rows(beginning: str) -> list[list[str]]:
    """The cells of a section's table, without its head."""
    return [re.split(r"\s{2,}", line.strip()) for line in section(beginning)[1:]]


def hours(cell: str) -> float:
    return float(cell.replace(",", ""))


def test_sections_come_in_the_order_in_which_one_reads_them():
    found = [line for line in page() if line and not line.startswith(" ")]
    assert [line.startswith(words) for line, words in zip(found, SECTIONS, strict=True)] == [True] * len(SECTIONS)


def test_every_stage_of_zero_is_shown_and_the_configured_one_marked_once():
    for training in ("Memory of reward", "Memory of policies.image_generation.dpo"):
        table = [row for row in rows(training) if row[0][0].isdigit()]
        assert [(row[0][0], row[1]) for row in table] == [(z, c) for c in ("no", "yes") for z in "0123"]
        assert [row[0] for row in table if "<" in row[0]] == ["2 <"]
        assert all(row[-2] in ("yes", "no") and int(row[-1]) >= 0 for row in table)
        assert any("Best that fits: zero_stage" in line for line in section(training))


def test_peaks_are_no_less_than_what_they_are_made_of():
    for row in rows("Memory of reward"):
        if row[0][0].isdigit():
            weights, optimizer, gradients, activations, step, peak = map(float, row[2:8])
            assert peak >= max(weights, optimizer, gradients, activations, step)


def test_questions_follow_from_prompts_and_candidates():
    work = {row[0]: int(row[1].replace(",", "")) for row in rows("Work;") if row[0].startswith("generate")}
    # 200 prompts, 4 candidates: 2 adjacent pairs in both orders, a point each.
    assert work == {
        "generate-image_generation: pictures": 800,
        "generate-image_generation: pair verdicts": 800,
        "generate-image_generation: point verdicts": 800,
    }


def test_gpu_hours_add_up():
    *stages, whole = rows("Time of stages")
    assert whole[0] == "all that is known"
    assert hours(whole[-1]) == pytest.approx(sum(hours(row[-1]) for row in stages), rel=0.01)


def test_bytes_on_storage_add_up():
    stored = [float(row[2]) for row in rows("Bytes") if row[1:2] == ["storage"]]
    together = re.search(r"Together ([\d.,]+) GiB of storage", "\n".join(page()))
    assert together is not None
    assert hours(together[1]) == pytest.approx(sum(stored), rel=0.05)


def test_warnings_are_counted_and_name_settings():
    count = int(next(line for line in page() if line.startswith("Warnings")).removeprefix("Warnings: "))
    warnings = [line for line in section("Warnings") if line.startswith("  - ")]
    assert len(warnings) == count > 0
    assert any("reward.workers: 2 of 8 GPUs" in line for line in warnings)


def test_tables_and_sentences_have_no_ragged_ends():
    assert not [line for line in page() if line != line.rstrip()]
