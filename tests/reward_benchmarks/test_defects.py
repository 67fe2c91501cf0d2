"""Mistakes of published evaluation scripts (paper.md, section 7) that no figure here can have.

Judges are decoded: what they write goes through the parsers of released protocols and into the figures.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from reward_benchmarks.asking import Engine, ask_all, shade
from reward_benchmarks.native_answers import (
    write_mmrb2,
    write_multimodal_rewardbench,
    write_sharegptvideo,
    write_vl_rewardbench,
)
from reward_benchmarks.native_generation import write_genai_clips, write_genai_edits, write_genai_images, write_videogen

from urm_ray.judge.engine import Question, Written
from urm_ray.judge.protocol import protocol
from urm_ray.judge.scorer import JudgeScorer
from urm_ray.reward_benchmarks.ask import AskBenchmark
from urm_ray.reward_benchmarks.comparison import Measuring
from urm_ray.reward_benchmarks.registry import benchmark
from urm_ray.reward_benchmarks.results import measured
from urm_ray.sources.media_folder import MediaFolder

HOW = Measuring(resamples=50)
WRITERS: dict[str, Callable[[Path], None]] = {
    "vl_rewardbench": write_vl_rewardbench,
    "genai_bench_image": write_genai_images,
    "genai_bench_edit": write_genai_edits,
    "genai_bench_video": write_genai_clips,
    "videogen_rewardbench": write_videogen,
    "multimodal_rewardbench": write_multimodal_rewardbench,
    "sharegptvideo": write_sharegptvideo,
    "mmrb2": write_mmrb2,
}


class Speaker(Engine):
    """Writes what a function of the shades that it is shown says."""

    def __init__(self, say: Callable[[list[int]], str]) -> None:
        super().__init__()
        self.say = say

    def write(self, questions: Any, max_new_tokens: int) -> list[Written]:
        return [Written(self.say(self._shades(question))) for question in questions]

    def _shades(self, question: Question) -> list[int]:
        return [shade(seen) for seen in question.media[-2:]]


def figures(
    name: str, path: Path, say: Callable[[list[int]], str], words: str = "unifiedreward_qwen"
) -> dict[str, Any]:
    """All that is found when a judge says so."""
    kind = benchmark(name)
    scorer = JudgeScorer(Speaker(say), protocol(words), readout="generate")
    ask = AskBenchmark(scorer, MediaFolder(str(path)), kind.places)
    rows, aside = ask([item for unit in kind(str(path)).units(100) for item in kind(str(path)).items(unit)])
    assert not any(row["skipped"] for row in rows)
    return measured(kind, rows, [vars(one) for one in aside], HOW)["figures"]


def darker(noun: str, form: str) -> Callable[[list[int]], str]:
    """What a good judge says of pictures or clips, in a form with a place for the better one's number."""

    def say(shades: list[int]) -> str:
        if shades[0] == shades[1]:
            return f"Both {noun.lower()}s are equally good."
        return form.format(1 + (shades[0] > shades[1]))

    return say


@pytest.mark.parametrize("name", WRITERS)
def test_a_judge_that_is_right_is_right_in_both_orders(tmp_path: Path, name: str):
    """23: labels that are swapped while the files are not bring every judge to 50%."""
    WRITERS[name](tmp_path)
    rows, aside, _ = ask_all(name, tmp_path)
    rows = [row for row in rows if row["item_id"] not in ("e2", "i1")]  # of MMRB2, without a better candidate
    rows = [row for row in rows if {"dimension": "overall", "label": "tie"} not in row["labels"]]
    found = measured(benchmark(name), rows, [{"reason": reason} for _, reason in aside], HOW)["figures"]
    assert found["diff"]["value"] == found["diff_merged"]["value"] == 1.0
    assert found["first_position"]["value"] == 0.5


@pytest.mark.parametrize("said", ["", "Video", "Video 1", "is better", "I cannot tell.", "Video 3 is better"])
def test_a_piece_of_the_expected_sentence_is_no_verdict(tmp_path: Path, said: str):
    """22: `output in "Video 1 is better than Video 2."` took each of these for the first clip, or for a tie."""
    write_videogen(tmp_path)
    found = figures("videogen_rewardbench", tmp_path, lambda shades: said)
    assert found["tau"]["value"] == found["order_agreement"]["value"] == 0.0
    assert found["verdicts"]["unparsed"] + found["verdicts"]["refused"] == 8


@pytest.mark.parametrize(
    "form", ["Video {} is better", "Video {} is better.", "The motion is smooth.\nVideo {} is better."]
)
def test_words_around_a_verdict_do_not_make_it_a_tie(tmp_path: Path, form: str):
    """22: every answer with a reason was "same", and diff was 0."""
    write_videogen(tmp_path)
    found = figures("videogen_rewardbench", tmp_path, darker("Video", form))
    assert found["diff"]["value"] == 1.0
    assert found["verdicts"]["tie"] == 0


@pytest.mark.parametrize(
    ("words", "better", "equal"),
    [
        ("unifiedreward_qwen", "Image {0} is better.", "Both images are equally good."),
        ("unifiedreward_llava", "Image {0} is better than Image {1}.", "Both images are equally good."),
        ("unifiedreward_think", "<think>Image 1: 9, Image 2: 8</think><answer>Image {0} is better</answer>", ""),
    ],
)
def test_each_judge_is_read_in_its_own_words(tmp_path: Path, words: str, better: str, equal: str):
    """24: scripts expected "Image 1 is better than Image 2" of judges that are asked to say "Image 1 is better"."""
    write_genai_images(tmp_path)

    def say(shades: list[int]) -> str:
        winner = 1 + (shades[0] > shades[1])
        return equal if shades[0] == shades[1] else better.format(winner, 3 - winner)

    assert figures("genai_bench_image", tmp_path, say, words)["diff"]["value"] == 1.0


def test_an_answer_that_names_both_candidates_is_right_for_neither(tmp_path: Path):
    """25: a text with both sentences counted as right, whichever the label was."""
    write_genai_images(tmp_path)
    found = figures("genai_bench_image", tmp_path, lambda shades: "Image 1 is better. No, Image 2 is better.")
    assert found["tau"]["value"] == found["diff"]["value"] == 0.0
    assert found["verdicts"]["unparsed"] == 8


def test_orders_are_not_thrown_and_their_agreement_is_told(tmp_path: Path):
    """26: an unseeded random order gave another accuracy in each run, and nobody asked both."""
    write_genai_images(tmp_path)
    found = [figures("genai_bench_image", tmp_path, lambda shades: "Image 1 is better.") for _ in range(2)]
    assert found[0] == found[1]
    assert found[0]["diff"]["value"] == 0.5
    assert found[0]["order_agreement"]["value"] == 0.0
    assert found[0]["first_position"]["value"] == 1.0


def test_clips_that_fail_are_told_and_answers_that_fail_stay_in_the_denominator(tmp_path: Path):
    """27: failing clips and answers shrank the denominator, tied rows were dropped, failures ended the script."""
    write_videogen(tmp_path)
    rows, aside, _ = ask_all("videogen_rewardbench", tmp_path)
    whole = measured(benchmark("videogen_rewardbench"), rows, [{"reason": reason} for _, reason in aside], HOW)
    assert whole["items"]["put_aside"]["missing clip"] == 1
    assert whole["complete"] is False
    assert whole["figures"]["human_ties"] == 1
    half = figures("videogen_rewardbench", tmp_path, lambda shades: "Video 1 is better" if shades[0] == 5 else "...")
    assert half["tau"]["n"] == whole["figures"]["tau"]["n"] == 4
    assert 0 < half["verdicts"]["unparsed"] < 8


def test_ties_are_asked_about_and_can_be_right(tmp_path: Path):
    """28: ties were counted in N and never asked about, so that a perfect judge had 67.2%."""
    write_genai_images(tmp_path)
    found = figures("genai_bench_image", tmp_path, darker("Image", "Image {} is better"))
    assert (found["tau"]["value"], found["tau"]["n"]) == (1.0, 4)
    assert found["human_ties"] == 2


def test_groups_are_told_from_ids_and_what_is_not_known_is_not_general(tmp_path: Path):
    """21: ids beginning with "hallucination", and all that are not known, were counted as general."""
    write_vl_rewardbench(tmp_path)
    rows, aside, _ = ask_all("vl_rewardbench", tmp_path)
    found = measured(benchmark("vl_rewardbench"), rows, [{"reason": reason} for _, reason in aside], HOW)
    sizes = {column["name"]: column["n"] for column in found["columns"]}
    assert (sizes["General"], sizes["Hallucination"], sizes["Reasoning"]) == (3, 4, 3)
    assert found["items"]["put_aside"]["unknown group"] == 1
