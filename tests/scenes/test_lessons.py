"""Many questions in one sequence must teach what each alone would teach."""

import random

import pytest
import torch

from urm_ray.judge.protocol import UNIFIED
from urm_ray.scenes import grammar, motion
from urm_ray.scenes.lessons import (
    FACTS,
    IGNORED,
    KINDS,
    Lesson,
    Shares,
    chat,
    collate,
    draw_lesson,
    facts,
    media_inputs,
)
from urm_ray.vlms import load_vlm

TINY = "urm_ray.scenes:checkpoints/vlm"
BOTH = Shares(answers=0.5, repeated=0.2)


@pytest.fixture(scope="module")
def vlm():
    model, processor, _ = load_vlm(TINY, device="cpu", attention="eager")
    return model, processor


def run(model, batch):
    """Logits (B, L, V) of a batch of lessons, by the model's own forward."""
    return model(
        **{k: v for k, v in batch.inputs.items() if k != "attention_mask"},
        position_ids=batch.positions,
        attention_mask={"full_attention": batch.mask},
    ).logits


@torch.no_grad()
@pytest.mark.parametrize("kind", KINDS)
def test_a_question_among_others_is_read_as_if_it_were_alone(vlm, kind):
    model, processor = vlm
    rng = random.Random(3)
    lessons = [draw_lesson(rng, kind, 4, BOTH) for _ in range(2)]
    together = collate(lessons, processor, model.model.get_rope_index)
    logits = run(model, together)
    for row, lesson in enumerate(lessons):
        said = []
        for exchange in lesson.exchanges:
            alone = Lesson(lesson.shown, lesson.views, (exchange,))
            text = processor.apply_chat_template(chat(alone), tokenize=False)
            inputs = processor(text=[text], return_tensors="pt", **media_inputs([alone]))
            answer = processor.tokenizer(exchange.answer + "<|im_end|>", add_special_tokens=False).input_ids
            ids = inputs["input_ids"][0].tolist()
            end = len(ids) - ids[::-1].index(answer[-1])
            assert ids[end - len(answer) : end] == answer
            said.append(model(**inputs).logits[0, end - len(answer) - 1 : end - 1])
        kept = together.labels[row, 1:] != IGNORED
        torch.testing.assert_close(logits[row, :-1][kept], torch.cat(said), atol=1e-4, rtol=1e-4)


def test_labels_are_the_answers_and_nothing_else(vlm):
    model, processor = vlm
    lesson = draw_lesson(random.Random(5), "two pictures", 4)
    batch = collate([lesson, draw_lesson(random.Random(6), "picture", 4)], processor, model.model.get_rope_index)
    labels = batch.labels[0]
    text = processor.tokenizer.decode(labels[labels != IGNORED])
    assert text == "".join(exchange.answer + "<|im_end|>" for exchange in lesson.exchanges)


def test_facts_stand_beside_every_token_of_their_answer(vlm):
    model, processor = vlm
    lessons = [draw_lesson(random.Random(seed), "two clips", 4) for seed in range(4)]
    batch = collate(lessons, processor, model.model.get_rope_index)
    for row, lesson in enumerate(lessons):
        wanted = []
        for exchange, known in zip(lesson.exchanges, facts(lesson), strict=True):
            wanted += [known] * len(processor.tokenizer(exchange.answer + "<|im_end|>").input_ids)
        assert batch.facts[row][batch.labels[row] != IGNORED].tolist() == wanted
        assert (batch.facts[row][batch.labels[row] == IGNORED] == IGNORED).all()


@pytest.mark.parametrize("kind", KINDS)
def test_facts_are_true(kind):
    rng = random.Random(1)
    world, own = (motion, "motions") if "clip" in kind else (grammar, "relation")
    seen = 0
    for _ in range(60):
        lesson = draw_lesson(rng, kind, 3, BOTH)
        for exchange, known in zip(lesson.exchanges, facts(lesson), strict=True):
            parts = [dict(zip(FACTS, known[n * len(FACTS) :], strict=False)) for n in range(2)]
            if exchange.question.startswith("Question: "):
                told = 1 + ("\nAnswer 2: " in exchange.question)
                assert [IGNORED not in (p["false"], p["missing"], p["unanswered"]) for p in parts] == [True, told == 2]
                assert {p["total"] for p in parts} == {IGNORED}
                continue
            if not exchange.question.startswith("Caption: "):
                assert set(known) == {IGNORED}
                continue
            asked = world.parse(exchange.question.partition("\n")[0].removeprefix("Caption: "))
            for view, part in zip(lesson.views, parts, strict=False):
                wrong, seen = world.differences(asked, view.scene), seen + 1
                assert part["total"] == min(3, wrong.total)
                assert part[own] == min(FACTS[own] - 1, getattr(wrong, own))
                assert part["strength"] == view.strength
                assert part["false"] == IGNORED
    assert seen > 10


@pytest.mark.parametrize(
    ("kind", "task", "of_answers"),
    [
        ("picture", "image_generation", 0),
        ("two pictures", "image_generation", 0),
        ("clip", "video_generation", 0),
        ("two clips", "video_generation", 0),
        ("picture", "image_understanding", 1),
        ("clip", "video_understanding", 1),
    ],
)
def test_the_judges_own_questions_are_asked_in_its_words(kind, task, of_answers):
    rng = random.Random(2)
    lesson = draw_lesson(rng, kind, 30, Shares(answers=of_answers, guessed=1.0))
    kinds = {"point", "pair"} if of_answers else {"pair" if kind.startswith("two") else "point"}
    known = {answer for name in kinds for answer in UNIFIED.form(task, name).answers}
    assert known & {exchange.answer for exchange in lesson.exchanges}
    form = UNIFIED.form(task, "pair")
    for exchange in lesson.exchanges:
        assert exchange.known == ()
        if exchange.answer in form.answers:
            assert exchange.question.endswith(form.asking.partition("{prompt}")[2])


def test_without_shares_every_question_is_about_what_is_shown():
    rng = random.Random(4)
    for kind in KINDS:
        questions = [e.question for e in draw_lesson(rng, kind, 40).exchanges]
        assert not [q for q in questions if q.startswith(("Question", "Repeat")) or "Final Score" in q]
