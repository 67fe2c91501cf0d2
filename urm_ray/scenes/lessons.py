"""What the tiny VLM is taught with: questions about pictures, clips and answers, many of them in one sequence."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from PIL import Image

from urm_ray.judge.protocol import OVERALL, UNIFIED, Form
from urm_ray.judge.scale import SCALES
from urm_ray.scenes.answer_questions import about_one_answer, about_two_answers
from urm_ray.scenes.answers import Answer, draw_question, one_way, write_answer
from urm_ray.scenes.clip_answers import write_clip_answer
from urm_ray.scenes.clip_preferences import DIMENSIONS
from urm_ray.scenes.clip_questions import draw_clip_question
from urm_ray.scenes.film import FPS
from urm_ray.scenes.film_questions import ClipView, about_clips, draw_clip, misread_often
from urm_ray.scenes.grammar import Scene, misread, sample_scene
from urm_ray.scenes.questions import Exchange, View, about, caption_near
from urm_ray.scenes.render import QUALITY_FAULTS, render, spoil

FACTS = {
    "total": 4,
    "colours": 3,
    "shapes": 3,
    "count": 3,
    "relation": 2,
    "motions": 3,
    "strength": 4,
    "false": 4,
    "missing": 4,
    "unanswered": 2,
}
"""What can be known of a candidate, with how many values it has; larger numbers count as the last."""
IGNORED = -100

Kind = Literal["picture", "two pictures", "clip", "two clips"]
KINDS: dict[Kind, float] = {"picture": 1.0, "two pictures": 1.2, "clip": 1.4, "two clips": 1.2}
"""What lessons are about, with their shares."""
Frames = list[Image.Image]


@dataclass(frozen=True)
class Lesson:
    """One or two pictures or clips with questions about them."""

    shown: tuple[Image.Image, ...] | tuple[Frames, ...]
    views: tuple[View, ...] | tuple[ClipView, ...]
    exchanges: tuple[Exchange, ...]

    @property
    def clips(self) -> bool:
        return isinstance(self.views[0], ClipView)


@dataclass(frozen=True)
class Shares:
    """Of the questions: those about answers, where a single thing is shown; those that only ask for an answer of the
    judge to be said again; and those that the judge is asked, with an answer by chance."""

    answers: float = 0.0
    repeated: float = 0.0
    guessed: float = 0.0


def draw_view(rng: random.Random, scene: Scene | None = None) -> tuple[Image.Image, View]:
    scene = one_way(scene or sample_scene(rng, 0.6), rng)
    picture = render(scene, rng)
    if rng.random() < 0.5:
        return picture, View(scene)
    fault, strength = rng.choice(QUALITY_FAULTS), rng.choice((1, 2, 3))
    return spoil(picture, fault, strength, rng), View(scene, fault, strength)


def draw_lesson(rng: random.Random, kind: Kind, questions: int, shares: Shares | None = None) -> Lesson:
    """Questions about one picture or clip, or about two that are often alike."""
    clips, two = kind.endswith(("clip", "clips")), kind.startswith("two")
    draw: Callable[..., tuple[Any, Any]] = draw_clip if clips else draw_view
    shown = [draw(rng)]
    if two:
        near, scene = rng.random(), shown[0][1].scene
        changed = misread_often(scene, rng, 1) if clips else misread(scene, rng)
        shown.append(draw(rng, scene if near < 0.25 else changed if near < 0.8 else None))
    views = tuple(view for _, view in shown)
    asked = tuple(_exchange(views, rng, shares or Shares()) for _ in range(questions))
    return Lesson(tuple(media for media, _ in shown), views, asked)


def _exchange(views: Any, rng: random.Random, shares: Shares) -> Exchange:
    draw, one = rng.random(), len(views) == 1
    if draw < shares.repeated:
        answer = rng.choice(_JUDGES_ANSWERS)
        return Exchange(f"Repeat: {answer}", answer)
    guess = draw < shares.repeated + shares.guessed
    if one and rng.random() < shares.answers:
        return _about_answers(views[0], rng, guess)
    if guess:
        return _guess(views, rng)
    return about_clips(views, rng) if isinstance(views[0], ClipView) else about(views, rng)


_JUDGES_ANSWERS = sorted(
    {answer for form in UNIFIED.pairs.values() for answer in form.answers}
    | {answer for scale in SCALES.values() for answer in scale.answers}
)


def _about_answers(view: Any, rng: random.Random, guess: bool) -> Exchange:
    """About one or two answers to a question, which are right or wrong in places."""
    clip = isinstance(view, ClipView)
    question = (draw_clip_question if clip else draw_question)(view.scene, rng, rng.random() < 0.4)
    write: Callable[..., Answer] = write_clip_answer if clip else write_answer
    two = rng.random() < 0.6
    answers = [
        write(question, view.scene, rng, rng.choices((0, 1, 2, 3), (0.4, 0.3, 0.2, 0.1))[0], rng.random() < 0.25)
        for _ in range(1 + two)
    ]
    if guess:
        task = "video_understanding" if clip else "image_understanding"
        form = UNIFIED.form(task, "pair") if two else UNIFIED.form(task, "point", rng.choice(("1-5", "0-100")))
        return _by_chance(form, question, rng, [answer.text for answer in answers])
    return about_two_answers(question, answers, rng) if two else about_one_answer(question, answers[0], rng)


def _guess(views: Any, rng: random.Random) -> Exchange:
    """What the judge is asked about pictures and clips, with an answer by chance."""
    clips, scene = isinstance(views[0], ClipView), rng.choice(views).scene
    near = misread_often if clips else caption_near
    task = "video_generation" if clips else "image_generation"
    if len(views) == 2:
        form = UNIFIED.form(task, "pair")
    else:
        dimension = rng.choice((OVERALL, *DIMENSIONS)) if clips else OVERALL
        form = UNIFIED.form(task, "point", rng.choice(("1-4", "1-5", "1-10", "bad-normal-good")), dimension)
    return _by_chance(form, near(scene, rng, rng.randrange(4)).caption(), rng)


def _by_chance(form: Form, prompt: str, rng: random.Random, texts: Sequence[str] = ()) -> Exchange:
    """The words of a form, whose pictures and clips stand before all questions already."""
    lead, *asking = [part["text"] for part in form.parts(prompt, (), texts) if part["type"] == "text"]
    words = [lead, *asking] if texts else [(asking or [lead])[-1]]
    return Exchange("".join(words), rng.choice(list(form.answers)))


def chat(lesson: Lesson) -> list[dict[str, Any]]:
    """The media and questions as one conversation."""
    slot, noun = ("video", "Video") if lesson.clips else ("image", "Image")
    content: list[dict[str, str]] = [{"type": slot}]
    if len(lesson.shown) == 2:
        content = [part for n in (1, 2) for part in ({"type": "text", "text": f"{noun} {n}:"}, {"type": slot})]
    messages: list[dict[str, Any]] = []
    for exchange in lesson.exchanges:
        messages.append({"role": "user", "content": [*content, {"type": "text", "text": exchange.question}]})
        messages.append({"role": "assistant", "content": exchange.answer})
        content = []
    return messages


def facts(lesson: Lesson) -> list[list[int]]:
    """For each question the FACTS of each of two candidates; IGNORED where there is none."""
    rows = []
    for exchange in lesson.exchanges:
        known = [*exchange.known, {}, {}][:2]
        rows.append(
            [min(one[name], size - 1) if name in one else IGNORED for one in known for name, size in FACTS.items()]
        )
    return rows


def media_inputs(lessons: Sequence[Lesson]) -> dict[str, Any]:
    """What a processor is given beside the texts; all lessons show pictures, or all clips."""
    if not lessons[0].clips:
        return {"images": [list(lesson.shown) for lesson in lessons]}
    clips = [clip for lesson in lessons for clip in lesson.shown]
    about = [{"total_num_frames": len(c), "fps": FPS, "frames_indices": list(range(len(c)))} for c in clips]  # type: ignore[arg-type]
    return {"videos": clips, "video_metadata": about, "do_sample_frames": False}


@dataclass(frozen=True)
class Batch:
    """Lessons as tensors. B lessons of L tokens, Q questions each.

    positions: (3, B, L); mask: (B, 1, L, L), 0 where a token may look, else the least number; labels: (B, L), the
    answers and their end marks, IGNORED elsewhere; facts: (B, L, 2 * len(FACTS)) at every label, IGNORED elsewhere.
    """

    inputs: Any
    positions: torch.Tensor
    mask: torch.Tensor
    labels: torch.Tensor
    facts: torch.Tensor


def collate(lessons: Sequence[Lesson], processor: Any, rope_index: Any) -> Batch:
    """Every question sees what is shown and itself alone, as if it were the only one, and stands where it then would.

    rope_index: the model's `get_rope_index`.
    """
    texts = [
        "<|im_start|>user\n" + "".join(text.removeprefix("<|im_start|>user\n") for text in _turns(lesson, processor))
        for lesson in lessons
    ]
    inputs = processor(text=texts, padding=True, return_tensors="pt", **media_inputs(lessons))
    ids = inputs["input_ids"]
    token = processor.tokenizer.convert_tokens_to_ids
    place = torch.arange(ids.shape[1]).expand_as(ids)
    ended = (ids == token("<|im_end|>")).cumsum(1)
    before = ended - (ids == token("<|im_end|>")).long()
    pictures_end = torch.where(ids == token("<|vision_end|>"), place, 0).amax(1, keepdim=True)
    block = torch.where(place > pictures_end, before // 2 + 1, 0)
    real = inputs["attention_mask"].bool()
    answering = real & (before % 2 == 1)
    # "<|im_end|>", a line's end and the assistant's lead belong to the question.
    lead = len(processor.tokenizer("\n<|im_start|>assistant\n", add_special_tokens=False).input_ids)
    since = place - torch.where((ids == token("<|im_end|>")) & (before % 2 == 0), place, 0).cummax(1).values
    labels = torch.where(answering & (since > lead), ids, IGNORED)
    allowed = (place[:, None] <= place[..., None]) & ((block[:, None] == 0) | (block[:, None] == block[..., None]))
    allowed &= real[:, None]
    mask = torch.zeros(allowed.shape).masked_fill(~allowed, torch.finfo(torch.float32).min)[:, None]
    positions, _ = rope_index(
        ids,
        inputs["mm_token_type_ids"],
        inputs.get("image_grid_thw"),
        inputs.get("video_grid_thw"),
        inputs.get("second_per_grid_ts"),
        inputs["attention_mask"],
    )
    first = torch.full((len(lessons), int(block.max()) + 1), ids.shape[1]).scatter_reduce(1, block, place, "amin")
    moved = (first.gather(1, block) - (pictures_end + 1)).clamp(min=0)
    known = torch.tensor([[[IGNORED] * 2 * len(FACTS), *facts(lesson)] for lesson in lessons])
    at = known.gather(1, block.clamp(max=known.shape[1] - 1)[..., None].expand(-1, -1, known.shape[2]))
    return Batch(inputs, positions - moved, mask, labels, torch.where((labels == IGNORED)[..., None], IGNORED, at))


def _turns(lesson: Lesson, processor: Any) -> list[str]:
    messages = chat(lesson)
    return [
        processor.apply_chat_template(messages[i : i + 2], tokenize=False).removesuffix("\n")
        for i in range(0, len(messages), 2)
    ]
