"""Pick-a-Pic's columns, which trainers of Diffusion-DPO read: two encoded pictures, a caption and who won.

As read in the scripts of DiffusionDPO (SalesforceAIResearch) and UnifiedReward: `label_0` is 1 where `jpg_0` won.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa

from urm_ray.exports.files import Parquet
from urm_ray.media import MediaError, decode_image

SCHEMA = pa.schema(
    [
        ("caption", pa.string()),
        ("jpg_0", pa.binary()),  # whatever encoding the picture has
        ("jpg_1", pa.binary()),
        ("image_0_uid", pa.string()),
        ("image_1_uid", pa.string()),
        ("best_image_uid", pa.string()),
        ("label_0", pa.float64()),
        ("label_1", pa.float64()),
        ("has_label", pa.bool_()),
        ("are_different", pa.bool_()),
        ("ranking_id", pa.string()),
    ]
)


class PickAPicPairs:
    """Preference pairs of pictures, the chosen one as `jpg_0`."""

    def __init__(self, folder: Path, task: str) -> None:
        self._file = Parquet(folder / f"{task}.parquet", SCHEMA)

    def write(self, row: dict[str, Any]) -> None:
        """A kept `schema.SIFTED_SET` row. MediaError where a picture is missing."""
        chosen, rejected = (row[side]["media"] for side in ("chosen", "rejected"))
        for media in (chosen, rejected):
            decode_image(media)
        if chosen["sha256"] == rejected["sha256"]:
            raise MediaError("chosen and rejected are one picture")
        self._file.write(
            {
                "caption": row["prompt"],
                "jpg_0": chosen["data"],
                "jpg_1": rejected["data"],
                "image_0_uid": chosen["sha256"],
                "image_1_uid": rejected["sha256"],
                "best_image_uid": chosen["sha256"],
                "label_0": 1.0,
                "label_1": 0.0,
                "has_label": True,
                "are_different": True,
                "ranking_id": row["pair_id"],
            }
        )

    def close(self) -> None:
        self._file.close()
