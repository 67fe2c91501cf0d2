"""A judge's training chat read back: what was judged about what, and the verdict.

A question is of one of these forms, else it is no judgement; nothing is guessed from the number of pictures alone.

pictures  "two images" or "two videos" that were "generated", or "a generated image" or video, and at the end
          Text Caption: [..]. The media are the candidates, in their order; those of clips may be frames, half of them
          each. A point needs one scale, said as "from 1 to 5", or beside the score: "Style Score (1-5): 4"
answers   one or two answers to a question about a picture or clip, as `critic_forms` takes them apart. Three pictures
          and more behind one place are the frames of a clip, one a second, as LLaVA's loader takes them

Verdicts are read by the parsers of `urm_ray.judge.parsers`, those of the forms bench and score by `critic_forms`. The
words are those of UnifiedReward's inference scripts, which ask as its training data do.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from urm_ray.config_training import Task
from urm_ray.judge.parsers import read
from urm_ray.judge.said import Expected, Slot
from urm_ray.judge.scale import SCALES, Scale
from urm_ray.sources.chats import about, places
from urm_ray.sources.critic_forms import asked, judged
from urm_ray.sources.draft import Draft, File, Frames, Label, Media, pair, point
from urm_ray.sources.fields import FieldError
from urm_ray.sources.turns import without_places

_TASK_BEGINS = "Your task is provided as follows:"
_GENERATED = re.compile(r"\bgenerated\b", re.IGNORECASE)
_TWO = re.compile(r"\btwo (?:[\w-]+ ){0,2}(image|video)s\b", re.IGNORECASE)
_ONE = re.compile(r"\b(?:a|an|one|the|this) (?:AI-)?generated (image|video)\b", re.IGNORECASE)
_CAPTION = re.compile(
    r"Text Caption:[ \t]*(?:\[(.+)\]|\*\*(.+)\*\*|([^\n\[*][^\n]*))\s*(?:ASSISTANT:\s*)?\Z", re.DOTALL
)
_RANGE = re.compile(r"\bfrom ([0-9]+) to ([0-9]+)\b|\bbetween ([0-9]+) and ([0-9]+)\b", re.IGNORECASE)
_OWN_RANGE = re.compile(r"^\W*([A-Za-z][\w -]*?) Score \(([0-9]+)-([0-9]+)\):", re.MULTILINE)
_FINAL = "Final Score"
_SENTENCE = re.compile(r"[^\n]*?(?:[.!?][\"')\]*]*(?=\s|$)|(?=\n|$))\s*")
_TAGS = re.compile(r"</?(?:think|answer)>")


@dataclass(frozen=True)
class _Shown:
    """What a question about generated media shows."""

    caption: str
    slot: Slot
    count: int
    instruction: str


def judgement(source: str, key: str, question: str, answer: str, media: Sequence[Media]) -> Iterator[Draft]:
    """The pair or the points that a question and its answer are about; FieldError where they are no judgement.

    The answer without its verdict is the rationale.
    """
    behind_one = places(question) == 1
    question = without_places(question)
    shown = _shown(question)
    if shown is None:
        paths = [one.path for one in media if isinstance(one, File) and one.kind == "image"]
        is_clip = behind_one and len(paths) == len(media) > 2
        yield _of_answers(source, key, question, answer, [Frames(tuple(paths))] if is_clip else media)
        return
    task: Task = "image_generation" if shown.slot == "image" else "video_generation"
    candidates = _candidates(shown, media)
    if shown.count == 2:
        label, why = _better(answer, shown.slot, question)
        first, second = candidates
        if first == second:
            raise FieldError("the same candidate twice")
        yield pair(source, key, task, shown.caption, (first, second), label, rationale=why)
        return
    for dimension, score, scale, why in _scores(answer, shown):
        of = shown.caption, candidates[0], score, scale.row()
        yield point(source, key, task, *of, dimension=dimension, rationale=why)


def _shown(question: str) -> _Shown | None:
    """Of a question about generated media what it shows; None for another one."""
    instruction, begins, asked_for = question.rpartition(_TASK_BEGINS)
    found = _CAPTION.search(asked_for)
    instruction = instruction if begins else asked_for[: found.start()] if found else ""
    two, one = (set(map(str.lower, pattern.findall(instruction))) for pattern in (_TWO, _ONE))
    if found is None or not _GENERATED.search(instruction) or not (two or one):
        return None
    nouns = two or one
    caption = next(filter(None, found.groups()), "").strip()
    if len(nouns) > 1 or question.count("Text Caption:") > 1:
        raise FieldError("question cannot be taken apart")
    if not caption:
        raise FieldError("empty caption")
    return _Shown(caption, "image" if "image" in nouns else "video", 2 if two else 1, instruction)


def _candidates(shown: _Shown, media: Sequence[Media]) -> list[Media]:
    """The pictures or clips that are judged; a clip may be given as the paths of its frames, one a second."""
    kinds = {one.kind for one in media}
    paths = [one.path for one in media if isinstance(one, File) and one.kind == "image"]
    if len(media) == shown.count and kinds == {shown.slot}:
        return list(media)
    each, rest = divmod(len(paths), shown.count)
    if shown.slot == "video" and len(paths) == len(media) and each > 1 and not rest:
        return [Frames(tuple(paths[i * each : (i + 1) * each])) for i in range(shown.count)]
    of = ", ".join(sorted(kinds)) or "nothing"
    raise FieldError("media do not fit the question", f"{len(media)} ({of}) for {shown.count} of kind {shown.slot}")


def _better(answer: str, slot: Slot, question: str) -> tuple[Label, str | None]:
    expected = Expected("verdict", slot)
    said = read(answer, expected, shown=[question])
    if said.outcome not in ("first", "second", "tie"):
        raise FieldError("no verdict", said.reason or answer[-80:])
    return said.outcome, _reasons(answer, [expected])


def _scores(answer: str, shown: _Shown) -> Iterator[tuple[str | None, float, Scale, str | None]]:
    """(dimension, score, scale, rationale) of each score of an answer."""
    own = [] if f"{_FINAL}:" in answer else _OWN_RANGE.findall(answer)
    ranges = {(int(a or c), int(b or d)) for a, b, c, d in _RANGE.findall(shown.instruction)}
    if not own and len(ranges) != 1:
        raise FieldError("no scale" if not ranges else "several scales", str(sorted(ranges)) if ranges else "")
    wanted = [(name, _scale(int(low), int(high))) for name, low, high in own] or [(None, _scale(*ranges.pop()))]
    expected = [Expected("scores", shown.slot, s, _FINAL, (name,) if name else (), wanted=name) for name, s in wanted]
    why = _reasons(answer, expected)
    for (name, scale), form in zip(wanted, expected, strict=True):
        said = read(answer, form)
        if said.outcome != "score" or said.score is None:
            raise FieldError("no verdict", said.reason or answer[-80:])
        yield name and name.lower(), said.score, scale, why


def _scale(low: int, high: int) -> Scale:
    name = f"{low}-{high}"
    if name not in SCALES and not low < high:
        raise FieldError("no scale", f"from {low} to {high}")
    return SCALES.get(name, Scale(name, low, high))


def _of_answers(source: str, key: str, question: str, answer: str, media: Sequence[Media]) -> Draft:
    """The pair or point of answers about media."""
    if not media:
        raise FieldError("no picture or clip")
    parts, task, why = asked(question), about(media), None
    if parts.form in ("bracket", "arena"):
        label, why = _better(answer, "text", question)
    else:
        found = judged(parts.form, answer)
        why = found.rationale
        if found.score is not None:
            text, scale = parts.answers[0], SCALES["0-100"].row()
            return point(source, key, task, parts.prompt, text, found.score, scale, media, rationale=why)
        assert found.label is not None
        label = found.label
    first, second = parts.answers
    if first == second:
        raise FieldError("the same answer twice")
    return pair(source, key, task, parts.prompt, (first, second), label, media, rationale=why)


def _reasons(answer: str, expected: Sequence[Expected]) -> str | None:
    """The answer without the sentences and lines that hold a verdict by themselves."""
    sentences = [match[0] for match in _SENTENCE.finditer(_TAGS.sub("\n", answer))]
    kept = [sentence for sentence in sentences if all(read(sentence, form).meaning is None for form in expected)]
    return "".join(kept).strip() or None
