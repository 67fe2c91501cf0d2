"""What a reader of a published data set is, and which there are."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol

from urm_ray.sources.draft import Draft
from urm_ray.sources.registry import Rejected, SourceError, load_object

Unit = dict[str, Any]
"""A part of a data set that is read in one go. Only the reader that made it knows what is in it; JSON can hold it."""


class Reader(Protocol):
    """A data set in the form in which it is published: a folder as the hub's download leaves it, or one file.

    `Reader(path)` is made wherever records are read. SourceError where the path does not hold this data set.
    """

    def __init__(self, path: str) -> None: ...

    def units(self, rows: int) -> Iterator[Unit]:
        """Parts of about so many records, in the order of the files; no media are read."""

    def drafts(self, unit: Unit) -> Iterator[Draft | Rejected]:
        """The rows that the records of a unit give, and those records that give none, with the reason."""


READERS: dict[str, str] = {
    "csv": "urm_ray.sources.csv_labels:CsvLabels",
    "evalmuse": "urm_ray.sources.evalmuse:EvalMuse",
    "hpd": "urm_ray.sources.hpd:HPD",
    "hpdv2": "urm_ray.sources.hpdv2:HPDv2",
    "lift-hra": "urm_ray.sources.lift_hra:LiFTHRA",
    "llama-factory": "urm_ray.sources.llama_factory:LlamaFactory",
    "llava": "urm_ray.sources.llava:LLaVAConversations",
    "llava-critic": "urm_ray.sources.llava_critic:LLaVACritic",
    "open-image-preferences": "urm_ray.sources.open_image_preferences:OpenImagePreferences",
    "pick-a-pic": "urm_ray.sources.pick_a_pic:PickAPic",
    "preferences": "urm_ray.sources.preferences:Preferences",
    "sharegptvideo-dpo": "urm_ray.sources.sharegptvideo_dpo:ShareGPTVideoDPO",
    "trl": "urm_ray.sources.trl:TRL",
    "videodpo": "urm_ray.sources.videodpo:VideoDPO",
    "videofeedback": "urm_ray.sources.video_feedback:VideoFeedback",
}
"""`module:Class` of each reader by the name that people use."""


def reader(name: str, path: str) -> Reader:
    """A reader by its registered name or as `module:Class`."""
    if name not in READERS and ":" not in name:
        raise SourceError(f"no source {name!r}; there are {', '.join(sorted(READERS))}, or module:Class")
    return load_object(READERS.get(name, name))(path)
