"""Small copies of the data sets of generated pictures, each with broken records among the good ones."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pyarrow as pa
from sources.native import IMAGE, cut, grey, image, write, write_all, write_parquet, write_zip

HPD_COLUMNS = {
    "prompt": pa.string(),
    "image1": IMAGE,
    "image2": IMAGE,
    "votes_image1": pa.int64(),
    "votes_image2": pa.int64(),
    "model1": pa.string(),
    "model2": pa.string(),
    "detailed_results": pa.string(),
    "image1_path": pa.string(),
    "image2_path": pa.string(),
}


def hpd_row(prompt: str | None, votes: tuple[int | None, int | None], **changes: Any) -> dict[str, Any]:
    return {
        "prompt": prompt,
        "image1": image(grey(5), "155_0.jpg"),
        "image2": image(grey(9, "PNG"), "155_1.png"),
        "votes_image1": votes[0],
        "votes_image2": votes[1],
        "model1": "flux",
        "model2": "dalle-3",
        "detailed_results": json.dumps({"votes": [{"votedFor": "flux/155_0.jpg", "userDetails": {"country": "IN"}}]}),
        "image1_path": "flux/155_0.jpg",
        "image2_path": "dalle-3/155_0.jpg",
    } | changes


def write_hpd(folder: Path) -> None:
    first = [
        hpd_row("more for the first", (20, 6)),
        hpd_row("more for the second", (1, 25)),
        hpd_row("as many", (13, 13)),
        hpd_row("no votes", (0, 0)),
        hpd_row("votes below zero", (-3, 9)),
        hpd_row("no count", (None, 9)),
        hpd_row(" ", (20, 6)),
    ]
    second = [
        hpd_row("a webp file", (20, 6), image1=image(grey(7, "WEBP"))),
        hpd_row("no picture", (20, 6), image2=None),
        hpd_row("no bytes", (20, 6), image2=image(None)),
        hpd_row("a file that is not there", (20, 6), image2=image(None, "gone.jpg")),
        hpd_row("cut short", (20, 6), image1=image(cut(1))),
        hpd_row("no picture at all", (20, 6), image1=image(b"<html>404</html>")),
    ]
    write_parquet(folder / "data/train_0001-00000-of-00001.parquet", first, HPD_COLUMNS)
    write_parquet(folder / "data/train_0002-00000-of-00001.parquet", second, HPD_COLUMNS)


def write_open_image_preferences(folder: Path) -> None:
    columns = {"prompt": pa.string(), "chosen": IMAGE, "rejected": IMAGE, "category": pa.string()}
    rows: list[dict[str, Any]] = [
        {"prompt": " a tower ", "chosen": image(grey(3, "PNG")), "rejected": image(grey(8))},
        {"prompt": "", "chosen": image(grey(3)), "rejected": image(grey(8))},
        {"prompt": "a rejected one that is missing", "chosen": image(grey(3))},
        {"prompt": "a bridge", "chosen": image(grey(11)), "rejected": image(grey(2)), "category": "x"},
        {"prompt": "cut short", "chosen": image(grey(3)), "rejected": image(cut(2))},
    ]
    write_parquet(folder / "data/train-00000-of-00002.parquet", rows[:3], columns)
    write_parquet(folder / "data/train-00001-of-00002.parquet", rows[3:], columns)


def write_pick_a_pic(folder: Path) -> None:
    columns = {
        "are_different": pa.bool_(),
        "best_image_uid": pa.string(),
        "caption": pa.string(),
        "created_at": pa.timestamp("ns"),
        "has_label": pa.bool_(),
        "jpg_0": pa.binary(),
        "jpg_1": pa.binary(),
        "label_0": pa.float64(),
        "label_1": pa.float64(),
        "ranking_id": pa.int64(),
        "__index_level_0__": pa.int64(),
    }

    def row(caption: str, label: float | None, **changes: Any) -> dict[str, Any]:
        other = None if label is None else 1 - label
        good = {"are_different": True, "has_label": True, "jpg_0": grey(4), "jpg_1": grey(6), "ranking_id": 7}
        return {**good, "caption": caption, "label_0": label, "label_1": other, **changes}

    rows = [
        row("the first", 1.0),
        row("the second", 0.0),
        row("a tie", 0.5),
        row("nobody chose", 0.5, has_label=False),
        row("twice the same", 1.0, are_different=False),
        row("a label that is none", 0.7),
        row("no number", math.nan),
        row("no label", None),
        row("labels that do not fit", 1.0, label_1=1.0),
        row("no picture", 1.0, jpg_1=None),
        row("an empty picture", 1.0, jpg_1=b""),
        row("cut short", 0.0, jpg_0=cut(3)),
        row("\n", 1.0),
    ]
    write_parquet(folder / "data/train-00000-of-00001.parquet", rows, columns, group=5)
    write_parquet(folder / "data/test-00000-of-00001.parquet", [row("held out", 1.0)], columns)


def write_hpdv2(folder: Path) -> None:
    names = [f"{n:08}.jpg" for n in range(6)]
    write_all(folder / "train", {name: grey(n + 2) for n, name in enumerate(names)})
    write_all(folder / "test", {name: grey(n + 12) for n, name in enumerate(names)})
    write(folder / "train" / "00000009.jpg", cut(4))
    train = [
        {"human_preference": [1, 0], "prompt": "the first", "file_path": names[:2]},
        {"human_preference": [0, 1], "prompt": "the second", "image_path": [f"train/{name}" for name in names[2:4]]},
        {"human_preference": [0, 0], "prompt": "neither", "file_path": names[:2]},
        {"human_preference": [1, 1], "prompt": "both", "file_path": names[:2]},
        {"human_preference": [1], "prompt": "one label", "file_path": names[:2]},
        {"human_preference": ["yes", 0], "prompt": "words", "file_path": names[:2]},
        {"human_preference": [1, 0], "prompt": "missing", "file_path": [names[0], "99999999.jpg"]},
        {"human_preference": [1, 0], "prompt": "cut short", "file_path": [names[0], "00000009.jpg"]},
        {"human_preference": [1, 0], "prompt": "outside", "file_path": ["../../secret.jpg", names[1]]},
        {"human_preference": [1, 0], "prompt": "", "file_path": names[:2]},
        {"human_preference": [1, 0], "prompt": "names are no texts", "file_path": [1, 2]},
        {"prompt": "nothing said", "file_path": names[:2]},
        "not an object",
    ]
    test = [
        {"prompt": "ranked", "image_path": names[:3], "rank": [2, 1, 2], "raw_annotations": [{"rank": [2, 1, 3]}]},
        {"prompt": "a rank too few", "image_path": names[:3], "rank": [2, 1], "raw_annotations": []},
        {"prompt": "no number", "image_path": names[:2], "rank": [1, math.nan], "raw_annotations": []},
    ]
    write(folder / "train.json", json.dumps(train, indent=1))
    write(folder / "test.json", json.dumps(test))
    write(folder / "benchmark/anime.json", json.dumps(["a prompt and no record"]))


def evalmuse_record(prompt: Any, path: Any, scores: Any, **changes: Any) -> dict[str, Any]:
    return {
        "prompt_id": 1,
        "prompt": prompt,
        "img_path": path,
        "total_score": scores,
        "element_score": {"cat (animal)": [1, 1, 0], "two cats (counting)": [0, 1, 0]},
        "promt_meaningless": [0, 0, 0],
        "split_confidence": [1, 1, 1],
        "attribute_confidence": [1, 1, 1],
    } | changes


def write_evalmuse(folder: Path, zipped: bool = True) -> None:
    """As the hub ships it: records, prompts, and the pictures in a zip file that is cut into parts."""
    pictures = {f"images/sd/{n}.png": grey(n, "PNG") for n in range(2, 11)} | {"images/sd/cut.jpg": cut(5)}
    if zipped:
        write_zip(folder / "images.zip", pictures, parts=3)
    else:
        write_all(folder, pictures)
    records = [
        evalmuse_record("two cats", "sd/2.png", [3, 4, 4]),
        evalmuse_record("two cats", "sd/3.png", [5, 5, 4]),
        evalmuse_record("a dog", "sd/4.png", [2, 2, 2], element_score={}),
        evalmuse_record("two cats", "sd/5.png", [1, 2, 1]),
        evalmuse_record("two cats", "sd/6.png", [5, 4, 5]),
        evalmuse_record("equal", "sd/7.png", [3, 3, 3]),
        evalmuse_record("equal", "sd/8.png", [2, 3, 4]),
        evalmuse_record("two cats", "sd/9.png", [9, 9, 9]),
        evalmuse_record("two cats", "sd/9.png", [5, math.nan, 5]),
        evalmuse_record("two cats", "sd/9.png", []),
        evalmuse_record("two cats", "sd/9.png", "five"),
        evalmuse_record("two cats", "sd/9.png", [5, True]),
        evalmuse_record("", "sd/9.png", [3, 3, 3]),
        evalmuse_record("two cats", None, [5, 5, 5]),
        evalmuse_record("two cats", "sd/9.png", [5, 5, 5], element_score={"cat (animal)": []}),
        evalmuse_record("two cats", "sd/9.png", [5, 5, 5], element_score={"cat (animal)": [7]}),
        evalmuse_record("a gap", "sd/gone.png", [4, 4, 4]),
        evalmuse_record("a gap", "sd/10.png", [2, 2, 2]),
        evalmuse_record("cut short", "sd/cut.jpg", [2, 2, 2]),
    ]
    write(folder / "train_list.json", json.dumps(records, ensure_ascii=False))
    marks = {"cat (animal)": 0.5, "one (counting)": 0.33}
    means = evalmuse_record("one cat", "sd/2.png", 3.666667, element_score=marks)
    write(folder / "test.json", json.dumps([means, means | {"img_path": "sd/3.png", "total_score": 4}]))
    write(folder / "prompt_t2i.json", json.dumps([{"prompt_en": "two cats"}]))
