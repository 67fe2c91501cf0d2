"""Reads what a text says about a clip of the embedded world: what `statements` reads, and how things move."""

from __future__ import annotations

import re
from collections.abc import Hashable
from dataclasses import dataclass, replace

from urm_ray.scenes.grammar import COLOURS, RELATIONS, SHAPES
from urm_ray.scenes.statements import Claim, Mention, Statements, claims, cleaned, heard, merged

SOMEHOW = "moving"
"""The motion that is said where no direction is."""
_STILL = "staying still"
_VERBS = {
    "moving": ("move", "moves"),
    "going": ("go", "goes"),
    "traveling": ("travel", "travels"),
    "travelling": ("travel", "travels"),
    "drifting": ("drift", "drifts"),
    "sliding": ("slide", "slides"),
    "shifting": ("shift", "shifts"),
    "gliding": ("glide", "glides"),
    "floating": ("float", "floats"),
    "heading": ("head", "heads"),
    "rising": ("rise", "rises"),
    "climbing": ("climb", "climbs"),
    "falling": ("fall", "falls"),
    "sinking": ("sink", "sinks"),
    "descending": ("descend", "descends"),
}
_RISING, _FALLING = ("ris", "climb"), ("fall", "sink", "descend")
_RESTING = {"staying": ("stay", "stays"), "standing": ("stand", "stands"), "remaining": ("remain", "remains")}
_PLURALS = {plural for verbs in (_VERBS, _RESTING) for plural, _ in verbs.values()}
_WAYS = {"left": "left", "right": "right", "up": "up", "top": "up", "down": "down", "bottom": "down"}


def _any(words: dict[str, tuple[str, str]]) -> str:
    return "|".join(sorted({w for ing, finite in words.items() for w in (ing, *finite)}, key=len, reverse=True))


_WAY = (
    rf"(?:from (?:the )?(?:{'|'.join(_WAYS)}) )?(?:(?:to|towards?) )?(?:the )?"
    rf"(?P<way>{'|'.join(_WAYS)})(?:wards?)?\b(?! of\b(?! the (?:image|picture|video|scene|frame)))"
)
_STOPPED = rf"(?:still|stationary|motionless|static|in place|at rest|put)\b(?! (?:{_any(_VERBS)})\b)"
_MOTION = re.compile(
    r"(?:\b(?P<none>nothing) )?(?:\b(?P<lead>is|are|does|do) )?(?:(?P<all>both|all)\b ?)?(?:also )?(?P<not>not )?"
    rf"(?:(?:\b(?P<rest>{_any(_RESTING)}) )?(?:completely |perfectly )?\b(?P<still>{_STOPPED})"
    rf"|\b(?:still )?(?P<verb>{_any(_VERBS)})\b(?: (?:slowly|quickly|steadily|straight|across|away))*(?: {_WAY})?)"
)
_IN_FRONT = re.compile(
    rf"\b(moving|still|stationary|motionless|static) ((?:(?:{'|'.join(COLOURS)}) )?(?:{'|'.join(SHAPES)})\w*)"
)
_ALONE = re.compile(r"^\W*(?:(?:to )?the )?(left|right|up|down)(?:wards?)?(?=\s*(?:[.,;!]|$))")


@dataclass(frozen=True)
class Motion:
    """That what is named moves so, at least as many as it says; or, if it is denied, that none does.

    motion: one of `motion.MOTIONS`, or SOMEHOW; None where no word is said of it. A text that only says "it" names
    nothing.
    """

    claim: Claim
    motion: str | None
    denied: bool = False


@dataclass(frozen=True)
class ClipStatements:
    """What a text says. `first`: what its first sentence names, with its motion if one is said."""

    things: Statements
    motions: tuple[Motion, ...] = ()
    first: tuple[Motion, ...] = ()

    @property
    def nothing(self) -> bool:
        return self.things.nothing and not self.motions


@dataclass
class _Said:
    """A motion said of a mention, or none of that mention, or a motion of nothing named."""

    mention: Mention | None
    motion: str | None
    denied: bool = False

    def statement(self) -> Motion:
        claim = self.mention.claim() if self.mention else Claim()
        return Motion(claim, self.motion, self.denied or claim.most == 0)


def clip_statements(text: str) -> ClipStatements:
    """What a text says, as leniently as `statements`. Where things are says nothing of a clip and is not read."""
    clean = _IN_FRONT.sub(r"\2 \1", cleaned(text))
    clean = _MOTION.sub(_marked, _ALONE.sub(r" <moving \1> ", clean))
    reader, says = heard(clean)
    said = _attached(reader.sentences)
    denied = {id(s.mention) for sentence in said for s in sentence if s.mention and s.mention.denied and s.motion}
    things = [[item for item in sentence if id(item) not in denied] for sentence in reader.sentences]
    first = next((sentence for sentence in said if sentence), [])
    return ClipStatements(
        Statements(tuple(_apart(claims(things), said)), (), tuple(reader.totals), says),
        tuple(_motions(said)),
        tuple(s.statement() for s in first),
    )


def _marked(match: re.Match[str]) -> str:
    """A motion as one word in <>, with the verb that it is said with in front."""
    verb = match["verb"] or match["rest"]
    denied = bool(match["not"] or match["none"])
    if match["still"]:
        motion, denied = (SOMEHOW, False) if denied else (_STILL, False)
    elif match["way"] or verb.startswith((*_RISING, *_FALLING)):
        motion = f"moving {_WAYS[match['way']] if match['way'] else 'up' if verb.startswith(_RISING) else 'down'}"
    else:
        motion, denied = (_STILL, False) if denied else (SOMEHOW, False)
    plural = match["all"] or match["lead"] in ("are", "do") or (verb in _PLURALS and match["lead"] is None)
    finite = "" if not match["lead"] and (verb is None or verb.endswith("ing")) else " are" if plural else " is"
    return f"{finite} <{'all ' if plural else ''}{'not ' if denied else ''}{motion}> "


def _attached(sentences: list[list[Mention | str]]) -> list[list[_Said]]:
    """Each motion with what it is said of: what is named before it, and after another motion; of several the last,
    unless the words are for all of them. Where the sentence names nothing, it is said of what was named earlier."""
    found = []
    known: list[Mention] = []
    for sentence in sentences:
        found.append(here := list[_Said]())
        pending: list[Mention] = []
        for item in sentence:
            if isinstance(item, Mention):
                pending.append(item)
            elif item not in RELATIONS:
                every, denied = "all" in item.split(), "not" in item.split()
                motion = item.removeprefix("all ").removeprefix("not ")
                of = pending or known
                subjects: list[Mention | None] = [*(of if every else of[-1:])] or [None]
                here += [_Said(mention, None) for mention in pending if mention not in subjects]
                here += [_Said(mention, motion, denied) for mention in subjects]
                known += [mention for mention in pending if mention not in known]
                pending = []
        here += [_Said(mention, None) for mention in pending]
        known += [mention for mention in pending if mention not in known]
    return found


def _motions(said: list[list[_Said]]) -> list[Motion]:
    """One for each thing and motion, with numbers as in `claims`."""
    counted: set[tuple[int, str, bool]] = set()
    keyed = []
    for sentence in said:
        keyed.append(here := list[tuple[Hashable, Claim]]())
        for s in sentence:
            if s.motion is None or (s.mention and (id(s.mention), s.motion, s.denied) in counted):
                continue
            if s.mention:
                counted.add((id(s.mention), s.motion, s.denied))
            m = s.statement()
            here.append((replace(m, claim=replace(m.claim, least=1, most=None)), m.claim))
    return [replace(key, claim=claim) for key, claim in merged(keyed).items() if isinstance(key, Motion)]


def _apart(found: list[Claim], said: list[list[_Said]]) -> list[Claim]:
    """The claims, where things that are said to move in different ways are different things, in one sentence or two."""
    new = [s for sentence in said for s in sentence if s.mention and s.motion and not (s.mention.known or s.denied)]
    first = {id(s.mention): s for s in reversed(new)}
    once = [[s for s in sentence if s is first.get(id(s.mention))] for sentence in said]
    moving = [m for m in _motions(once) if m.claim.most != 0]
    together = merged([[((m.claim.colour, m.claim.shape), m.claim) for m in moving]])
    for place, claim in enumerate(found):
        several = together.get((claim.colour, claim.shape))
        if several and claim.most != 0 and several.least > claim.least:
            found[place] = several
    return found
