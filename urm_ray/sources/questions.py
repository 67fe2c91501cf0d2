"""Questions about pictures and clips in chats of LLaVA's form, whatever is answered: prompts, and no preferences.

LLaVA-RLHF (hub names zhiqings/LLaVA-Human-Preference-10K and zhiqings/LLaVA-RLHF-Data) has them as JSON lists of {id,
image, conversations: [{from: human, value}, ...]}, the pictures being those of COCO's train2017 (public readers of the
files). Of a longer chat the first question is taken, which needs none of the others.
"""

from __future__ import annotations

from collections.abc import Iterator

from urm_ray.sources.chats import MEDIA, about, media_of, records_of, turns_of
from urm_ray.sources.draft import Draft
from urm_ray.sources.fields import FieldError, Record, drafts_of, value
from urm_ray.sources.reader import Unit
from urm_ray.sources.registry import Rejected
from urm_ray.sources.turns import without_places


class Questions:
    """Drafts without candidates, of which prompts are made (`pipeline.import_prompts`).

    Put aside: chats that do not begin with a question, and questions about no picture or clip.
    """

    def __init__(self, path: str) -> None:
        self.records = records_of(path, ["conversations", *MEDIA])

    def units(self, rows: int) -> Iterator[Unit]:
        return self.records.units(rows)

    def drafts(self, unit: Unit) -> Iterator[Draft | Rejected]:
        return drafts_of(self.records.read(unit), _question)


def _question(key: str, record: Record) -> Iterator[Draft]:
    turns = [t for t in turns_of(value(record, "conversations"), "conversations") if t.role != "system"]
    if not turns or turns[0].role != "user":
        raise FieldError("no question at the beginning")
    media = media_of(record)
    if not media:
        raise FieldError("no picture or clip")
    yield {
        "key": key,
        "task": about(media),
        "prompt": without_places(turns[0].text),
        "context": media,
        "kind": None,
        "dimension": None,
    }
