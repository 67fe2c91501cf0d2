"""Chats as training data hold them: turns in either spelling, and the columns that name their pictures and clips."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from urm_ray.config_training import Task
from urm_ray.sources.draft import Draft, Media, MediaKind, pair
from urm_ray.sources.fields import FieldError, Record
from urm_ray.sources.folder import Folder
from urm_ray.sources.records import JsonRecords, ParquetRecords, encoded
from urm_ray.sources.turns import without_places

MEDIA: dict[str, MediaKind] = {"image": "image", "images": "image", "video": "video", "videos": "video"}
"""Columns that hold media: a path, an encoded picture or clip, or a list of them."""
ROLES = {"human": "user", "gpt": "assistant", "model": "assistant"}
_KEYS = (("role", "content"), ("from", "value"))
_PLACE = re.compile(r"<(?:image|video)>")


@dataclass(frozen=True)
class Turn:
    """role: user, assistant, system or what else the data say. text: `<image>` and `<video>` stand for media."""

    role: str
    text: str


def turns_of(
    value: Any, name: str, roles: Mapping[str, str] = ROLES, keys: Sequence[tuple[str, str]] = _KEYS
) -> list[Turn]:
    """Turns {role, content} or {from, value}, or one of them alone; a content is a text or parts {type, text}.

    roles: other names of user and assistant. keys: other names of the two fields. FieldError where it is no such list,
    or a turn is empty.
    """
    found = [value] if isinstance(value, dict) else value
    if not isinstance(found, list) or not found:
        raise FieldError(f"no turns in {name}", repr(value)[:80])
    turns = []
    for turn in found:
        spelled = next(
            (two for two in keys if isinstance(turn, dict) and all(turn.get(k) is not None for k in two)), None
        )
        if spelled is None or not isinstance(turn[spelled[0]], str):
            raise FieldError(f"{name} is no chat", repr(turn)[:80])
        role, text = turn[spelled[0]], _text(turn[spelled[1]], name)
        if not text.strip():
            raise FieldError(f"empty turn in {name}")
        turns.append(Turn(roles.get(role, role), text.strip()))
    return turns


def _text(content: Any, name: str) -> str:
    if isinstance(content, str):
        return content
    parts = content if isinstance(content, list) else [None]
    texts = []
    for part in parts:
        own = part if isinstance(part, dict) else {}
        if own.get("type") in ("image", "video"):
            texts.append(f"<{own['type']}>")
        elif own.get("type") == "text" and isinstance(own.get("text"), str):
            texts.append(own["text"])
        else:
            raise FieldError(f"{name} is no chat", repr(part)[:80])
    return "".join(texts)


def places(text: str) -> int:
    """How many media belong into a text."""
    return len(_PLACE.findall(text))


def question_of(turns: list[Turn]) -> str:
    """The one question of a prompt; what a system says before it is left out. FieldError for a longer chat."""
    asked = [turn for turn in turns if turn.role != "system"]
    if [turn.role for turn in asked] != ["user"]:
        raise FieldError("prompt is not one question", ", ".join(turn.role for turn in turns))
    return asked[0].text


def answer_of(turns: list[Turn], name: str) -> str:
    """The one answer of a completion; FieldError for a longer chat."""
    if [turn.role for turn in turns] != ["assistant"]:
        raise FieldError(f"{name} is not one answer", ", ".join(turn.role for turn in turns))
    return turns[0].text


def media_of(record: Record) -> list[Media]:
    """The media of a record, pictures first; FieldError for one that is neither bytes nor a path."""
    found: list[Media] = []
    for name, kind in MEDIA.items():
        value = record.get(name)
        for one in value if isinstance(value, list) else [] if value is None else [value]:
            media = encoded(one, kind)
            if media is None:
                raise FieldError(f"{name} holds no {'clip' if kind == 'video' else 'picture'}", repr(one)[:80])
            found.append(media)
    return found


def answer_pair(source: str, key: str, question: str, chosen: str, rejected: str, media: Sequence[Media]) -> Draft:
    """Two answers to a question about media, of which the first is preferred; FieldError where they do not make one."""
    if not media:
        raise FieldError("no picture or clip")
    if chosen.strip() == rejected.strip():
        raise FieldError("the same answer twice")
    return pair(source, key, about(media), without_places(question), (chosen, rejected), "first", media)


def about(media: Sequence[Media]) -> Task:
    """The task of a question about media."""
    return "video_understanding" if any(one.kind == "video" for one in media) else "image_understanding"


def records_of(path: str, columns: list[str]) -> JsonRecords | ParquetRecords:
    """The records of parquet files where there are any, else of JSON files; of parquet the columns that are there."""
    folder = Folder(path)
    name = folder.file or ""
    if name.endswith(".parquet") or (not name and any(Path(folder.root).glob("**/*.parquet"))):
        return ParquetRecords(path, [], optional=columns)
    return JsonRecords(path)
