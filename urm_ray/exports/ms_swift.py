"""ms-swift: JSON lines with `messages`, `rejected_response`, `images` and `videos`, for `swift rlhf --rlhf_type dpo`.

As read in ms-swift 4.6: the last message is the chosen answer, and one `<image>` or `<video>` in the text stands for
each file.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from urm_ray.exports.files import JsonLines, MediaFiles
from urm_ray.exports.llama_factory import placed, refuse_slots


class MsSwiftPairs:
    """Preference pairs of answers. Paths are absolute, since ms-swift looks them up from where it is started."""

    def __init__(self, folder: Path, task: str, place: Path) -> None:
        """place: where the folder will lie once it is whole."""
        self.place, self.media = place, MediaFiles(folder)
        self._lines = JsonLines(folder / f"{task}.jsonl")

    def write(self, row: dict[str, Any]) -> None:
        """A kept `schema.SIFTED_SET` row. MediaError where a file is missing."""
        refuse_slots(row["prompt"], row["chosen"]["text"], row["rejected"]["text"])
        marks, columns = placed(row["context"], self.media)
        messages = [
            {"role": "user", "content": marks + row["prompt"]},
            {"role": "assistant", "content": row["chosen"]["text"]},
        ]
        paths = {name: [str(self.place / path) for path in found] for name, found in columns.items()}
        self._lines.write({"messages": messages, "rejected_response": row["rejected"]["text"]} | paths)

    def close(self) -> None:
        self._lines.close()
