"""Many questions in one sequence must teach what each alone would teach."""

import random

import pytest
import torch

from urm_ray.models import load_vlm
from urm_ray.scenes.grammar import differences, parse
from urm_ray.scenes.lessons import FACTS, IGNORED, Lesson, chat, collate, draw_lesson, facts

TINY = "urm_ray.scenes:checkpoints/vlm"


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
@pytest.mark.parametrize("pictures", [1, 2])
def test_a_question_among_others_is_read_as_if_it_were_alone(vlm, pictures):
    model, processor = vlm
    rng = random.Random(3)
    lessons = [draw_lesson(rng, pictures, 5, 0.2) for _ in range(3)]
    together = collate(lessons, processor, model.model.get_rope_index)
    logits = run(model, together)
    for row, lesson in enumerate(lessons):
        said = []
        for exchange in lesson.exchanges:
            alone = Lesson(lesson.pictures, lesson.views, (exchange,))
            text = processor.apply_chat_template(chat(alone), tokenize=False)
            inputs = processor(text=[text], images=[list(alone.pictures)], return_tensors="pt")
            answer = processor.tokenizer(exchange.answer + "<|im_end|>", add_special_tokens=False).input_ids
            ids = inputs["input_ids"][0].tolist()
            end = len(ids) - ids[::-1].index(answer[-1])
            assert ids[end - len(answer) : end] == answer
            said.append(model(**inputs).logits[0, end - len(answer) - 1 : end - 1])
        kept = together.labels[row, 1:] != IGNORED
        torch.testing.assert_close(logits[row, :-1][kept], torch.cat(said), atol=1e-4, rtol=1e-4)


def test_labels_are_the_answers_and_nothing_else(vlm):
    model, processor = vlm
    lesson = draw_lesson(random.Random(5), 2, 4, 0.0)
    batch = collate([lesson, draw_lesson(random.Random(6), 1, 4, 0.0)], processor, model.model.get_rope_index)
    labels = batch.labels[0]
    text = processor.tokenizer.decode(labels[labels != IGNORED])
    assert text == "".join(exchange.answer + "<|im_end|>" for exchange in lesson.exchanges)


def test_facts_stand_beside_every_token_of_their_answer(vlm):
    model, processor = vlm
    lessons = [draw_lesson(random.Random(seed), 2, 4, 0.0) for seed in range(6)]
    batch = collate(lessons, processor, model.model.get_rope_index)
    for row, lesson in enumerate(lessons):
        wanted = []
        for exchange, known in zip(lesson.exchanges, facts(lesson), strict=True):
            wanted += [known] * len(processor.tokenizer(exchange.answer + "<|im_end|>").input_ids)
        assert batch.facts[row][batch.labels[row] != IGNORED].tolist() == wanted
        assert (batch.facts[row][batch.labels[row] == IGNORED] == IGNORED).all()


def test_facts_are_true():
    rng = random.Random(1)
    seen = 0
    for _ in range(200):
        lesson = draw_lesson(rng, rng.choice((1, 2)), 3, 0.1)
        for exchange, known in zip(lesson.exchanges, facts(lesson), strict=True):
            for number in range(2):
                part = dict(zip(FACTS, known[number * len(FACTS) :], strict=False))
                if not exchange.question.startswith("Caption: ") or number >= len(lesson.views):
                    assert set(part.values()) == {IGNORED}
                    continue
                asked = parse(exchange.question.partition("\n")[0].removeprefix("Caption: "))
                wrong, seen = differences(asked, lesson.views[number].scene), seen + 1
                assert part["total"] == min(3, wrong.total)
                assert part["relation"] == wrong.relation
                assert part["strength"] == lesson.views[number].strength
    assert seen > 100
