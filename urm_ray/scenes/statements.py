"""Reads what a text says about a picture of the embedded world: things, numbers of them, relations, yes or no.

What it says about a clip is read with `urm_ray.scenes.clip_statements`, which adds motions.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Hashable, Iterable, Iterator
from dataclasses import dataclass, field, replace

from urm_ray.scenes.grammar import COLOURS, RELATIONS, SHAPES

_RELATIONS = (
    (
        r"(?:\b(?:to|on|at) )?(?:\bthe )?\b(left|right)(?: side)? of\b(?! the (?:image|picture|video|scene))",
        r" <\1 of> ",
    ),
    (r"\b(?:on top of|atop|above|over)\b", " <above> "),
    (r"\b(?:below|beneath|under|underneath)\b", " <below> "),
)
_TOKEN = re.compile(r"<[a-z ]+>|[a-z]+|\d+|[.;!?\n]|[,:]")
_NUMBERS = {"zero": 0, "one": 1, "single": 1, "two": 2, "pair": 2, "three": 3, "four": 4, "five": 5, "six": 6}
_COLOURS = {**{c: c for c in COLOURS}, "violet": "purple"} | {
    c: c for c in ("orange", "white", "pink", "brown", "grey", "gray", "cyan", "magenta")
}
_SINGULAR = {shape: shape for shape in SHAPES} | {"disc": "circle", "dot": "circle", "ball": "circle", "box": "square"}
_SHAPES = {
    **{word: (shape, False) for word, shape in _SINGULAR.items()},
    **{f"{word}s": (shape, True) for word, shape in _SINGULAR.items()},
    **{f"{word}es": (shape, True) for word, shape in _SINGULAR.items()},
}


def _words(text: str) -> frozenset[str]:
    return frozenset(re.findall(r"\w+", text))


_ANY = _words("shape shapes thing things object objects figure figures item items")
_ADJECTIVES = _words("small large big little bright dark light solid simple plain coloured colored very")
_DESCRIBED = _ANY | _ADJECTIVES | _COLOURS.keys() | _SHAPES.keys()
"""What an unknown word in front tells more about, where it would else be a thing itself."""
_COPULAS = _words("is are looks look appears appear seems")
_PLACES = _words("image picture photo drawing video clip frame scene background side half part total row group")
_VERBS = _words("show shows contain contains have has see do does be can")
_SMALL_WORDS = _words("and or with in on at to by but there here they which that this these those as both")
YES, NO = _words("yes yeah correct true"), _words("no nope incorrect false wrong")


@dataclass(frozen=True)
class Claim:
    """That at least `least` and, unless it is None, at most `most` things of a colour and shape are there.

    None stands for a colour or shape that is not said; one that is not of this world keeps its own word.
    """

    colour: str | None = None
    shape: str | None = None
    least: int = 1
    most: int | None = None


@dataclass(frozen=True)
class Statements:
    """What a text says. `totals` are numbers of all things together; `says` is its yes or no, if it begins with one."""

    claims: tuple[Claim, ...] = ()
    relations: tuple[tuple[Claim, str, Claim], ...] = ()
    totals: tuple[int, ...] = ()
    says: bool | None = None

    @property
    def nothing(self) -> bool:
        return not self.claims and not self.totals and self.says is None


@dataclass(eq=False)
class Mention:
    """A thing spoken of, the same one wherever words point back to it.

    `number` as it is said; `known` where the words point back ("the", "it").
    """

    colour: str | None = None
    shape: str | None = None
    number: int | None = None
    plural: bool = False
    known: bool = False
    denied: bool = False

    def claim(self) -> Claim:
        if self.denied:
            return Claim(self.colour, self.shape, 0, 0)
        if self.number is not None:
            return Claim(self.colour, self.shape, self.number, self.number)
        return Claim(self.colour, self.shape, 2 if self.plural and not self.known else 1)

    def may_be(self, other: Mention) -> bool:
        return self.colour in (None, other.colour) and self.shape in (None, other.shape) and not other.denied


@dataclass
class Reader:
    """Goes through a text word by word; `sentences` holds mentions and, between them, what stood in <>, as relations
    do."""

    sentences: list[list[Mention | str]] = field(default_factory=lambda: [[]])
    totals: list[int] = field(default_factory=list)
    next: Mention = field(default_factory=Mention)
    begun: bool = False
    """Whether words for the next mention have been read."""
    subject: Mention | None = None
    """What the next words are said of, behind a verb."""

    def read(self, words: list[str]) -> None:
        for word, after in itertools.pairwise([*words, "."]):
            if word in ".;!?\n":
                self.drop()
                self.sentences.append([])
                self.subject = None
            elif word[0] == "<":
                self.drop()
                self.sentences[-1].append(word[1:-1])
                self.subject = None
            elif word in ("not", "no", "without"):
                self.next.denied = True
            elif word in _NUMBERS or word.isdigit():
                self.next.number, self.begun = _NUMBERS.get(word, 0) if word.isalpha() else int(word[:6]), True
            elif word in ("a", "an", "the", "its"):
                self.begun, self.next.known = self.begun or word[0] == "a", word[0] != "a"
            elif word in _COLOURS:
                self.next.colour, self.begun = _COLOURS[word], True
                if after in _COPULAS | _SMALL_WORDS | _VERBS or after in ".;!?\n,:" or after[0] == "<":
                    self.mention()
            elif word in _SHAPES:
                self.next.shape, self.next.plural = _SHAPES[word]
                self.mention()
            elif word in _ANY:
                self.general(word)
            elif word in _COPULAS:
                self.verb()
            elif word == "it":
                self.pronoun()
            elif word in _PLACES:
                self.next, self.begun = Mention(), False
            elif word in _VERBS:
                denied = self.next.denied
                self.drop()
                self.next.denied = denied
            elif word in _SMALL_WORDS or word in ",:":
                self.drop()
            elif self.begun and word != "of" and word not in _ADJECTIVES and after not in _DESCRIBED:
                self.next.shape = word
                self.mention()
        self.drop()

    def drop(self) -> None:
        """Ends words that led to no thing; a number among them counts everything."""
        if self.next.number is not None and self.next.colour is None:
            self.totals.append(self.next.number)
        self.next, self.begun = Mention(), False

    def general(self, word: str) -> None:
        """Shapes, things: with a colour some of them, with a number alone all of them."""
        if self.next.colour is not None:
            self.next.plural = word.endswith("s")
            self.mention()
        else:
            self.drop()

    def pronoun(self) -> None:
        """It: what was last spoken of, or, as the second part of a relation, what was before its first."""
        here, earlier = self.sentences[-1], self.mentions()
        if len(here) > 1 and here[-1] in RELATIONS:
            earlier = [m for m in earlier if m is not here[-2]]
        if earlier:
            here.append(earlier[-1])

    def verb(self) -> None:
        """What comes next is said of what was last spoken of in the sentence, which a number may stand for."""
        if self.begun and self.next.number is not None and self.mentions():
            self.sentences[-1].append(replace(self.next, denied=False))
        self.subject = next(iter(self.mentions(self.sentences[-1])[-1:]), None)
        self.next, self.begun = Mention(denied=self.next.denied and not self.begun), False

    def mention(self) -> None:
        found, subject = self.next, self.subject
        self.next, self.begun = Mention(), False
        if subject is not None and (found.shape is None or (found.colour is None and subject.shape is None)):
            said = replace(
                subject, colour=found.colour or subject.colour, shape=found.shape or subject.shape, denied=found.denied
            )
            if found.denied or not subject.may_be(said):
                self.sentences[-1].append(said)
            else:
                subject.colour, subject.shape = said.colour, said.shape
            return
        if found.known:
            found = next((m for m in reversed(self.mentions()) if found.may_be(m)), found)
        self.sentences[-1].append(found)
        self.subject = None

    def mentions(self, items: list[Mention | str] | None = None) -> list[Mention]:
        everything = [i for s in self.sentences for i in s] if items is None else items
        return [item for item in everything if isinstance(item, Mention)]


def statements(text: str) -> Statements:
    """What a text says. Leniently: articles may be missing, things come in any order, a relation from either side."""
    reader, says = heard(cleaned(text))
    relations = [r for sentence in reader.sentences for r in _relations(sentence)]
    return Statements(tuple(claims(reader.sentences)), tuple(relations), tuple(reader.totals), says)


def cleaned(text: str) -> str:
    """In small letters, with short forms spelled out."""
    return text.lower().replace("\u2019", "'").replace("n't", " not").replace("'s", " is").replace("'re", " are")


def heard(clean: str) -> tuple[Reader, bool | None]:
    """What a cleaned text speaks of, and its yes or no, if it begins with one."""
    for pattern, name in _RELATIONS:
        clean = re.sub(pattern, name, clean)
    words = _TOKEN.findall(clean)
    says = None
    if words and (words[0] in YES or (words[0] in NO and (words[0] != "no" or _ends_a_no(words[1:])))):
        says = words.pop(0) in YES
    reader = Reader()
    reader.read(words)
    return reader, says


def _ends_a_no(rest: list[str]) -> bool:
    """Whether "no" answers, where "no red circle" denies a thing."""
    return not rest or not (rest[0] in _COLOURS or rest[0] in _SHAPES or rest[0] in _ANY)


def claims(sentences: Iterable[Iterable[Mention | str]]) -> list[Claim]:
    """One claim for each colour and shape; a mention that is pointed back to is the same one."""
    counted: set[int] = set()
    keyed = []
    for sentence in sentences:
        keyed.append(here := list[tuple[Hashable, Claim]]())
        for mention in sentence:
            if isinstance(mention, str) or id(mention) in counted or (mention.colour or mention.shape) is None:
                continue
            counted.add(id(mention))
            here.append(((mention.colour, mention.shape, mention.denied), mention.claim()))
    return list(merged(keyed).values())


def merged(sentences: Iterable[Iterable[tuple[Hashable, Claim]]]) -> dict[Hashable, Claim]:
    """One claim for each key. What a sentence repeats adds up; what another one repeats does not."""
    found: dict[Hashable, Claim] = {}
    for sentence in sentences:
        here: dict[Hashable, Claim] = {}
        for key, claim in sentence:
            if key in here and claim.most != 0:
                exact = here[key].most is not None and claim.most is not None
                least = here[key].least + claim.least
                claim = replace(claim, least=least, most=least if exact else None)
            here[key] = claim
        for key, claim in here.items():
            other = found.get(key)
            if other is None or (claim.least, claim.most is not None) > (other.least, other.most is not None):
                found[key] = claim
    return found


def _relations(sentence: list[Mention | str]) -> Iterator[tuple[Claim, str, Claim]]:
    """Each relation between its two ends, whether it is said as "A left of B" or as "left of B is A"."""
    for place, relation in enumerate(sentence):
        if isinstance(relation, Mention):
            continue
        before = [m for m in sentence[:place] if isinstance(m, Mention)]
        behind = [m for m in sentence[place + 1 :] if isinstance(m, Mention)]
        if not before:
            before, behind = behind[1:2], behind[:1]
        if before and behind and before[-1] is not behind[0]:
            yield (
                replace(before[-1].claim(), least=1, most=None),
                relation,
                replace(behind[0].claim(), least=1, most=None),
            )
