"""Judges whose answers are decoded."""

import json

import pytest
import torch
from helpers import NOT_A_PICTURE, FakeWriter, answer_set, candidate, candidate_set, clip, picture, shade_of
from transformers import GenerationConfig

from urm_ray import schema
from urm_ray.clips import Clip
from urm_ray.config import JudgeConfig
from urm_ray.config_policy import ClipConfig
from urm_ray.judge.engine import Question, Written
from urm_ray.judge.item import Item
from urm_ray.judge.protocol import ProtocolError, protocol
from urm_ray.judge.protocol_file import names
from urm_ray.judge.scorer import JudgeScorer
from urm_ray.judge.transformers_engine import TransformersEngine
from urm_ray.media import encode_image
from urm_ray.schema import TASKS

IMAGE = "image_generation"


def judge(answer, name: str = "unifiedreward_qwen", **changes) -> JudgeScorer:
    return JudgeScorer(FakeWriter(answer), protocol(name), readout="generate", **changes)


def words_of(question: Question) -> str:
    return "".join(part.get("text", "") for part in question.messages[0]["content"])


def darker(question: Question) -> str:
    """Says the darker of two pictures in words, and the shade of one as its score."""
    shades = [shade_of(image) for image in question.media]
    if len(shades) == 1:
        return f"a circle (shape): 1\nFinal Score: {shades[0]}.25"
    if shades[0] == shades[1]:
        return "Both images are equally good."
    return f"Image {1 if shades[0] < shades[1] else 2} is better."


def pair(*shades: int) -> Item:
    return Item(IMAGE, "pair", "a red circle", tuple(picture(shade) for shade in shades))


def point(shade: int) -> Item:
    return Item(IMAGE, "point", "a red circle", (picture(shade),))


def test_an_answer_becomes_a_verdict_that_keeps_its_text():
    one, two, tie, score = judge(darker).ask([pair(1, 2), pair(2, 1), pair(2, 2), point(3)])
    assert [v.outcome for v in (one, two, tie, score)] == ["first", "second", "tie", "score"]
    assert (one.text, one.p_first, one.p_second, one.p_tie, one.reason) == (
        "Image 1 is better.",
        None,
        None,
        None,
        None,
    )
    assert (score.score, score.probabilities, score.text) == (3.25, None, "a circle (shape): 1\nFinal Score: 3.25")
    assert score.dimensions == [{"name": "a circle (shape)", "score": 1.0}]


def test_what_is_asked_is_the_form_with_the_pictures_in_their_order():
    scorer = judge(darker)
    scorer.ask([pair(7, 3)])
    asked = scorer.engine.asked[0]
    assert [shade_of(image) for image in asked.media] == [7, 3]
    assert asked.messages == protocol("unifiedreward_qwen").form(IMAGE, "pair").messages("a red circle")


@pytest.mark.parametrize(
    ("answer", "outcome", "why"),
    [
        ("I'm sorry, but I cannot rate this.", "refused", "declines"),
        ("Both are nice.", "unparsed", "no answer in the form"),
        ("Final Score: 9", "unparsed", "9 is not on the scale 1-5"),
        (Written("Final Score: 4", ended=False), "unparsed", "no end within 7 tokens"),
        (Written("It shows a", ended=False), "unparsed", "no end within 7 tokens"),
        (Written("Final Score: 4\nIt", ended=False), "score", None),
        ("", "unparsed", "no answer in the form"),
    ],
)
def test_what_is_not_read_is_typed_and_has_its_reason_and_text(answer, outcome, why):
    verdict = judge(lambda q: answer, max_new_tokens=7).ask([point(3)])[0]
    assert verdict.outcome == outcome
    assert (verdict.score is None) is (outcome != "score")
    assert verdict.text == (answer if isinstance(answer, str) else answer.text)
    assert verdict.reason is None if why is None else why in verdict.reason


def test_words_of_the_question_and_of_candidates_are_no_verdict():
    scorer = judge(lambda q: f'"{q.messages[0]["content"][-1]["text"]}"', "unifiedreward_llava")
    said = ("Response 1 is better than Response 2.", "It is red.")
    item = Item("video_understanding", "pair", "What is red?", said, (Clip([picture()] * 2, [0.0, 1.0]),))
    assert scorer.ask([item])[0].outcome == "unparsed"
    scorer = judge(lambda q: 'The first one says "Response 1 is better than Response 2."', "unifiedreward_llava")
    assert scorer.ask([item])[0].outcome == "unparsed"


def lifted(question: Question) -> str:
    grades = {"this text says": "Good", "true to life": "Normal", "move as they should": "Bad"}
    return next(f"{grade}. So it is." for words, grade in grades.items() if words in words_of(question))


def test_a_score_in_several_questions_is_their_mean():
    scorer = judge(lifted, "lift")
    film = Item("video_generation", "point", "a cat", (Clip([picture(4)] * 2, [0.0, 1.0]),))
    first, second = scorer.ask([film, film])
    assert first == second
    assert (first.score, len(scorer.engine.asked)) == (2.0, 6)
    assert first.dimensions == [
        {"name": "semantic consistency", "score": 3.0},
        {"name": "fidelity", "score": 2.0},
        {"name": "motion", "score": 1.0},
    ]
    assert first.text == "Good. So it is.\n\nNormal. So it is.\n\nBad. So it is."


def test_one_question_without_an_answer_costs_the_score_and_is_named():
    scorer = judge(lambda q: "Not sure." if "true to life" in words_of(q) else lifted(q), "lift")
    film = Item("video_generation", "point", "a cat", (Clip([picture(4)] * 2, [0.0, 1.0]),))
    verdict = scorer.ask([film])[0]
    assert (verdict.outcome, verdict.score) == ("unparsed", None)
    assert verdict.reason.startswith("question 2: ")
    assert [one["score"] for one in verdict.dimensions] == [3.0, None, 1.0]


def edited(question: Question) -> str:
    shades = [shade_of(image) for image in question.media]
    if "JSON" in words_of(question):
        return json.dumps({"reasoning": "short", "score": [shades[-1], 20 if len(shades) == 2 else 10]})
    return f"Image 1: {shades[1]}.5\nImage 2: -{shades[2]}.5"


def test_an_edit_is_judged_beside_its_source():
    scorer = judge(edited, "unifiedreward_edit_pair_score")
    row = candidate_set(2, context=[encode_image(picture(9))])
    judged = scorer.judge_set(row, [(0, 1), (1, 0)])
    assert [[shade_of(i) for i in q.media] for q in scorer.engine.asked] == [
        [9, 0, 1],
        [9, 1, 0],
        [9, 0],
        [0],
        [9, 1],
        [1],
    ]
    assert [v["outcome"] for v in judged["pair_verdicts"]] == ["first", "first"]
    assert judged["pair_verdicts"][1]["dimensions"] == [{"name": "overall", "first": 1.5, "second": -0.5}]
    assert [v["score"] for v in judged["point_verdicts"]] == [7.5, 8.0]
    assert judged["scale"] == {"name": "0-25", "minimum": 0, "maximum": 25}


@pytest.mark.parametrize("context", [[], [encode_image(picture(1))] * 2, [NOT_A_PICTURE]])
def test_an_edit_without_its_source_is_an_error_of_its_own(context):
    scorer = judge(edited, "unifiedreward_edit")
    judged = scorer.judge_set(candidate_set(2, context=context), [(0, 1)])
    assert {v["outcome"] for v in judged["pair_verdicts"] + judged["point_verdicts"]} == {"media_error"}
    assert scorer.engine.asked == []


def test_a_judge_of_generated_pictures_is_shown_no_picture_that_it_cannot_place():
    verdicts = judge(darker).ask([Item(IMAGE, "point", "a cat", (picture(1),), (picture(2),)), point(3)])
    assert [v.outcome for v in verdicts] == ["media_error", "score"]
    assert "about 0 pictures or clips, and 1 are there" in verdicts[0].reason


def candidates_of(task: str) -> dict:
    if task.endswith("understanding"):
        about = encode_image(picture(9)) if task.startswith("image") else clip([9, 9])
        return answer_set(["red", "It is blue", "Red."], task=task, context=[about])
    media = [candidate(n)["media"] if task == IMAGE else clip([n, n + 1]) for n in (10, 20, 10)]
    return candidate_set(0, task=task, candidates=[candidate(n, media=one) for n, one in enumerate(media)])


@pytest.mark.parametrize("name", names())
@pytest.mark.parametrize("task", TASKS)
def test_a_set_is_judged_by_every_protocol_that_knows_its_task(name, task):
    scorer = judge(lambda q: "I'm sorry, but I cannot judge that.", name)
    row, pairs = candidates_of(task), [(0, 1), (1, 0), (0, 2)] if task in scorer.protocol.pairs else []
    scored = task in scorer.protocol.points
    if name.startswith("unifiedreward_edit"):
        row["context"] = [encode_image(picture(1))]
    judged = scorer.judge_set(row, pairs)
    outcomes = ["refused", "refused", "tie"] if pairs else []
    assert [v["outcome"] for v in judged["pair_verdicts"]] == outcomes
    assert [v["outcome"] for v in judged["point_verdicts"]] == ["refused"] * 3 * scored
    each = len(scorer.protocol.form(task, "point").asked) if scored else 0
    assert len(scorer.engine.asked) == 2 * bool(pairs) + 2 * each  # of equal candidates the first alone is judged
    assert (judged["scale"] is None) is not scored
    assert schema.table_of([row | judged | {"judge_digest": "j"}], schema.JUDGED_SET).num_rows == 1


def test_pairs_that_a_protocol_does_not_ask_are_an_error_and_not_left_out():
    with pytest.raises(ProtocolError, match="lift does not ask pair questions"):
        judge(lifted, "lift").judge_set(candidates_of("video_generation"), [(0, 1)])


def test_answers_that_have_to_be_decoded_are_not_read_off_logits(vlm_path):
    with pytest.raises(ProtocolError, match="protocol unifiedreward_think has answers that have to be decoded"):
        JudgeScorer.load("nowhere", JudgeConfig(protocol="unifiedreward_think"))
    with pytest.raises(ProtocolError, match=r"set judge\.readout to generate"):
        JudgeScorer(FakeWriter(darker), protocol("unifiedreward_qwen"))


@pytest.fixture(scope="module")
def engine(vlm_path) -> TransformersEngine:
    return TransformersEngine(vlm_path, device="cpu", batch=4)


UNIFIED = protocol("unified")


def questions() -> list[Question]:
    pairs, points = (UNIFIED.form(IMAGE, kind) for kind in ("pair", "point"))
    long = "two blue squares left of a green cross and a red circle"
    film = Clip([picture(shade) for shade in (10, 90, 200)], [0.0, 0.5, 1.0])
    return [
        Question(pairs.messages("a cat"), (picture(10), picture(200)), ()),
        Question(points.messages(long), (picture(30),), ()),
        Question(UNIFIED.form("video_generation", "point").messages("a red circle moves"), (film,), ()),
        Question(points.messages("a cat"), (picture(250),), ()),
        Question(pairs.messages(long), (picture(99), picture(1)), ()),
    ]


def spelled_out(engine: TransformersEngine, question: Question, limit: int) -> str:
    """The likeliest token after the other, each from a forward pass of its own."""
    tokens: list[int] = []
    inputs = engine.chats([question])
    ids = inputs.pop("input_ids")
    while len(tokens) < limit:
        given = dict(inputs) | {"input_ids": torch.cat([ids, torch.tensor([tokens], dtype=torch.long)], 1)}
        for name in ("attention_mask", "mm_token_type_ids"):
            fill = torch.full((1, len(tokens)), int(name == "attention_mask"))
            given[name] = torch.cat([inputs[name], fill], 1)
        with torch.inference_mode():
            token = int(engine.model(**given).logits[0, -1].argmax())
        if token == engine.chats.end_id:
            break
        tokens.append(token)
    return engine.processor.tokenizer.decode(tokens).strip()


def test_answers_are_the_likeliest_tokens_one_by_one_whatever_shares_their_batch(engine):
    written = engine.write(questions(), 16)
    assert [one.text for one in written] == [spelled_out(engine, question, 16) for question in questions()]
    assert len({one.text for one in written}) > 2
    for question, one in zip(questions(), written, strict=True):
        assert engine.write([question], 16) == [one]


def test_an_answer_that_meets_the_limit_has_not_ended(engine):
    whole, cut = (engine.write(questions()[1:2], limit)[0] for limit in (16, 2))
    assert whole.ended
    assert (cut.ended, cut.text != whole.text) == (False, True)
    assert engine.write([], 5) == []


def test_the_checkpoints_own_sampling_settings_are_not_used(engine):
    plain = engine.write(questions(), 12)
    ends = engine.model.generation_config.eos_token_id
    engine.model.generation_config = GenerationConfig(
        do_sample=True,
        temperature=9.0,
        num_beams=3,
        repetition_penalty=50.0,
        no_repeat_ngram_size=1,
        suppress_tokens=[engine.processor.tokenizer.encode("Final")[0]],
        forced_bos_token_id=5,
        eos_token_id=ends,
        max_length=3,
    )
    assert engine.write(questions(), 12) == plain


def test_a_judge_that_speaks_from_a_folder_to_verdicts(vlm_path):
    config = JudgeConfig(readout="generate", max_new_tokens=12, clips=ClipConfig(count=3))
    scorer = JudgeScorer.load(vlm_path, config)
    assert (scorer.readout, scorer.max_new_tokens) == ("generate", 12)
    judged = scorer.judge_set(candidate_set(3, prompt="a red circle"), [(0, 1), (1, 0)])
    said = judged["pair_verdicts"] + judged["point_verdicts"]
    assert all(verdict["text"] for verdict in said)
    form = UNIFIED.form(IMAGE, "point")
    for verdict in judged["point_verdicts"]:
        assert verdict["outcome"] == "score"
        assert verdict["score"] == form.answers[verdict["text"]]
    for verdict in judged["pair_verdicts"]:
        assert verdict["p_first"] is None
        assert verdict["outcome"] == UNIFIED.form(IMAGE, "pair").answers.get(verdict["text"], "unparsed")
    other = JudgeScorer(scorer.engine, protocol("unifiedreward_think"), readout="generate", max_new_tokens=4)
    assert other.ask([pair(1, 200)])[0].reason.startswith("no end within 4 tokens")
