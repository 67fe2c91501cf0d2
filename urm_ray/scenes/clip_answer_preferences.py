"""Human judgements of answers about clips of the embedded world, on the scale of ShareGPTVideo (paper Table II)."""

from __future__ import annotations

import random
from functools import partial

from urm_ray.clips import encode_clip
from urm_ray.scenes.answer_preferences import Answers, Asked
from urm_ray.scenes.clip_answers import draw_moving_scene, write_clip_answer
from urm_ray.scenes.clip_questions import draw_clip_question
from urm_ray.scenes.film import FPS, film


class ClipAnswers(Answers):
    """The embedded world as a source of questions about clips and of preferences between answers.

    Labels are as in `Answers`, but every point is on 1-5. Clips of held-out rows and prompts never occur in the
    training ones: scenes that differ look different.
    """

    task = "video_understanding"
    name = "clip answers"

    def _ask(self, of_held_out: bool, rng: random.Random) -> Asked:
        scene = draw_moving_scene(rng, of_held_out)
        question = draw_clip_question(scene, rng, of_held_out)
        return Asked(question, encode_clip(film(scene, rng), FPS), partial(write_clip_answer, question, scene))

    def _scale(self, consensus: bool, rng: random.Random) -> str:
        return "1-5"
