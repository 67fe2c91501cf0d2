"""Whether an answer about a clip is true: an independent scorer of answers that shares nothing with the judge."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from PIL import Image

from urm_ray.scenes.clip_oracle import follow
from urm_ray.scenes.clip_questions import ClipQuestion
from urm_ray.scenes.clip_statements import SOMEHOW, ClipStatements, Motion, clip_statements
from urm_ray.scenes.grammar import Thing
from urm_ray.scenes.motion import MOTIONS, MovingScene
from urm_ray.scenes.reading import Found
from urm_ray.scenes.statements import Claim
from urm_ray.scenes.truth import NOTHING, Facts, Question, complete, direct, expected, rated


@dataclass(frozen=True)
class ClipFacts:
    """What is in a clip: (thing, motion), where None is a motion that has no name."""

    moves: tuple[tuple[Thing, str | None], ...]

    @classmethod
    def seen(cls, frames: Sequence[Image.Image]) -> ClipFacts:
        """Read off the pixels."""
        return cls(tuple((track.thing, track.motion) for track in follow(frames)))

    @classmethod
    def known(cls, scene: MovingScene) -> ClipFacts:
        """Of a clip that shows this scene."""
        return cls(tuple((mover.thing, mover.motion) for mover in scene.movers))

    @property
    def things(self) -> Facts:
        return self._facts(self.moves)

    def doing(self, motion: str | None) -> Facts:
        """The things that move so."""
        if motion == SOMEHOW:
            return self._facts(move for move in self.moves if move[1] != "staying still")
        return self._facts(move for move in self.moves if move[1] == motion)

    @staticmethod
    def _facts(moves: Iterable[tuple[Thing, str | None]]) -> Facts:
        return Facts(tuple(Found(thing, 0.0, 0.0) for thing, _ in moves), placed=False)

    def holds(self, said: Motion) -> bool | None:
        """None where there is no such thing, so that the claim that there is one is the false one."""
        there = len(self.things.matching(said.claim))
        moving = len(self.doing(said.motion).matching(said.claim))
        if said.claim.most == 0:
            return moving == 0
        if not there:
            return None
        return moving == 0 if said.denied else moving >= min(there, said.claim.least)

    def shows(self, scene: MovingScene) -> bool:
        """Whether this is a clip of the captioned scene and of nothing else."""
        return Counter(self.moves) == Counter((mover.thing, mover.motion) for mover in scene.movers)


def clip_figures(question: ClipQuestion, facts: ClipFacts, answer: str) -> dict[str, float | None]:
    """How right an answer is; the figures are those of `truth.figures`."""
    said = _direct(question, clip_statements(answer))
    if said.nothing:
        return dict(NOTHING)
    held: list[bool | None] = [facts.things.holds(claim) for claim in said.things.claims]
    held += [total == len(facts.moves) for total in said.things.totals]
    held += [facts.holds(motion) for motion in said.motions]
    if said.things.says is not None:
        held.append(said.things.says == _expected(question, facts))
    judged = [right for right in held if right is not None]
    return rated(sum(judged) / len(judged) if judged else 0.0, _complete(question, facts, said))


def _about_things(question: ClipQuestion) -> Question:
    return Question(question.kind, question.colour, question.shape)


def _direct(question: ClipQuestion, said: ClipStatements) -> ClipStatements:
    """The statements with the answer proper spelled out: "left" to how something moves, "a red circle" to what does."""
    things = direct(_about_things(question), said.things)
    motions = tuple(replace(motion, claim=_filled(motion.claim, question)) for motion in said.motions)
    says = said.things.says
    if question.kind == "what":
        named = [m.claim for m in said.first if m.motion is None and m.claim.most != 0]
        motions = (*(Motion(claim, question.motion) for claim in named), *motions)
    elif question.kind == "moving":
        asked = (question.colour, question.shape, question.motion)
        about = [m for m in motions if (m.claim.colour, m.claim.shape, m.motion) == asked]
        says = says if says is not None or not about else not about[0].denied
        motions = tuple(m for m in motions if m not in about or m.denied == says or m.claim.most not in (None, 0))
    return ClipStatements(
        replace(things, says=says if question.kind in ("moving", "shown") else things.says), motions, said.first
    )


def _filled(claim: Claim, question: ClipQuestion) -> Claim:
    """What "it" or "the circle" is, where the question says it."""
    if question.kind in ("colour", "shape") or claim.colour is claim.shape is None:
        return replace(claim, colour=claim.colour or question.colour, shape=claim.shape or question.shape)
    return claim


def _expected(question: ClipQuestion, facts: ClipFacts) -> bool:
    """Whether yes is right."""
    if question.caption is not None:
        return facts.shows(question.caption)
    if question.kind == "moving":
        return facts.holds(Motion(Claim(question.colour, question.shape), question.motion)) is True
    return expected(_about_things(question), facts.things)


def _complete(question: ClipQuestion, facts: ClipFacts, said: ClipStatements) -> float:
    match question.kind:
        case "describe":
            told = [m for m in said.motions if m.motion in MOTIONS and not m.denied]
            moves = sum(facts.doing(motion).named(m.claim for m in told if m.motion == motion) for motion in MOTIONS)
            credit = facts.things.named(said.things.claims) + moves
            return credit / (2 * len(facts.moves)) if facts.moves else 0.0
        case "moving" | "shown":
            return float(said.things.says is not None and said.things.says == _expected(question, facts))
        case "how":
            return _how(question, facts, said)
        case "what":
            return _what(question, facts, said)
    return complete(_about_things(question), facts.things, said.things)


def _how(question: ClipQuestion, facts: ClipFacts, said: ClipStatements) -> float:
    """Whether the first motion that is said of the thing, or of one like it in what is said, is the right one."""
    thing = Claim(question.colour, question.shape)
    about = [m for m in said.motions if m.claim.colour in (None, thing.colour) and m.claim.shape in (None, thing.shape)]
    if not about or about[0].denied or about[0].motion not in MOTIONS:
        return 0.0
    return float(facts.holds(replace(about[0], claim=thing)) is True)


def _what(question: ClipQuestion, facts: ClipFacts, said: ClipStatements) -> float:
    """The share of what moves so that the first sentence names; 0 if it names anything else."""
    named = [m for m in said.first if m.motion in (None, question.motion) and not m.denied]
    if not all(facts.holds(replace(m, motion=question.motion)) for m in named):
        return 0.0
    wanted = facts.doing(question.motion)
    return wanted.named(m.claim for m in named) / len(wanted.found) if wanted.found else 0.0


class ClipTruth:
    """The truth as an independent scorer (`urm_ray.evaluation.scorer.Scorer`) of answers about one clip."""

    def figures(self, prompt: str, answer: str, context: Sequence[Sequence[Image.Image]]) -> dict[str, float | None]:
        return clip_figures(ClipQuestion.of(prompt), ClipFacts.seen(context[0]), answer)
