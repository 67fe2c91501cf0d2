"""TRL: a parquet file with `images`, `prompt`, `chosen` and `rejected`, as `DPOTrainer` reads vision preferences.

As read in TRL 1.16. It knows no clips: a clip becomes pictures, as it does for judges (paper IV-A).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from datasets import Features, Image, List, Value

from urm_ray.exports.files import Parquet, pictures_of

_MESSAGES = [{"role": Value("string"), "content": Value("string")}]
FEATURES = Features({"images": List(Image()), "prompt": _MESSAGES, "chosen": _MESSAGES, "rejected": _MESSAGES})


class TrlPairs:
    """Preference pairs of answers. frames: of each clip."""

    def __init__(self, folder: Path, task: str, frames: int) -> None:
        self.frames, self._file = frames, Parquet(folder / f"{task}.parquet", FEATURES.arrow_schema)

    def write(self, row: dict[str, Any]) -> None:
        """A kept `schema.SIFTED_SET` row. MediaError where a clip does not decode."""
        pictures = [picture for media in row["context"] for picture in pictures_of(media, self.frames)]
        said = {side: [{"role": "assistant", "content": row[side]["text"]}] for side in ("chosen", "rejected")}
        self._file.write(
            {
                "images": [{"bytes": picture["data"], "path": None} for picture in pictures],
                "prompt": [{"role": "user", "content": row["prompt"]}],
                **said,
            }
        )

    def close(self) -> None:
        self._file.close()
