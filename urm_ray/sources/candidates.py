"""Candidates that are there already, made by whatever model: prompts of a file that list `candidates`.

A candidate is the path of a picture or clip inside the file's folder, or the text of an answer, as the task has it. One
that cannot be read is a candidate with an error, and costs nobody else.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from urm_ray.config_training import Task
from urm_ray.sources.check import MAX_READ, text_problem
from urm_ray.sources.prompts import CANDIDATES, PromptFile
from urm_ray.sources.registry import SourceError

_KEYS = {"image_generation": "images", "video_generation": "videos"}


class CandidateFile:
    """`path` ends in .jsonl or .csv, as prompt files do; it may be the very file that a run's prompts come from."""

    def __init__(self, path: str, task: Task) -> None:
        self.file = PromptFile(path, 0, task, {})
        self.key = _KEYS.get(task)
        rows = [row for row in self.file.rows if isinstance(row, dict)]
        self.named: dict[str, list[str]] = {row["prompt_id"]: row[CANDIDATES] for row in rows}
        if not any(self.named.values()):
            raise SourceError(f"policies.{task}.candidates_path: no line of {path} lists candidates")

    def of(self, prompt_id: str) -> list[dict[str, Any]]:
        """The `schema.CANDIDATE` values of a prompt, in the order of the file; none where it lists none."""
        return [self._candidate(index, name) for index, name in enumerate(self.named.get(prompt_id, []))]

    def unread(self, prompt_id: str, reason: str) -> list[dict[str, Any]]:
        """As `of`, of a prompt whose candidates cannot be read for a reason."""
        return [_nothing(index) | {"error": reason} for index in range(len(self.named.get(prompt_id, [])))]

    def _candidate(self, index: int, name: str) -> dict[str, Any]:
        made = _nothing(index)
        if self.key is None:
            if bad := text_problem(name, "answer", MAX_READ):
                return made | {"error": "the answer is empty" if bad[0] == "empty answer" else ": ".join(bad)}
            return made | {"text": name.strip()}
        media = self.file.media(self.key, name)
        return made | ({"error": media} if isinstance(media, str) else {"media": media | {"uri": name}})


def _nothing(index: int) -> dict[str, Any]:
    return {"index": index, "seed": None, "media": None, "text": None, "error": None}


@lru_cache(1)
def candidate_file(path: str, task: Task) -> CandidateFile:
    """The same, read once a process."""
    return CandidateFile(path, task)
