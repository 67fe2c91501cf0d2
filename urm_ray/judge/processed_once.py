"""Pictures and clips that stand in several questions are resized and cut into patches once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from urm_ray.chat import Chat, ChatProcessor

PARTS = ("image_processor", "video_processor")
_METADATA = "video_metadata"


class EachOnce:
    """An image or video processor that does what it is given several times once, and is as the processor otherwise."""

    def __init__(self, processor: Any) -> None:
        self.processor = processor

    def __getattr__(self, name: str) -> Any:
        return getattr(self.processor, name)

    def __call__(self, media: Any, **settings: Any) -> Any:
        """media: pictures, in lists by question or not, or clips as lists of frames. What is one object is one."""
        is_clips = _METADATA in settings
        by_question = not is_clips and any(isinstance(one, list) for one in media)
        flat = [one for some in media for one in some] if by_question else list(media)
        rates = [entry["fps"] for entry in settings[_METADATA]] if is_clips else [None] * len(flat)
        place: dict[Any, int] = {}
        which = [place.setdefault((id(one), rate), len(place)) for one, rate in zip(flat, rates, strict=True)]
        if len(place) == len(flat):
            return self.processor(media, **settings)
        chosen = [which.index(number) for number in range(len(place))]
        if is_clips:
            settings = settings | {_METADATA: [settings[_METADATA][n] for n in chosen]}
        made = self.processor([[flat[n]] if by_question else flat[n] for n in chosen], **settings)
        for name, value in _expanded(made, which, len(chosen)).items():
            made[name] = value
        return made


def _expanded(made: Mapping[str, Any], which: list[int], count: int) -> dict[str, Any]:
    """What is made of `count` pictures as if it had been made wherever one stands; ValueError in another layout."""
    grids = next((value for name, value in made.items() if name.endswith("_grid_thw")), None)
    found: dict[str, Any] = {}
    for name, value in made.items():
        if grids is not None and name.startswith("pixel_values"):
            parts = value.split(grids.prod(1).tolist())
            found[name] = torch.cat([parts[n] for n in which])
        elif len(value) != count:
            raise ValueError(f"{name} has {len(value)} rows for {count} pictures")
        else:
            found[name] = value[torch.tensor(which)] if isinstance(value, torch.Tensor) else [value[n] for n in which]
    return found


def process_once(chats: ChatProcessor, questions: Sequence[Chat]) -> None:
    """From now on the processor of these chats does each picture and clip of a call once, if that makes what it makes
    of them one by one; tried out on questions that share some."""
    processor, parts = chats.processor, {name: getattr(chats.processor, name, None) for name in PARTS}
    wanted = chats(questions)
    for name, part in parts.items():
        if part is not None:
            setattr(processor, name, EachOnce(part))
    try:
        same = _equal(chats(questions), wanted)
    except (ValueError, TypeError, RuntimeError, IndexError, KeyError, AttributeError):
        same = False
    if not same:
        for name, part in parts.items():
            setattr(processor, name, part)


def _equal(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    return one.keys() == other.keys() and all(
        torch.equal(value, other[name]) if isinstance(value, torch.Tensor) else value == other[name]
        for name, value in one.items()
    )
