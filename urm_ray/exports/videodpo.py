"""VideoDPO's list as UnifiedReward's fork reads it: dpo_data.json with caption, chosen, rejected and files of clips."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from urm_ray.exports.files import MediaFiles


class VideoDpoPairs:
    """Preference pairs of clips; the list is written at the end, its clips as they come."""

    def __init__(self, folder: Path, task: str) -> None:
        self.folder, self.media = folder, MediaFiles(folder)
        self._rows: list[dict[str, Any]] = []

    def write(self, row: dict[str, Any]) -> None:
        """A kept `schema.SIFTED_SET` row. MediaError where a clip is missing."""
        clips = {side: self.media.save(row[side]["media"]) for side in ("chosen", "rejected")}
        self._rows.append({"id": row["pair_id"], "caption": row["prompt"], **clips})

    def close(self) -> None:
        (self.folder / "dpo_data.json").write_text(json.dumps(self._rows, indent=1, ensure_ascii=False), "utf-8")
