"""One's own labels in a csv (or tsv) file: a row a judgement, media as paths relative to its folder.

prompt, image_1, image_2, label             which of two pictures follows the prompt better
prompt, video_1, video_2, label             the same of clips; a folder of pictures is a clip of its frames
prompt, image or video, answer_1, answer_2, label      which of two answers about a picture or clip is better
prompt, image or video, score, scale        a score of a picture or clip
prompt, image or video, answer, score, scale           a score of an answer about a picture or clip

label is first, second or tie. scale is its two ends, as 1-5 or 0-100. Beside them there may be `dimension`, what of a
candidate is judged, `rationale`, why, and `id`, which names the row.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from urm_ray.judge.scale import SCALES, Scale
from urm_ray.schema import LABELS
from urm_ray.sources.draft import Draft, File, Media, MediaKind, pair, point
from urm_ray.sources.fields import FieldError, Record, drafts_of, number, text
from urm_ray.sources.reader import Unit
from urm_ray.sources.records import CsvRecords
from urm_ray.sources.registry import Rejected

_KINDS: tuple[MediaKind, ...] = ("image", "video")
_ENDS = re.compile(r"\s*(-?[0-9]+)\s*-\s*(-?[0-9]+)\s*")


class CsvLabels:
    """A pair of every row with a label, a point of every row with a score; cells that are empty count as not there.

    Put aside: rows with both or neither, with candidates of two kinds or in the wrong number, with the same candidate
    twice, with another label, or with a score whose scale is not said.
    """

    def __init__(self, path: str) -> None:
        self.records = CsvRecords(path, ["prompt"])

    def units(self, rows: int) -> Iterator[Unit]:
        return self.records.units(rows)

    def drafts(self, unit: Unit) -> Iterator[Draft | Rejected]:
        return drafts_of(self.records.read(unit), _draft)


def _draft(key: str, record: Record) -> Iterator[Draft]:
    row = {name: cell for name, cell in record.items() if cell and cell.strip()}
    key, prompt = row.get("id", key), text(row, "prompt")
    more = row.get("dimension"), row.get("rationale")
    if ("label" in row) == ("score" in row):
        raise FieldError("both a label and a score" if "label" in row else "neither a label nor a score")
    numbers = ("_1", "_2") if "label" in row else ("",)
    if "answer" + numbers[0] in row:
        candidates: list[Media | str] = [text(row, f"answer{n}") for n in numbers]
        context: list[Media] = [File(row[kind].strip(), kind) for kind in _KINDS if kind in row]
        if not context:
            raise FieldError("no image or video")
        task = "video_understanding" if "video" in row else "image_understanding"
    else:
        kinds = [kind for kind in _KINDS if kind + numbers[0] in row]
        if len(kinds) != 1:
            raise FieldError("candidates of two kinds" if kinds else "no candidates")
        candidates = [File(text(row, f"{kinds[0]}{n}"), kinds[0]) for n in numbers]
        context, task = [], "video_generation" if kinds[0] == "video" else "image_generation"
    if "score" in row:
        yield point("csv", key, task, prompt, candidates[0], number(row, "score"), _scale(row), context, *more)  # type: ignore[arg-type]
        return
    first, second = candidates
    label = text(row, "label").lower()
    if label not in LABELS:
        raise FieldError(f"label is not {', '.join(LABELS[:-1])} or {LABELS[-1]}", label[:80])
    if first == second:
        raise FieldError("the same candidate twice")
    yield pair("csv", key, task, prompt, (first, second), label, context, *more)  # type: ignore[arg-type]


def _scale(row: Record) -> dict[str, object]:
    name = text(row, "scale")
    if name in SCALES:
        return SCALES[name].row()
    ends = _ENDS.fullmatch(name)
    if ends is None or not int(ends[1]) < int(ends[2]):
        raise FieldError("scale is not its two ends, as 1-5", name[:80])
    return Scale(f"{int(ends[1])}-{int(ends[2])}", int(ends[1]), int(ends[2])).row()
