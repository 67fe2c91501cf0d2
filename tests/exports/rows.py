"""Folders of pairs and preferences, as stages write them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from helpers import candidate, clip, picture, prompt_row

from urm_ray import schema, store
from urm_ray.media import encode_image


def _side(task: str, index: int, number: int) -> dict[str, Any]:
    if task.endswith("understanding"):
        return candidate(index, media=None, text=f"{'right' if index == 0 else 'wrong'} answer {number}, “ä”")
    shade = 20 * number + 100 * index
    return candidate(
        index, media=clip([shade, shade + 5]) if task.startswith("video") else encode_image(picture(shade))
    )


def sifted(task: str, number: int, **changes: Any) -> dict[str, Any]:
    """A `schema.SIFTED_SET` row; the shade of what is asked about is its number."""
    context: list[dict[str, Any]] = []
    if task.endswith("understanding"):
        context = [
            clip([number, number + 1, number + 2]) if task.startswith("video") else encode_image(picture(number))
        ]
    row = dict.fromkeys(schema.SIFTED_SET.names) | prompt_row(number, task=task, context=context)
    return row | {
        "pair_id": f"{task}-{number}",
        "chosen": _side(task, 0, number),
        "rejected": _side(task, 1, number),
        **changes,
    }


def pairs_folder(
    folder: Path,
    counts: Mapping[str, int],
    prompts: Sequence[str] | None = None,
    chosen_media: Sequence[dict[str, Any] | None] | None = None,
) -> str:
    """Each task has so many pairs, and one that was dropped."""
    out = str(folder / "sifted")
    for unit, (task, count) in enumerate(counts.items()):
        rows = [sifted(task, n) for n in range(count)]
        for row, prompt in zip(rows, prompts or [], strict=False):
            row["prompt"] = prompt
        for row, media in zip(rows, chosen_media or [], strict=False):
            row["chosen"] |= {"media": media}
        rows.append(sifted(task, count, dropped="tie", chosen=None, rejected=None))
        store.write_table(store.join(out, f"unit-{unit:06d}.parquet"), schema.table_of(rows, schema.SIFTED_SET))
    return out


def preferences_folder(folder: Path, rows: list[dict[str, Any]]) -> str:
    out = str(folder / "preferences")
    store.write_table(store.join(out, "unit-000000.parquet"), schema.table_of(rows, schema.PREFERENCE))
    return out
