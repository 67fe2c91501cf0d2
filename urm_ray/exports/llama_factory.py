"""LLaMA-Factory: JSON lines of conversations, files beside them, and the dataset_info.json that names both.

As read in LLaMA-Factory 0.9.5: `formatting: sharegpt` with the tags of its `messages` data sets, one `<image>` or
`<video>` in the text for each file; preference data have `ranking`, `chosen` and `rejected`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from urm_ray.exports.files import JsonLines, MediaFiles
from urm_ray.judge.protocol import Protocol
from urm_ray.judge.target import SWAPPED, asked, target
from urm_ray.media import MediaError

_TAGS = {"role_tag": "role", "content_tag": "content", "user_tag": "user", "assistant_tag": "assistant"}
COLUMN = {"image": "images", "video": "videos"}


_SLOT = re.compile(r"<(?:image|video|audio)>")


def refuse_slots(*texts: str) -> None:
    """MediaError where a text itself spells the mark of a file, which would then stand for none."""
    if any(_SLOT.search(text) for text in texts):
        raise MediaError("a text spells the mark of a file")


def placed(media: Sequence[dict[str, Any]], files: MediaFiles) -> tuple[str, dict[str, list[str]]]:
    """Marks of media in the order in which they are shown, and their files by column."""
    columns: dict[str, list[str]] = {}
    for one in media:
        columns.setdefault(COLUMN[one["kind"]], []).append(files.save(one))
    return "".join(f"<{one['kind']}>" for one in media), columns


class _Dataset:
    def __init__(self, folder: Path, name: str) -> None:
        self.folder, self.name, self.media = folder, name, MediaFiles(folder)
        self._lines = JsonLines(folder / f"{name}.jsonl")
        self._columns: set[str] = set()

    def _write(self, row: dict[str, Any], columns: dict[str, list[str]]) -> None:
        self._columns |= columns.keys()
        self._lines.write(row | columns)

    def close(self) -> None:
        """Enters the data set into dataset_info.json, beside those that other exports put there."""
        self._lines.close()
        path = self.folder / "dataset_info.json"
        known = json.loads(path.read_text("utf-8")) if path.exists() else {}
        path.write_text(json.dumps(known | {self.name: self._info()}, indent=2), "utf-8")

    def _info(self) -> dict[str, Any]:
        columns = {"messages": "messages"} | {name: name for name in sorted(self._columns)}
        info = {"file_name": f"{self.name}.jsonl", "formatting": "sharegpt", "columns": columns, "tags": _TAGS}
        return info


class LlamaFactoryPairs(_Dataset):
    """Preference pairs of answers, for its `stage: dpo`."""

    def __init__(self, folder: Path, task: str) -> None:
        super().__init__(folder, f"urm_ray_{task}")

    def write(self, row: dict[str, Any]) -> None:
        """A kept `schema.SIFTED_SET` row. MediaError where a file is missing."""
        refuse_slots(row["prompt"], row["chosen"]["text"], row["rejected"]["text"])
        marks, columns = placed(row["context"], self.media)
        said = {side: {"role": "assistant", "content": row[side]["text"]} for side in ("chosen", "rejected")}
        self._write({"messages": [{"role": "user", "content": marks + row["prompt"]}], **said}, columns)

    def _info(self) -> dict[str, Any]:
        info = super()._info()
        return info | {"ranking": True, "columns": info["columns"] | {"chosen": "chosen", "rejected": "rejected"}}


class LlamaFactoryJudge(_Dataset):
    """Preferences as a judge learns them, for its `stage: sft`: questions of a protocol, pairs in both orders."""

    def __init__(self, folder: Path, task: str, protocol: Protocol) -> None:
        super().__init__(folder, f"urm_ray_judge_{task}")
        self.protocol = protocol

    def write(self, row: dict[str, Any]) -> None:
        """A `schema.PREFERENCE` row. MediaError where a file is missing."""
        refuse_slots(row["prompt"], *(candidate["text"] or "" for candidate in row["candidates"]))
        for swapped in (False, True) if row["kind"] == "pair" else (False,):
            self._one(row | {SWAPPED: swapped})

    def _one(self, row: dict[str, Any]) -> None:
        messages, media = asked(row, self.protocol)
        text = "".join(part.get("text") or f"<{part['type']}>" for part in messages[0]["content"])
        answer = {"role": "assistant", "content": target(row, self.protocol)}
        self._write({"messages": [{"role": "user", "content": text}, answer]}, placed(media, self.media)[1])
