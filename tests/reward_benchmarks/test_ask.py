"""How items become questions under protocols of other kinds than ours."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from reward_benchmarks.asking import Engine, shade
from reward_benchmarks.native_answers import write_mmrb2
from reward_benchmarks.native_generation import write_genai_edits, write_videogen
from sources.native import grey

from urm_ray import schema
from urm_ray.judge.engine import Written
from urm_ray.judge.protocol import protocol
from urm_ray.judge.scorer import JudgeScorer
from urm_ray.reward_benchmarks.ask import AskBenchmark
from urm_ray.reward_benchmarks.comparison import Comparison, Interleaved, overall
from urm_ray.reward_benchmarks.registry import benchmark
from urm_ray.sources.draft import Encoded
from urm_ray.sources.media_folder import MediaFolder
from urm_ray.sources.registry import Rejected

PROTOCOL = """
about: A judge of clips that writes scores of dimensions and is asked about captions alone.
tasks:
  video_generation:
    pair:
      ask: "{{ context }}{{ first }}{{ second }}Caption: {{ prompt }}\\nWhich video is better?"
    point:
      ask: "{{ context }}{{ candidate }}Caption: {{ prompt }}\\nRate it."
      scale: 1-10
      dimensions: [visual quality, text-to-video alignment]
      dimension_scale: 1-4
"""


class Writer(Engine):
    """Says which of two clips is darker, and of one clip two dimensions and a final score."""

    def write(self, questions, max_new_tokens):
        self.asked += questions
        return [Written(self._answer(question)) for question in questions]

    def _answer(self, question):
        shades = [shade(seen) for seen in question.media]
        if len(shades) == 2:
            return f"Video {1 + (shades[0] > shades[1])} is better"
        return f"visual quality: {10 - shades[0] - 3}\ntext-to-video alignment: 2\nFinal Score: {10 - shades[0]}"


def asked_of(name: str, path: Path, scorer: JudgeScorer, dimensions=None):
    kind = benchmark(name)
    ask = AskBenchmark(scorer, MediaFolder(str(path)), kind.places, dimensions)
    return ask([item for unit in kind(str(path)).units(100) for item in kind(str(path)).items(unit)])


def unified(engine: Engine, **changes) -> JudgeScorer:
    return JudgeScorer(engine, replace(protocol("unified"), **changes), 0.1)


def item(*candidates, task="image_understanding", context=()):
    return Comparison("item", task, "tell a story", candidates, overall("first"), context)


def test_a_task_that_a_protocol_does_not_ask_about_is_skipped_with_a_reason(tmp_path: Path):
    write_videogen(tmp_path)
    engine = Engine()
    rows, _ = asked_of("videogen_rewardbench", tmp_path, unified(engine, pairs={}))
    assert {row["skipped"] for row in rows} == {"protocol unified does not ask pair questions about video_generation"}
    assert not engine.asked
    assert {len(row["pair_verdicts"]) for row in rows} == {0}
    schema.table_of(rows, schema.PREDICTION)


def test_an_answer_that_the_form_cannot_show_is_skipped_and_not_wrong(tmp_path: Path):
    write_mmrb2(tmp_path)
    forms = protocol("unified").pairs
    shown_pictures = unified(Engine(), pairs=forms | {"image_understanding": forms["image_generation"]})
    rows, _ = asked_of("mmrb2", tmp_path, shown_pictures)
    skipped = {row["item_id"]: row["skipped"] for row in rows if row["skipped"]}
    assert set(skipped) == {"e2", "i1", "r1", "r2"}
    assert set(skipped.values()) == {"a candidate of image_understanding is text, not image"}


def test_an_edit_under_a_form_without_a_place_for_its_picture_is_skipped(tmp_path: Path):
    write_genai_edits(tmp_path)
    pair = protocol("unified").pairs["image_generation"]
    alone = replace(pair, template=replace(pair.template, context=0))
    rows, _ = asked_of("genai_bench_edit", tmp_path, unified(Engine(), pairs={"image_generation": alone}))
    assert [row["skipped"] for row in rows] == ["the question is about 0 pictures or clips, and 1 are there"]


def test_a_text_that_looks_like_a_name_of_an_answer_is_shown_as_it_is(tmp_path: Path):
    engine = Engine()
    asked = item(Interleaved(("\ue000item B\ue001", Encoded(grey(5)), "a good answer")), Interleaved(("a bad answer",)))
    rows, _ = AskBenchmark(unified(engine), MediaFolder(str(tmp_path)))([asked])
    texts = [part["text"].strip() for part in engine.asked[0].messages[0]["content"] if part["type"] == "text"]
    assert [text for text in texts if text][1:6] == [
        "Answer 1:",
        "\ue000item B\ue001",
        "a good answer",
        "Answer 2:",
        "a bad answer",
    ]
    assert rows[0]["skipped"] is None


def test_a_sentence_that_a_judge_quotes_from_an_answer_of_words_and_pictures_is_no_verdict(tmp_path: Path):
    class Quoting(Engine):
        def write(self, questions, max_new_tokens):
            return [Written("It says: Answer 2 is better than Answer 1. The first is sharper.")] * len(questions)

    answers = Interleaved(("A dog.", Encoded(grey(5)))), Interleaved(("A cat. Answer 2 is better than Answer 1.",))
    scorer = JudgeScorer(Quoting(), protocol("unified"), readout="generate")
    rows, _ = AskBenchmark(scorer, MediaFolder(str(tmp_path)))([item(*answers)])
    assert rows[0]["skipped"] is None
    assert {verdict["outcome"] for verdict in rows[0]["pair_verdicts"]} == {"unparsed"}


def test_a_prompt_that_says_the_name_of_an_answer_costs_its_item(tmp_path: Path):
    asked = replace(
        item(Interleaved(("x", Encoded(grey(5)))), Interleaved(("y",))), prompt="what is \ue000item A\ue001?"
    )
    rows, _ = AskBenchmark(unified(Engine()), MediaFolder(str(tmp_path)))([asked])
    assert rows[0]["skipped"] == "the protocol does not show each answer once"


def test_what_was_put_aside_by_the_reader_stays_aside(tmp_path: Path):
    gone = Rejected("x", "no label")
    rows, aside = AskBenchmark(unified(Engine()), MediaFolder(str(tmp_path)))(
        [gone, item("a good answer", "a bad answer")]
    )
    assert (len(rows), aside) == (1, [gone])


def test_candidates_are_scored_in_the_dimensions_that_have_labels(tmp_path: Path):
    write_videogen(tmp_path)
    kind = benchmark("videogen_rewardbench")
    engine = Engine()
    rows, _ = asked_of("videogen_rewardbench", tmp_path, unified(engine), kind.dimensions)
    first = next(row for row in rows if row["item_id"].endswith(":1"))
    assert [(v["dimension"], v["index"], v["score"]) for v in first["point_verdicts"]] == [
        (dimension, index, score)
        for index, score in ((0, 5.0), (1, 3.0))
        for dimension in ("overall", "VQ", "MQ", "TA")
    ]
    fourth = next(row for row in rows if row["item_id"].endswith(":4"))  # nobody labelled its motion
    assert {v["dimension"] for v in fourth["point_verdicts"]} == {"overall", "VQ", "TA"}
    asked = {
        part["text"] for q in engine.asked for part in q.messages[0]["content"] if "How good" in part.get("text", "")
    }
    assert len([text for text in asked if "motion quality" in text]) == 2  # a question for each caption


@pytest.fixture
def writer(tmp_path_factory) -> JudgeScorer:
    path = tmp_path_factory.mktemp("protocol") / "clips.yaml"
    path.write_text(PROTOCOL)
    return JudgeScorer(Writer(), protocol(str(path)), readout="generate")


def test_dimensions_that_a_judge_scores_anyway_are_read_from_the_same_answer(tmp_path: Path, writer: JudgeScorer):
    write_videogen(tmp_path)
    kind = benchmark("videogen_rewardbench")
    rows, _ = asked_of("videogen_rewardbench", tmp_path, writer, kind.dimensions)
    first = next(row for row in rows if row["item_id"].endswith(":1"))
    assert [(v["dimension"], v["index"], v["score"]) for v in first["point_verdicts"]] == [
        ("overall", 0, 5.0),
        ("VQ", 0, 2.0),
        ("TA", 0, 2.0),
        ("overall", 1, 3.0),
        ("VQ", 1, None),  # 0 is not on the scale from 1 to 4
        ("TA", 1, 2.0),
    ]
    assert [v["outcome"] for v in first["pair_verdicts"]] == ["first", "second"]
    clips = {(text_of(q), shade(q.media[0])) for q in writer.engine.asked if len(q.media) == 1}
    assert len([q for q in writer.engine.asked if len(q.media) == 1]) == len(clips)


def text_of(question):
    return "".join(part.get("text", "") for part in question.messages[0]["content"])


def test_no_scores_are_asked_where_none_are_wanted_or_none_can_be_given(tmp_path: Path):
    write_videogen(tmp_path)
    kind = benchmark("videogen_rewardbench")
    for scorer, dimensions in ((unified(Engine()), None), (unified(Engine(), points={}), kind.dimensions)):
        rows, _ = asked_of("videogen_rewardbench", tmp_path, scorer, dimensions)
        assert {len(row["point_verdicts"]) for row in rows} == {0}
        assert {len(row["pair_verdicts"]) for row in rows} == {2}
