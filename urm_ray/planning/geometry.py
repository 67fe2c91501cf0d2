"""How a VLM turns pictures and clips into tokens, and which tensors its encoder is given for them."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

import torch

from urm_ray.planning.architectures import VLM, Architecture
from urm_ray.planning.rehearsal import repeated

Size = tuple[int, int]
"""Height and width in pixels."""


@dataclass(frozen=True)
class Look:
    """A picture, or with several frames a clip in the processor's own slot for clips."""

    size: Size
    frames: int | None = None
    """Of a clip; None for a picture."""


Looks = tuple[Look, ...]
"""All that is shown in one chat."""


class Eyes(Protocol):
    """What a family does with what it is shown."""

    def tokens(self, looks: Looks) -> int:
        """Places in the language model's sequence that a chat's pictures and clips take."""

    def features(self, backbone: Any, chats: Sequence[Looks], dtype: torch.dtype) -> torch.Tensor:
        """The encoder's features (tokens, H) of a batch of chats, made on the meta device within `rehearse`."""


def eyes_of(architecture: Architecture) -> Eyes | None:
    """The geometry of a VLM; None for families that are not known here."""
    config = architecture.parts[VLM]
    kind, vision = config["model_type"], config.get("vision_config") or {}
    if kind in ("qwen2_vl", "qwen2_5_vl", "qwen3_vl"):
        return Grid(kind, vision, architecture.processor)
    if kind == "llava_onevision":
        return AnyRes(config, vision)
    return None


class Grid:
    """The Qwen-VL families: a picture is resized to whole cells of merge x merge patches, within limits of pixels."""

    def __init__(self, kind: str, vision: Mapping[str, Any], processor: Mapping[str, Any]) -> None:
        self.patch: int = vision.get("patch_size", 14)
        self.merge: int = vision.get("spatial_merge_size", 2)
        self.temporal: int = vision.get("temporal_patch_size", 2)
        size = processor.get("size") or {}
        least, most = (65536, 16777216) if kind == "qwen3_vl" else (3136, 12845056)
        self.least: int = size.get("shortest_edge") or processor.get("min_pixels") or least
        self.most: int = size.get("longest_edge") or processor.get("max_pixels") or most

    def grid(self, look: Look) -> tuple[int, int, int]:
        """Steps in time, rows and columns of patches."""
        from transformers.models.qwen2_vl.image_processing_qwen2_vl import smart_resize

        height, width = smart_resize(*look.size, self.patch * self.merge, self.least, self.most)
        return -(-(look.frames or 1) // self.temporal), height // self.patch, width // self.patch

    def tokens(self, looks: Looks) -> int:
        return sum(math.prod(self.grid(look)) for look in looks) // self.merge**2

    def features(self, backbone: Any, chats: Sequence[Looks], dtype: torch.dtype) -> torch.Tensor:
        def encoded(look: Look) -> torch.Tensor:
            grid = self.grid(look)
            pixels = torch.empty(math.prod(grid), 3 * self.temporal * self.patch**2, dtype=dtype, device="meta")
            encode = backbone.get_video_features if look.frames else backbone.get_image_features
            return torch.cat(list(encode(pixels, torch.tensor([grid])).pooler_output))

        counts = Counter(look for looks in chats for look in looks)
        return torch.cat([repeated(partial(encoded, look), times) for look, times in counts.items()])


class AnyRes:
    """LLaVA-OneVision: a picture that is alone is cut into squares beside a view of the whole, others are not."""

    def __init__(self, config: Mapping[str, Any], vision: Mapping[str, Any]) -> None:
        self.side: int = vision.get("image_size", 384)
        self.cells = self.side // vision.get("patch_size", 14)
        self.pinpoints: list[list[int]] = config["image_grid_pinpoints"]
        self.limit = int(str(config.get("vision_aspect_ratio", "anyres_max_9")).rpartition("_")[2])

    def tokens(self, looks: Looks) -> int:
        pictures = [look for look in looks if not look.frames]
        of_clips = sum(look.frames * math.ceil(self.cells / 2) ** 2 + 1 for look in looks if look.frames)
        if len(pictures) == 1:
            return of_clips + self.cells**2 + self._close(pictures[0].size)
        return of_clips + len(pictures) * (self.cells**2 + 1)

    def _close(self, size: Size) -> int:
        """Of the squares put together: without the cells that only pad, with a mark at the end of each row."""
        from transformers.image_processing_utils import select_best_resolution

        rows, columns = (self.cells * n // self.side for n in select_best_resolution(list(size), self.pinpoints))
        if size[1] / size[0] > columns / rows:
            rows -= 2 * ((rows - int(round(size[0] * columns / size[1], 7))) // 2)
        else:
            columns -= 2 * ((columns - int(round(size[1] * rows / size[0], 7))) // 2)
        ratio = math.sqrt(rows * columns / (self.limit * self.cells**2))
        if ratio > 1.1:
            rows, columns = int(rows // ratio), int(columns // ratio)
        return rows * columns + rows

    def features(self, backbone: Any, chats: Sequence[Looks], dtype: torch.dtype) -> torch.Tensor:
        def pixels(rows: int, each: int) -> torch.Tensor:
            return torch.empty(rows, each, 3, self.side, self.side, dtype=dtype, device="meta")

        def pictures(sizes: Sequence[Size]) -> torch.Tensor:
            squares = self._squares(sizes[0]) if len(sizes) == 1 else 1
            each = torch.tensor([len(sizes)])
            output = backbone.get_image_features(
                pixels(len(sizes), squares), torch.tensor(sizes), batch_num_images=each
            )
            return torch.cat(list(output.pooler_output))

        def clip(frames: int) -> torch.Tensor:
            return backbone.get_video_features(pixels(1, frames)).pooler_output.flatten(0, -2)

        shown = [[look.size for look in looks if not look.frames] for looks in chats]
        alone = Counter(sizes[0] for sizes in shown if len(sizes) == 1)
        others = sum(len(sizes) for sizes in shown if len(sizes) > 1)
        made = [repeated(partial(pictures, [size]), times) for size, times in alone.items()]
        made += [repeated(partial(pictures, [(self.side, self.side)] * 2), others / 2)] * bool(others)
        clips = Counter(look.frames for looks in chats for look in looks if look.frames)
        return torch.cat([*made, *(repeated(partial(clip, frames), times) for frames, times in clips.items())])

    def _squares(self, size: Size) -> int:
        from transformers.models.llava_onevision.modeling_llava_onevision import image_size_to_num_patches

        return int(image_size_to_num_patches(list(size), self.pinpoints, self.side))
