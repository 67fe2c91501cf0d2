import random

import pytest
import torch

from urm_ray.scenes.build_answerer import AnswererBuild, draw_answers, teach
from urm_ray.scenes.clip_truth import ClipTruth
from urm_ray.scenes.truth import Truth
from urm_ray.vlms import load_vlm

TINY = "urm_ray.scenes:checkpoints/vlm"


@pytest.mark.parametrize(("clip", "truth"), [(False, Truth()), (True, ClipTruth())])
def test_answers_are_wrong_as_often_as_is_said(clip, truth):
    rng = random.Random(0)

    def right(settings: AnswererBuild) -> float:
        """Share of answers in which the truth, which reads pixels, finds nothing wrong."""
        lessons = [draw_answers(rng, clip, settings) for _ in range(20)]
        found = [
            truth.figures(exchange.question, exchange.answer, lesson.shown)["true"]
            for lesson in lessons
            for exchange in lesson.exchanges
        ]
        return sum(one == 1 for one in found) / len(found)

    assert right(AnswererBuild(mistaken=0.0, short=0.0)) > 0.97
    assert 0.35 < right(AnswererBuild(mistaken=0.5, short=0.0)) < 0.65


def test_teaching_changes_the_language_model_alone():
    model, processor, _ = load_vlm(TINY, device="cpu", attention="eager")
    before = {name: value.clone() for name, value in model.state_dict().items()}
    teach(model, processor, AnswererBuild(steps=2, batch=2, questions=2, lr=1e-3))
    changed = {name for name, value in model.state_dict().items() if not torch.equal(value, before[name])}
    assert changed
    assert not [name for name in changed if "visual" in name]
    assert all(value.isfinite().all() for value in model.parameters())
