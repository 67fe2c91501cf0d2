"""Points of LiFT-HRA: hub names Fudan-FUXI/LiFT-HRA-10K and LiFT-HRA-20K, LiFT-HRA-data.json and the folder videos/.

A JSON list, a record an answer of a person to one of three questions about a clip (arXiv 2412.04814; the sibling file
VIDGEN/vidgen-data.json of the data set's code has the same form): {video, conversations: [{from: human, value:
"<video>\\n CAPTION QUESTION"}, {from: gpt, value: "Good. REASON"}]}. The grade is Good, Normal or Bad.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from urm_ray.judge.scale import SCALES
from urm_ray.sources.draft import Draft, File, point
from urm_ray.sources.fields import FieldError, Record, drafts_of, text
from urm_ray.sources.reader import Unit
from urm_ray.sources.records import JsonRecords
from urm_ray.sources.registry import Rejected
from urm_ray.sources.turns import one_turn

_SCALE = SCALES["bad-normal-good"]
_GRADES = dict(zip(_SCALE.words, _SCALE.values, strict=True))
_QUESTION = re.compile(r"Please identify the (semantic consistency|fidelity|motion) issues in this video\b")
_GRADE = re.compile(r"(\w+)(?:[.,:;!]\s*|\s*\Z)")


class LiFTHRA:
    """A point of every record, on the scale bad-normal-good, in the dimension its question asks about: semantic
    consistency, fidelity or motion. The caption is the prompt, the reason is the rationale.

    Put aside: records with another question, without a caption, and whose answer does not begin with a grade (the data
    set's own code takes those for Good).
    """

    def __init__(self, path: str) -> None:
        self.records = JsonRecords(path, "**/LiFT-HRA-data*.json")

    def units(self, rows: int) -> Iterator[Unit]:
        return self.records.units(rows)

    def drafts(self, unit: Unit) -> Iterator[Draft | Rejected]:
        return drafts_of(self.records.read(unit), _point)


def _point(key: str, record: Record) -> Iterator[Draft]:
    question, answer = one_turn(record)
    asked = list(_QUESTION.finditer(question))
    if len(asked) != 1:
        raise FieldError("unknown question", question[-80:])
    caption = question[: asked[0].start()].strip()
    if not caption:
        raise FieldError("empty caption")
    grade = _GRADE.match(answer)
    if grade is None or grade[1] not in _GRADES:
        raise FieldError("unknown grade", answer[:80])
    clip, reason = File(text(record, "video"), "video"), answer[grade.end() :].strip() or None
    score, dimension = _GRADES[grade[1]], asked[0][1]
    yield point("lift-hra", key, "video_generation", caption, clip, score, _SCALE.row(), (), dimension, reason)
