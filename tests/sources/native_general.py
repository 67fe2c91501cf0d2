"""Small data sets in the forms that tools share: LLaVA, LLaMA-Factory, TRL, a csv of paths, and our own schema.

Records with a number 90 or more are broken on purpose.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from helpers import pair_preference, point_preference
from sources.native import IMAGE, cut, grey, grey_clip, image, write, write_all, write_parquet

from urm_ray import schema, store

QUESTION = "Question: [what is it?]\nThe first response: [a cat]\nThe second response: [a dog]\nASSISTANT:\n"


def generated(noun: str, caption: str, count: int = 2) -> str:
    """As UnifiedReward asks about what was generated."""
    what = f"two generated {noun}s" if count == 2 else f"a generated {noun}"
    say = 'such as "Image 1 is better than Image 2."' if count == 2 else "from 1 to 5 after 'Final Score:'"
    return f"You are given a text caption and {what}. Assign {say}\nYour task is provided as follows:\n" + (
        f"Text Caption: [{caption}]"
    )


def turns(question: str, answer: str, media: int = 2, kind: str = "image") -> list[dict[str, str]]:
    return [
        {"from": "human", "value": f"<{kind}>\n" * media + question},
        {"from": "gpt", "value": answer},
    ]


def write_media(folder: Path) -> None:
    write_all(folder, {f"images/{n}.jpg": grey(n) for n in range(1, 9)})
    write_all(folder, {f"videos/{n}.mp4": grey_clip(n) for n in range(1, 4)})
    write(folder / "images/cut.jpg", cut(1))


LLAVA: list[tuple[dict[str, Any], str]] = [
    (
        {"conversations": turns(generated("image", "a [red] cat"), "Image 2 is better than Image 1."), "image": [1, 2]},
        "pair",
    ),
    ({"conversations": turns(generated("image", "a tie"), "Both images are equally good."), "images": [3, 4]}, "pair"),
    (
        {
            "conversations": turns(
                generated("image", "a dog", 1), "dog (animal): 1\nred (color): 0\nFinal Score: 3.67", 1
            ),
            "image": 5,
        },
        "point",
    ),
    (
        {
            "conversations": turns(
                generated("image", "three", 1), "Alignment Score (1-5): 4.5\nStyle Score (1-5): 2", 1
            ),
            "image": 6,
        },
        "two points",
    ),
    (
        {
            "conversations": turns(generated("video", "clips"), "Video 1 is better than Video 2.", 2, "video"),
            "videos": [1, 2],
        },
        "pair",
    ),
    (
        {
            "conversations": turns(generated("video", "frames"), "It is red. Video 2 is better.", 1),
            "images": [1, 2, 3, 4],
        },
        "pair of frames",
    ),
    (
        {"conversations": turns(QUESTION, "The cat is right. The better response: [first]", 1), "image": 7},
        "answers",
    ),
    ({"conversations": turns(QUESTION, "Answer 2 is better.", 1, "video"), "video": 3}, "answers"),
]
"""Records with numbers of pictures and clips in place of paths."""

BROKEN: list[tuple[dict[str, Any], str]] = [
    ({"conversations": turns("What is it?", "A cat.", 1), "image": 1}, "unknown form of question"),
    ({"conversations": turns(QUESTION, "I cannot tell.", 1), "image": 1}, "no verdict"),
    ({"conversations": turns(QUESTION, "The better response: [first]", 0)}, "no picture or clip"),
    ({"conversations": turns(QUESTION, "", 1), "image": 1}, "empty turn in conversations"),
    ({"conversations": turns(QUESTION, "x")[:1], "image": 1}, "not one question and one answer"),
    ({"conversations": "text", "image": 1}, "no turns in conversations"),
    ({"image": 1}, "no conversations"),
    (
        {"conversations": turns(generated("image", "x"), "Image 1 is better."), "image": 1},
        "media do not fit the question",
    ),
    (
        {"conversations": turns(generated("image", "x"), "Image 1 is better."), "image": [2, 2]},
        "the same candidate twice",
    ),
    (
        {"conversations": turns(generated("image", "x"), "Image 1 is better. No, Image 2 is better."), "image": [1, 2]},
        "no verdict",
    ),
    ({"conversations": turns(generated("image", " ", 1), "Final Score: 3", 1), "image": 1}, "empty caption"),
    ({"conversations": turns(generated("image", "x", 1), "Final Score: 9", 1), "image": 1}, "no verdict"),
    (
        {"conversations": turns(generated("image", "x", 1).replace("from 1 to 5", "a number"), "Final Score: 3", 1)}
        | {"image": 1},
        "no scale",
    ),
    (
        {
            "conversations": turns(
                "From 0 to 9. " + generated("image", "x", 1).replace("from", "or from"), "Final Score: 3"
            )
        }
        | {"image": 1},
        "several scales",
    ),
    (
        {"conversations": turns(generated("video", "x"), "Video 1 is better.", 3), "images": [1, 2, 3]},
        "media do not fit the question",
    ),
    ({"conversations": turns(generated("image", "x", 1), "Final Score: 3", 1), "image": 99}, "missing picture"),
    ({"conversations": turns(generated("image", "x", 1), "Final Score: 3", 1), "image": "cut"}, "undecodable picture"),
    (
        {"conversations": turns(generated("image", "x", 1), "Final Score: 3", 1), "image": {"bytes": None}},
        "image holds no picture",
    ),
]


def named(record: dict[str, Any]) -> dict[str, Any]:
    """A record with paths in place of numbers."""

    def path(kind: str, number: Any) -> Any:
        ending = "mp4" if kind.startswith("video") else "jpg"
        return number if number is None or isinstance(number, dict) else f"{kind.removesuffix('s')}s/{number}.{ending}"

    media = {kind: record[kind] for kind in ("image", "images", "video", "videos") if kind in record}
    paths = {
        kind: [path(kind, n) for n in found] if isinstance(found, list) else path(kind, found)
        for kind, found in media.items()
    }
    return record | paths


def write_llava(folder: Path, lines: bool = False) -> None:
    write_media(folder)
    records = [named(record) for record, _ in [*LLAVA, *BROKEN]]
    write(folder / "judge.json", "\n".join(map(json.dumps, records)) if lines else json.dumps(records, indent=1))


def user(text: str) -> dict[str, str]:
    return {"role": "user", "content": text}


def assistant(text: str) -> dict[str, str]:
    return {"role": "assistant", "content": text}


def write_csv(path: Path, rows: Sequence[dict[str, Any]]) -> None:
    names = list(dict.fromkeys(name for row in rows for name in row))
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, names)
        writer.writeheader()
        writer.writerows(rows)


def write_trl(path: Path, rows: Sequence[dict[str, Any]]) -> None:
    """JSON lines, or parquet with encoded pictures where the path says so."""
    if path.suffix == ".parquet":
        import pyarrow as pa

        message = pa.list_(pa.struct([("role", pa.string()), ("content", pa.string())]))
        columns = {"images": pa.list_(IMAGE), "prompt": message, "chosen": message, "rejected": message}
        encoded = [row | {"images": [image(grey(n)) for n in row["images"]]} for row in rows]
        write_parquet(path, encoded, columns)
    else:
        write(path, "\n".join(json.dumps(named(row)) for row in rows))


def write_preferences(path: Path, count: int = 6) -> list[dict[str, Any]]:
    """Our own schema: pairs and points, and one row with a picture that is none."""
    rows = [pair_preference(n, label=schema.LABELS[n % 3], prompt=f"prompt {n}") for n in range(count)]
    rows += [point_preference(n, 1 + n % 5, prompt=f"prompt {n}") for n in range(count)]
    store.write_table(str(path), schema.table_of(rows, schema.PREFERENCE))
    return rows
