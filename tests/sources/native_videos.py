"""Small copies of the data sets of clips, each with broken records among the good ones."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pyarrow as pa
from sources.native import TURNS, cut, grey, grey_clip, write, write_all, write_parquet, write_zip

from urm_ray.sources.fields import Record


def write_videodpo(folder: Path) -> None:
    """Clips 0 to 6, of shades 2 to 8: the first and the third are too short, the sixth has no path."""
    write_all(folder, {f"videos/{n}.mp4": grey_clip(n + 2) for n in range(7)})
    write(folder / "videos/cut.mp4", grey_clip(9)[:400])
    seconds = [0.5, 1.6, 0.9, 1.0, 2.0, 1.6, 1.6]
    clips: list[Any] = [
        {
            "basic": {"clip_path": f"videos/{n}.mp4", "clip_duration": length},
            "misc": {"frame_caption": [f"caption {n}"]},
        }
        for n, length in enumerate(seconds)
    ]
    clips[5]["basic"].pop("clip_path")
    clips += [
        "no object",
        {"basic": {"clip_path": "videos/gone.mp4", "clip_duration": 2}},
        {"basic": {"clip_path": "videos/cut.mp4", "clip_duration": 2}},
    ]
    write(folder / "metadata.json", json.dumps(clips, indent=2))
    pairs: list[Any] = [
        {"video1": 1, "video2": 3, "frame_caption": ["one against three", "and more"], "score": 0.7},
        {"video1": 6, "video2": 4, "frame_caption": "six against four"},
        {"video1": 0, "video2": 1, "frame_caption": ["too short"]},
        {"video1": 1, "video2": 2, "frame_caption": ["too short"]},
        {"video1": 1, "video2": 10, "frame_caption": ["out of range"]},
        {"video1": -1, "video2": 1, "frame_caption": ["below zero"]},
        {"video1": 1, "video2": 5, "frame_caption": ["no path"]},
        {"video1": 7, "video2": 1, "frame_caption": ["no object"]},
        {"video1": 1, "video2": 1, "frame_caption": ["itself"]},
        {"video1": 1.5, "video2": 3, "frame_caption": ["no whole number"]},
        {"video1": True, "video2": 3, "frame_caption": ["no number"]},
        {"video1": 1, "video2": 3, "frame_caption": []},
        {"video1": 1, "video2": 3, "frame_caption": [None]},
        {"video1": 1, "video2": 8, "frame_caption": ["missing file"]},
        {"video1": 1, "video2": 9, "frame_caption": ["cut short"]},
    ]
    write(folder / "pair.json", json.dumps(pairs))


def write_videodpo_fork(folder: Path) -> None:
    write_all(folder, {"videos/a.mp4": grey_clip(3), "videos/b.mp4": grey_clip(7)})
    pairs = [
        {"id": 0, "caption": "a against b", "chosen": "videos/a.mp4", "rejected": "videos/b.mp4", "score": 0.5},
        {"id": 0, "caption": "the same number", "chosen": "videos/b.mp4", "rejected": "videos/a.mp4"},
        {"id": 2, "caption": "itself", "chosen": "videos/a.mp4", "rejected": "videos/a.mp4"},
        {"id": 3, "caption": "", "chosen": "videos/a.mp4", "rejected": "videos/b.mp4"},
        {"id": 4, "caption": "no rejected", "chosen": "videos/a.mp4"},
        {"id": 5, "caption": "elsewhere", "chosen": "/data/videos/a.mp4", "rejected": "videos/b.mp4"},
    ]
    write(folder / "dpo_data.json", json.dumps(pairs))


QUESTIONS = {
    "semantic consistency": "Please identify the semantic consistency issues in this video, focusing on the alignment "
    "between the text and the visual content.",
    "fidelity": "Please identify the fidelity issues in this video, assessing the realism of the content.",
    "motion": "Please identify the motion issues in this video, focusing on the continuity and smoothness of actions.",
}


def write_lift_hra(folder: Path) -> None:
    write_all(folder, {"videos/a.mp4": grey_clip(4)})

    def record(answer: Any, dimension: str = "motion", caption: str = "A dog. It runs", **changes: Any) -> Record:
        question = f"<video>\n {caption} {QUESTIONS.get(dimension, dimension)}"
        turns = [{"from": "human", "value": question}, {"from": "gpt", "value": answer}]
        return {"video": "videos/a.mp4", "conversations": turns} | changes

    records = [
        record("Good. There are no obvious problems.", "semantic consistency"),
        record("Normal. The legs, at times, are three.", "fidelity"),
        record("Bad. It jumps.\nTwice."),
        record("Good."),
        record("Good"),
        record("Goodness. It runs."),
        record("It is good."),
        record("good. It runs."),
        record("Good but slow."),
        record("4. It runs."),
        record(" "),
        record("Good. Fine.", "How is the video?"),
        record("Good. Fine.", "motion", caption=""),
        record("Good. Fine.", "motion", caption=QUESTIONS["fidelity"]),
        record("Good. Fine.", video="videos/gone.mp4"),
        record("Good. Fine.", video=None),
        record("Good. Fine.", conversations=[{"from": "gpt", "value": "Good."}]),
        record("Good. Fine.", conversations={"from": "gpt"}),
    ]
    write(folder / "LiFT-HRA-data.json", json.dumps(records, indent=4))


def write_video_feedback(folder: Path, unpacked: str | None = "images") -> None:
    """unpacked: the folder of the frames; without it they are in zip files as on the hub."""
    dimensions = (
        "visual quality",
        "temporal consistency",
        "dynamic degree",
        "text-to-video alignment",
        "factual consistency",
    )
    columns = {
        "id": pa.string(),
        "images": pa.list_(pa.string()),
        "text prompt": pa.string(),
        "video link": pa.string(),
        **dict.fromkeys(dimensions, pa.float64()),
        "conversations": TURNS,
    }

    def row(name: str, prompt: str | None, scores: list[float | None], frames: list[str] | None = None) -> Record:
        images = [f"{name}_{i:02}.jpg" for i in range(4)] if frames is None else frames
        said = "\n".join(f"{d}: {s}" for d, s in zip(dimensions, scores, strict=True))
        turns = [{"from": "human", "value": f'the text prompt is "{prompt}"'}, {"from": "gpt", "value": said}]
        own = {"id": name, "images": images, "text prompt": prompt, "conversations": turns}
        return own | dict(zip(dimensions, scores, strict=True))

    def frames(name: str, shade: int) -> dict[str, bytes]:
        return {f"{name}/{name}_{i:02}.jpg": grey(shade + i, "JPEG") for i in range(4)}

    annotated = [
        row("p1", "a whale", [1, 2, 3, 4, 2]),
        row("p2", "scores that are none", [0, 5, math.nan, None, 3]),
        row("p1", "the same clip", [4, 4, 4, 4, 4]),
        row("p1", "frames of two", [1, 1, 1, 1, 1], ["p1_00.jpg", "p2_00.jpg"]),
        row("p1", "no frames", [1, 1, 1, 1, 1], []),
        row("p9", "missing", [1, 1, 1, 1, 1]),
        row("p3", "cut short", [1, 1, 1, 1, 1]),
        row("p1", None, [1, 1, 1, 1, 1]),
        row("p1", "outside", [1, 1, 1, 1, 1], ["../../p1_00.jpg"]),
    ]
    write_parquet(folder / "annotated/train-00000-of-00001.parquet", annotated, columns, group=4)
    write_parquet(folder / "annotated/test-00000-of-00001.parquet", annotated[:1], columns)
    write_parquet(folder / "real/train-00000-of-00001.parquet", [row("r1", "a street", [4, 4, 1, 4, 4])], columns)
    of = {"annotated": frames("p1", 3) | frames("p2", 10) | frames("p3", 3), "real": frames("r1", 15)}
    of["annotated"]["p3/p3_02.jpg"] = cut(6)
    for config, files in of.items():
        if unpacked is None:
            write_zip(folder / config / f"frames_{config}_train.zip", files)
        else:
            write_all(folder / unpacked.format(config=config), files)
