"""Questions about clips with their true answers, as `questions` has them about pictures."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

from PIL import Image

from urm_ray.scenes.film import CLIP_FAULTS, film
from urm_ray.scenes.motion import MOTIONS, Mover, MovingScene, differences, misread_clip, sample_scene
from urm_ray.scenes.questions import COUNT_WORDS, QUALITY_WORDS, STRENGTH_WORDS, Exchange, amount, more, which, yes

CLIP_WORDS = {**QUALITY_WORDS, "flicker": "flickering", "jump": "jumping"}
PARTS = {"colours": "colours", "shapes": "shapes", "motions": "motions", "things": "total"}
"""What can be asked to be counted as wrong, with its name in `ClipDifferences`."""
ONE = {
    "describe": 4,
    "count": 1,
    "exists": 2,
    "moves": 4,
    "what moves": 2,
    "quality": 1,
    "strength": 2,
    "shown": 3,
    "wrong": 7,
}
"""Kinds of question about one clip with their shares."""
TWO = {
    "describe": 3,
    "which has": 2,
    "moves": 2,
    "quality": 1,
    "strength": 2,
    "stronger": 3,
    "shown": 2,
    "which shows": 3,
    "wrong": 7,
    "more": 6,
}


@dataclass(frozen=True)
class ClipView:
    """What is in a clip: the scene as drawn and its fault of quality, if any."""

    scene: MovingScene
    fault: str | None = None
    strength: int = 0


def draw_clip(rng: random.Random, scene: MovingScene | None = None) -> tuple[list[Image.Image], ClipView]:
    """Frames with what is in them; half of the clips have a fault."""
    scene = scene or sample_scene(rng)
    if rng.random() < 0.5:
        return film(scene, rng), ClipView(scene)
    fault, strength = rng.choice(CLIP_FAULTS), rng.choice((1, 2, 3))
    return film(scene, rng, fault, strength), ClipView(scene, fault, strength)


def misread_often(scene: MovingScene, rng: random.Random, changes: int) -> MovingScene:
    for _ in range(changes):
        scene = misread_clip(scene, rng)
    return scene


def about_one_clip(view: ClipView, rng: random.Random) -> Exchange:
    """A question about a single clip."""
    movers = view.scene.movers
    mover = rng.choice(movers)
    match rng.choices(list(ONE), list(ONE.values()))[0]:
        case "describe":
            return Exchange("Describe the video.", view.scene.caption())
        case "count":
            return Exchange("How many shapes are there?", COUNT_WORDS[len(movers)])
        case "exists":
            near = _near(view.scene, rng)
            return Exchange(f"Is there {near.thing.text()}?", yes(near.thing in view.scene.things))
        case "moves" if view.scene.things.count(mover.thing) == 1:
            return Exchange(f"How does the {mover.thing.text().removeprefix('a ')} move?", mover.motion)
        case "what moves":
            motion = rng.choice([mover.motion, rng.choice(MOTIONS)])
            found = (
                MovingScene(tuple(m for m in movers if m.motion == motion)).caption() if _any(movers, motion) else ""
            )
            return Exchange(f"What is {motion}?", found.replace(f" {motion}", "") or "nothing")
        case "quality":
            return Exchange(
                "Is the video sharp, blurred, noisy, broken, flickering or jumping?", CLIP_WORDS[view.fault]
            )
        case "strength":
            return Exchange("How strong is the fault?", STRENGTH_WORDS[view.strength])
        case "wrong":
            part, name = rng.choice(list(PARTS.items()))
            asked = misread_often(view.scene, rng, rng.randrange(4))
            return _captioned(asked, [view], f"How many {part} are wrong?", _amount(asked, view, name))
    asked = misread_often(view.scene, rng, rng.randrange(2))
    return _captioned(asked, [view], "Does the video show this?", yes(asked == view.scene))


def about_two_clips(first: ClipView, second: ClipView, rng: random.Random) -> Exchange:
    """A question about two clips, named Video 1 and Video 2."""
    both = [first, second]
    number, view = rng.choice(list(enumerate(both, start=1)))
    asked = misread_often(rng.choice(both).scene, rng, rng.randrange(4))
    match rng.choices(list(TWO), list(TWO.values()))[0]:
        case "describe":
            return Exchange(f"Describe video {number}.", view.scene.caption())
        case "which has":
            mover = rng.choice(view.scene.movers)
            return Exchange(f"Which video has {mover.text()}?", which(*(mover in clip.scene.movers for clip in both)))
        case "moves":
            mover = rng.choice(view.scene.movers)
            if view.scene.things.count(mover.thing) == 1:
                thing = mover.thing.text().removeprefix("a ")
                return Exchange(f"How does the {thing} move in video {number}?", mover.motion)
        case "quality":
            fault = rng.choice([*CLIP_FAULTS, *(clip.fault for clip in both if clip.fault)])
            return Exchange(f"Which video is {CLIP_WORDS[fault]}?", which(*(clip.fault == fault for clip in both)))
        case "strength":
            return Exchange(f"How strong is the fault of video {number}?", STRENGTH_WORDS[view.strength])
        case "stronger":
            word, sign = rng.choice((("stronger", 1), ("weaker", -1)))
            return Exchange(f"Which video has the {word} fault?", more(*(sign * clip.strength for clip in both)))
        case "shown":
            asked = misread_often(view.scene, rng, rng.randrange(2))
            return _captioned(asked, both, f"Does video {number} show this?", yes(asked == view.scene))
        case "which shows":
            asked = view.scene
            return _captioned(asked, both, "Which video shows this?", which(*(asked == clip.scene for clip in both)))
        case "wrong":
            part, name = rng.choice(list(PARTS.items()))
            answer = _amount(asked, view, name)
            return _captioned(asked, both, f"How many {part} are wrong in video {number}?", answer)
    word, sign = rng.choice((("more", 1), ("fewer", -1)))
    wrong = [sign * differences(asked, clip.scene).total for clip in both]
    return _captioned(asked, both, f"Which video has {word} things wrong?", more(*wrong))


def about_clips(views: Sequence[ClipView], rng: random.Random) -> Exchange:
    """A question about one clip or two."""
    return about_one_clip(views[0], rng) if len(views) == 1 else about_two_clips(views[0], views[1], rng)


def _near(scene: MovingScene, rng: random.Random) -> Mover:
    """A mover of the scene or, as often, of one that differs from it in one thing."""
    return rng.choice((scene if rng.random() < 0.15 else misread_clip(scene, rng)).movers)


def _any(movers: Sequence[Mover], motion: str) -> bool:
    return any(mover.motion == motion for mover in movers)


def _captioned(asked: MovingScene, views: Sequence[ClipView], question: str, answer: str) -> Exchange:
    wrong = [differences(asked, view.scene) for view in views]
    known = [{**vars(w), "total": w.total, "strength": view.strength} for w, view in zip(wrong, views, strict=True)]
    return Exchange(f"Caption: {asked.caption()}\n{question}", answer, tuple(known))


def _amount(asked: MovingScene, view: ClipView, name: str) -> str:
    return amount(getattr(differences(asked, view.scene), name))
