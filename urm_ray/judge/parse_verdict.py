"""Verdicts on a pair in words."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache

from urm_ray.judge.said import Expected, Said, Slot, unparsed

_NOUNS: dict[Slot, str] = {"image": "image", "video": "video", "text": "(?:answer|response|assistant)"}
_KIND = r"(?:(?:edited|generated)\s+)?"
_ADVERB = r"(?:(?:slightly|somewhat|a\s+(?:bit|little)|much|far|clearly|significantly|considerably|overall)\s+){0,3}"
_FIRST = {"1", "a", "first"}
# "Image 1 is better in colour" compares less than was asked, "better than expected" something else.
_QUALIFIED = re.compile(
    r" ?\?|\s+than\b| (?:in|at|on|for|when|where|if|unless|until|with|by|only|regarding|from)\b"
    r"(?! (?:all|every|both|each|general|my|balance)\b)",
    re.IGNORECASE,
)
# What a statement about everything ends with, or goes on with: "better suited" is about something else.
_ENDS = re.compile(
    r"""["'\])\s]*(?:[.,;:!?\n|<\u2013\u2014-]|\Z|(?:because|as|since|overall|due|given|and|but|while|whereas|though|although|is)\b|"""
    r"""(?:in|at|on|for|by|from|with)\s+(?:all|every|both|each|general|my|balance)\b|"""
    r"""(?:the\s+)?(?:first|second|both|image|video|answer|response|assistant)\b)""",
    re.IGNORECASE,
)
# What takes a statement back behind it.
_WRONG = r"not\s+(?:correct|true|right)\b|(?:wrong|false|untrue|mistaken|incorrect|what)\b|an?\s+(?:mistake|error)\b"
_TAKEN_BACK = re.compile(
    rf"""["'\])\u201d]*(?:[ ,]+(?:(?:which|that|this|it)\s+)?(?:is|was|would\s+be|seems)\s*(?:{_WRONG})"""
    r"""|\s*[:\u2013\u2014-]+\s*(?:false|wrong|no|not\s+true|incorrect|untrue)\b(?!\s+\w)"""
    r"""|[.!;,\s\u2013\u2014-]*\b(?:(?:no|rather)(?=\s*[,.:!])|wait\b|actually\b|sorry\b|correction\b|scratch\s+that\b|"""
    r"""on\s+second\s+thoughts?\b|i\s+was\s+wrong\b|it\s+is\s+the\s+other\s+way\b))""",
    re.IGNORECASE,
)
# Other people's words, and what is only supposed; in the clause before a statement.
_HEDGED = re.compile(
    r"\b(?:(?<!\bI )would|may|might|could|maybe|perhaps|possibly|suppose|supposing|assume|assuming|imagine|nobody|"
    r"no\s+one|(?:some|others|many)\s+(?:people|judges?|say|think|find)|claim(?:s|ed)?|says|said|states?|stated|argue[sd]?|asserts?|"
    r"asserted|insists?|insisted|at\s+first)\b",
    re.IGNORECASE,
)
_DOUBT = re.compile(
    r"\b(?:whether|unclear|unsure|undecided|(?:not|n't)\s+(?:true|clear|certain|sure|possible|obvious|the\s+case)|"
    r"(?:cannot|can't|can\s+not)\s+(?:say|tell|decide|conclude)|"
    r"(?:not|n't)\s+(?:think|believe|say|agree|conclude|mean|see|find)|such\s+as|for\s+(?:example|instance)|e\.g)\b",
    re.IGNORECASE,
)
_OR_BEFORE = re.compile(r"\bor\W*$", re.IGNORECASE)
_OR_BEHIND = re.compile(r"[^\w\n]*\bor\b", re.IGNORECASE)
# Behind "better": a candidate whose number runs on ("than Image 2.0Image 2"), so that nobody knows which.
_RUNS_ON = re.compile(
    r"\s+than\s+(?:the\s+)?(?:(?:edited|generated)\s+)?(?:image|video|answer|response|assistant)\s*[#(\[]?\s*(?:[12]|[AB]\b)",
    re.IGNORECASE,
)
_OPEN = "one or the other"
_DENIED = re.compile(
    r"\b(?:not|never|neither|nor|either|if|unless|hardly|doubt|disagree|deny|false|untrue|incorrect|wrong)\b|n't\b",
    re.IGNORECASE,
)


@cache
def _patterns(slot: Slot) -> tuple[re.Pattern[str], ...]:
    """A verdict with `one` and perhaps `other`, the name behind a label, and a tie."""
    noun, which = _NOUNS[slot], "[12]|(?-i:[AB])"
    number = rf"\s*[#(\[]?\s*(?:{which})\b"

    def name(group: str) -> str:
        numbered = rf"(?:the\s+)?{_KIND}{noun}\s*[#(\[]?\s*(?P<{group}>{which})(?![\w.]*[0-9])\b[)\]]?"
        counted = rf"(?:the\s+)?(?P<{group}_th>first|second)\s+{_KIND}{noun}\b"
        return rf"(?:{numbered}|{counted}|\[(?P<{group}_in>first|second)\])"

    other = rf"(?:{name('other')}|the\s+(?:other|first|second)(?:\s+(?:one|{_KIND}{noun}))?\b)"
    better = (
        rf"{name('one')}\s+is\s+(?:the\s+)?{_ADVERB}(?:the\s+)?better\b(?:\s+(?:one|choice|option|{_KIND}{noun})\b(?!{number}))?"
        rf"(?:\s+(?:of|between|among)\s+the\s+two\b)?(?:[ ]overall\b)?(?:\s+than\s+(?P<than>{other})(?![\w.]*[0-9]))?"
    )
    bare = rf"(?P<bare>first|second|{which})"
    label = (
        rf"\b(?:better|preferred|winning)\s+(?:one|{_KIND}{noun})\s*(?:is\b\s*:?|:)\s*[\[\"'(]*\s*"
        rf"(?:{name('one')}|(?:the\s+)?{bare}(?:\s+one)?\s*[\]\"')]*(?=\s*(?:[,;!\n]|\.(?!\w)|\Z)))"
        r"|^[ \t]*\[(?P<alone>first|second)\][.!]?[ \t]*$"
    )
    tie = (
        rf"(?:both(?:\s+(?:of\s+them|(?:the\s+)?{_KIND}{noun}s?|candidates))?|they|(?:the\s+)?two\s+{_KIND}{noun}s|"
        rf"the\s+{_KIND}{noun}s|the\s+two|{noun}\s+(?:1|A)\s+and\s+{noun}\s+(?:2|B))\s+are\s+(?:both\s+)?equally\s+(?:good|bad)\b"
        r"|^[ \t]*equally\s+(?:good|bad)\b"
    )
    prefer = rf"\b(?:prefer|choose|pick|select|favou?r|go\s+with)\s+(?P<preferred>{name('one')})"
    wins = rf"{name('one')}\s+(?:wins\b|should\s+win\b|is\s+(?:the\s+)?(?:superior|preferred|preferable|winner)\b)"
    winner = rf"\bwinner\s+is\s+{name('one')}"
    return tuple(re.compile(p, re.IGNORECASE | re.MULTILINE) for p in (better, label, tie, prefer, wins, winner))


_ARENA = re.compile(r"\[\[\s*([AB])\s*(?:(>{1,2}|=)\s*([AB])(?:\s*=\s*(?:Good|Bad))?\s*)?\]\]")


def verdict(text: str, expected: Expected) -> Said | None:
    """Whichever every verdict of the text names; None where it holds none."""
    found = set(_verdicts(text, expected.slot))
    if found:
        found |= set(_preferences(text, expected.slot))
    if len(found) > 1 or _OPEN in found:
        return unparsed(f"it gives different verdicts: {', '.join(sorted(found))}")
    return Said(found.pop()) if found else None  # type: ignore[arg-type]


def _verdicts(text: str, slot: Slot) -> Iterator[str]:
    better, label, tie, *_ = _patterns(slot)
    for pattern in (better, label):
        for match in _all(pattern, text):
            names = match.groupdict()
            one = _place(names, "one") or _side(names.get("bare") or names.get("alone"))
            if one and not _of_itself(names, one):
                yield from _said(text, match, one)
    for match in _all(tie, text):
        yield from _said(text, match, "tie")
    for match in _ARENA.finditer(text):
        left, sign, right = match.groups()
        if sign is None or left != right:
            yield from _said(text, match, "tie" if sign == "=" else str(_side(left)))


def _preferences(text: str, slot: Slot) -> Iterator[str]:
    """Candidates that are preferred in other words. They are no verdicts, but can contradict one."""
    for pattern in _patterns(slot)[3:]:
        for match in _all(pattern, text):
            if one := _place(match.groupdict(), "one"):
                yield from _said(text, match, one)


def _all(pattern: re.Pattern[str], text: str) -> Iterator[re.Match[str]]:
    """Every match, those too that begin inside of another."""
    place = 0
    while match := pattern.search(text, place):
        yield match
        place = match.start() + 1


def _side(said: str | None) -> str | None:
    return None if said is None else "first" if said.lower() in _FIRST else "second"


def _place(names: dict[str, str | None], group: str) -> str | None:
    return _side(names.get(group) or names.get(f"{group}_th") or names.get(f"{group}_in"))


def _of_itself(names: dict[str, str | None], one: str) -> bool:
    """Whether a candidate is said to be better than itself."""
    than = names.get("than")
    counted = re.search(r"\b(first|second)\b", than, re.IGNORECASE) if than else None
    return one == (_place(names, "other") or (_side(counted[1]) if counted else None))


def _said(text: str, match: re.Match[str], meaning: str) -> Iterator[str]:
    """The meaning of a statement about everything; nothing where it is denied, doubted, asked or an example, or is
    about one side of it. One of several that it may be, or a candidate whose number runs on, leaves the verdict open,
    whatever else is said."""
    before = text[max(0, match.start() - 300) : match.start()]
    if _OR_BEFORE.search(before) or _OR_BEHIND.match(text, match.end()) or _RUNS_ON.match(text, match.end()):
        yield _OPEN
        return
    if _TAKEN_BACK.match(text, match.end()):
        yield _OPEN
        return
    sentence = re.split(r"[.!?\n](?:\s|$)|\n", before)[-1]
    clause = re.split(r"[,;:\"\u201c\u201d()]", sentence)[-1]
    if _QUALIFIED.match(text, match.end()) or not _ENDS.match(text, match.end()):
        return
    hedge = re.split(r"[,;:()]", sentence)[-1]
    if not (_DOUBT.search(sentence) or _DENIED.search(clause) or _HEDGED.search(hedge)):
        yield meaning
