"""Describes a moving scene with a known number of mistakes, in one of several ways of saying it."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace

from urm_ray.scenes.descriptions import Telling
from urm_ray.scenes.grammar import Thing
from urm_ray.scenes.motion import MOTIONS, MovingScene


@dataclass(frozen=True)
class Moving:
    """So many of a thing that move alike; `motion` is None where no word is said of it."""

    thing: Thing
    motion: str | None = None
    number: int = 1

    def text(self) -> str:
        return f"{self.thing.text(self.number)} {self.motion or ''}".rstrip()

    def sentence(self) -> str:
        verb = "is" if self.number == 1 else "are"
        named = self.thing.text(self.number)
        return f"{named.capitalize()} {verb} {said(self.motion)}." if self.motion else f"There {verb} {named}."


def said(motion: str) -> str:
    """A motion behind "is"."""
    return "not moving" if motion == "staying still" else motion


@dataclass
class ClipDescription(Telling):
    """What is said of a clip: things and their motions, which can also be missing.

    moves: things with the motions that they have, or that are spoken of elsewhere.
    """

    scene: MovingScene
    movers: list[Moving]
    moves: set[tuple[Thing, str | None]]

    @classmethod
    def of(cls, scene: MovingScene, spoken_of: Iterable[Moving] = ()) -> ClipDescription:
        """Without a mistake."""
        there = [Moving(mover.thing, mover.motion, number) for mover, number in Counter(scene.movers).items()]
        known = {(moving.thing, moving.motion) for moving in (*there, *spoken_of)}
        return cls(scene, there, known, taken={thing for thing, _ in known})

    def leave_out(self, rng: random.Random) -> None:
        """Leaves out how something moves, or a thing with its motion where there is another."""
        place = rng.randrange(len(self.movers))
        moving = self.movers[place]
        if len(self.movers) == moving.number == 1 or rng.random() < 0.5:
            self.movers[place] = replace(moving, motion=None)
            self.missing += moving.number
            self.remarks.append(f"no word of the motion of {moving.thing.text(moving.number)}")
        elif len(self.movers) > 1:
            del self.movers[place]
            self.missing += 2 * moving.number
            self.remarks.append(f"no word of {moving.text()}")
        else:
            self.movers[place] = replace(moving, number=1)
            self.touched.add(place)
            self.missing += 2 * (moving.number - 1)
            self.remarks.append(f"no word of {moving.thing.text(moving.number - 1)} more")

    def mistake(self, rng: random.Random) -> None:
        """A wrong colour, shape, number or motion, or a thing that is not there."""
        free = [place for place in range(len(self.movers)) if place not in self.touched]
        self.false += 1
        place = rng.choice(free) if free else None
        kinds = ["extra"]
        if place is not None:
            kinds += ["colour", "shape", *["motion"] * (3 if self.movers[place].motion else 0)]
            if len({m.motion for m in self.scene.movers if m.thing == self.movers[place].thing}) == 1:
                kinds.append("number")
        kind = rng.choice(kinds)
        if place is None or kind == "extra":
            extra = Moving(self.absent(rng), rng.choice(MOTIONS))
            self.touched.add(len(self.movers))
            self.movers.append(extra)
            self.remarks.append(f"there is no {extra.thing.colour} {extra.thing.shape}")
        else:
            self._change(place, kind, rng)

    def _change(self, place: int, kind: str, rng: random.Random) -> None:
        moving = self.movers[place]
        self.touched.add(place)
        self.remarks.append(f"the wrong {kind} for {moving.thing.text(moving.number)}")
        if kind == "number":
            changed = replace(moving, number=rng.choice([other for other in (2, 3) if other != moving.number]))
        elif kind == "motion":
            free = [motion for motion in MOTIONS if (moving.thing, motion) not in self.moves]
            changed = replace(moving, motion=rng.choice(free))
        else:
            changed = replace(moving, thing=self.absent(rng, moving.thing, kind))
        self.movers[place] = changed

    def text(self, rng: random.Random, sentence: bool = False) -> str:
        movers = list(self.movers)
        if rng.random() < 0.3:
            movers.reverse()
        # A motion behind two things would be that of both.
        movers.sort(key=lambda moving: moving.motion is None)
        listed = " and ".join(moving.text() for moving in movers)
        style = rng.random()
        if style > 0.75:
            return " ".join(moving.sentence() for moving in movers)
        return f"The video shows {listed}." if sentence or style > 0.5 else listed
