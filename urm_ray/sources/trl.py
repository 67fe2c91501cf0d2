"""Preference data as TRL's `DPOTrainer` reads them: prompt, chosen and rejected, with `images`.

JSON, JSON lines or parquet. Each of the three is a text or a list of messages {role, content}, whose content is a text
or a list of parts {type: text or image}; a prompt that is missing is the messages that chosen and rejected begin with
(TRL 1.16, data_utils.extract_prompt). `images` (`image`, `videos`, `video`) holds encoded pictures or paths.
"""

from __future__ import annotations

from collections.abc import Iterator

from urm_ray.sources.chats import MEDIA, Turn, answer_of, answer_pair, media_of, question_of, records_of, turns_of
from urm_ray.sources.draft import Draft
from urm_ray.sources.fields import FieldError, Record, drafts_of, text, value
from urm_ray.sources.reader import Unit
from urm_ray.sources.registry import Rejected


class TRL:
    """A pair of answers of every record, chosen first, about its pictures or clips.

    Put aside: records without media, since a judge here looks at something; prompts of more than one question; pairs of
    one answer twice; texts alone whose prompt is missing, as nothing tells where it ends. What a system says before the
    question is left out, as are scores or margins, whose scale nothing tells.
    """

    def __init__(self, path: str) -> None:
        self.records = records_of(path, ["prompt", "chosen", "rejected", *MEDIA])

    def units(self, rows: int) -> Iterator[Unit]:
        return self.records.units(rows)

    def drafts(self, unit: Unit) -> Iterator[Draft | Rejected]:
        return drafts_of(self.records.read(unit), _pair)


def _pair(key: str, record: Record) -> Iterator[Draft]:
    if isinstance(value(record, "chosen"), str):
        question, chosen, rejected = (text(record, name) for name in ("prompt", "chosen", "rejected"))
    else:
        question, chosen, rejected = _of_messages(record)
    yield answer_pair("trl", key, question, chosen, rejected, media_of(record))


def _of_messages(record: Record) -> tuple[str, str, str]:
    chosen, rejected = (turns_of(value(record, name), name) for name in ("chosen", "rejected"))
    if isinstance(record.get("prompt"), list):
        prompt = turns_of(record["prompt"], "prompt")
    else:
        same = _shared(chosen, rejected)
        prompt, chosen, rejected = chosen[:same], chosen[same:], rejected[same:]
        if not prompt or not chosen or not rejected:
            raise FieldError("no prompt that chosen and rejected begin with")
    return question_of(prompt), answer_of(chosen, "chosen"), answer_of(rejected, "rejected")


def _shared(one: list[Turn], other: list[Turn]) -> int:
    """How many turns two chats begin with that are the same."""
    count = 0
    while count < min(len(one), len(other)) and one[count] == other[count]:
        count += 1
    return count
