"""Describes a scene with a known number of mistakes, in one of several ways of saying it."""

from __future__ import annotations

import random
from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass, field

from urm_ray.scenes.grammar import COLOURS, OPPOSITE, RELATIONS, SHAPES, Scene, Thing

_IN_WORDS = {"left of": "to the left of", "right of": "to the right of"}


@dataclass(kw_only=True)
class Telling(ABC):
    """What is said of a scene, with what is wrong about it.

    taken: things that are there, or that are spoken of elsewhere, so that speaking of them is no mistake of its own.
    touched: places of things about which a mistake was made, or something left out. remarks: each mistake in words.
    false: statements that do not hold. missing: what is left out.
    """

    taken: set[Thing]
    touched: set[int] = field(default_factory=set)
    remarks: list[str] = field(default_factory=list)
    false: int = 0
    missing: int = 0

    @abstractmethod
    def leave_out(self, rng: random.Random) -> None:
        """Leaves something out, if there is more than one thing to tell. To be called before any mistake is made."""

    @abstractmethod
    def mistake(self, rng: random.Random) -> None:
        """Makes one more statement false."""

    @abstractmethod
    def text(self, rng: random.Random, sentence: bool = False) -> str:
        """As a caption, or in a sentence or two."""

    def absent(self, rng: random.Random, near: Thing | None = None, kind: str = "") -> Thing:
        """A thing that is neither there nor spoken of; it is `near` but for the attribute `kind`."""
        others = [
            Thing(colour, shape)
            for colour in (COLOURS if near is None or kind == "colour" else [near.colour])
            for shape in (SHAPES if near is None or kind == "shape" else [near.shape])
        ]
        free = [thing for thing in others if thing not in self.taken]
        found = rng.choice(free) if free else self.absent(rng)
        self.taken.add(found)
        return found


@dataclass
class Description(Telling):
    """What is said of a picture: so many of each thing, and a relation between the first two.

    Things and relations can be missing.
    """

    scene: Scene
    things: list[tuple[int, Thing]]
    relation: str | None

    @classmethod
    def of(cls, scene: Scene, spoken_of: Iterable[Thing] = ()) -> Description:
        """Without a mistake."""
        counts = [(number, thing) for thing, number in scene.counts.items()]
        return cls(scene, counts, scene.relation, taken={*scene.things, *spoken_of})

    def leave_out(self, rng: random.Random) -> None:
        """Leaves out where things are, or things."""
        place = rng.randrange(len(self.things))
        number, thing = self.things[place]
        if self.relation and rng.random() < 0.5:
            self.missing += 1
            self.remarks.append("no word of where things are")
        elif len(self.things) > 1:
            del self.things[place]
            self.missing += number + (self.relation is not None)
            self.remarks.append(f"no word of {thing.text(number)}")
        elif number > 1:
            self.things[place] = (1, thing)
            self.touched.add(place)
            self.missing += number - 1
            self.remarks.append(f"no word of {thing.text(number - 1)} more")
        else:
            return
        self.relation = None

    def mistake(self, rng: random.Random) -> None:
        """A wrong colour, shape, number or relation, or a thing that is not there."""
        free = [place for place in range(len(self.things)) if place not in self.touched]
        kinds = ["colour", "shape", "number"] * bool(free) + ["extra"]
        kinds += ["relation"] * (2 if self.relation and len(free) == len(self.things) else 0)
        kind = rng.choice(kinds)
        self.false += 1
        if kind == "relation":
            self.relation = rng.choice([relation for relation in RELATIONS if relation != self.relation])
            self.touched |= {0, 1}
            self.remarks.append("a wrong relation")
        elif kind == "extra":
            self.touched.add(len(self.things))
            self.things.append((1, self.absent(rng)))
            self.remarks.append(f"there is no {self.things[-1][1].colour} {self.things[-1][1].shape}")
        else:
            self._change(rng.choice(free), kind, rng)

    def _change(self, place: int, kind: str, rng: random.Random) -> None:
        number, thing = self.things[place]
        self.touched.add(place)
        self.remarks.append(f"the wrong {kind} for {thing.text(number)}")
        if kind == "number":
            number = rng.choice([other for other in (2, 3) if other != number])
        else:
            thing = self.absent(rng, thing, kind)
        self.things[place] = (number, thing)

    def text(self, rng: random.Random, sentence: bool = False) -> str:
        things, relation = list(self.things), self.relation
        if relation and rng.random() < 0.3:
            things[:2], relation = things[1::-1], OPPOSITE[relation]
        phrases = [thing.text(number) for number, thing in things]
        style = rng.random()
        if sentence or style > 0.5:
            relation = relation and _IN_WORDS.get(relation, relation)
        if relation and style > 0.75:
            first, second = (("the " + phrase.split(" ", 1)[1]) for phrase in phrases[:2])
            verbs = ["is" if number == 1 else "are" for number, _ in things]
            return f"There {verbs[0]} {' and '.join(phrases)}. {first.capitalize()} {verbs[0]} {relation} {second}."
        if relation:
            phrases[:2] = [f"{phrases[0]} {relation} {phrases[1]}"]
        return f"The image shows {' and '.join(phrases)}." if sentence or style > 0.5 else " and ".join(phrases)
