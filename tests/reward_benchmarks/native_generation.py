"""Small copies of benchmarks of what is generated in their own formats, each with broken records among the good
ones. Pictures and clips are of one grey each (`sources.native`), so that an item can be told by what it shows."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
from sources.native import IMAGE, cut, grey, grey_clip, image, write, write_all, write_parquet, write_zip

VOTES = ("leftvote", "rightvote", "tievote", "bothbad_vote")


def write_genai_images(folder: Path, split: str = "test") -> None:
    """A record of each vote, left at 5 and right at 9, or the other way round; then broken ones."""
    columns = {"prompt": pa.string(), "left_image": IMAGE, "right_image": IMAGE, "vote_type": pa.string()}
    shades = [(5, 9), (9, 5), (5, 5), (9, 9)]
    rows: list[dict[str, Any]] = [
        {"prompt": f"prompt {n}", "left_image": image(grey(a)), "right_image": image(grey(b)), "vote_type": vote}
        for n, (vote, (a, b)) in enumerate(zip(VOTES, shades, strict=True))
    ]
    rows += [
        rows[0] | {"vote_type": "middlevote"},
        rows[0] | {"left_image": None},
        rows[0] | {"right_image": image(cut(1))},
        rows[0] | {"prompt": " "},
    ]
    write_parquet(folder / f"image_generation/{split}-00000-of-00001.parquet", rows, columns)


def write_genai_edits(folder: Path, split: str = "test") -> None:
    columns = dict.fromkeys(("source_prompt", "target_prompt", "instruct_prompt", "vote_type"), pa.string())
    pictures = ("source_image", "left_output_image", "right_output_image")
    words = {"source_prompt": "a taxi", "target_prompt": "a taxi and sheep", "instruct_prompt": "add sheep"}
    shades = dict(zip(pictures, (3, 5, 9), strict=True))
    row = words | {name: image(grey(shade)) for name, shade in shades.items()} | {"vote_type": "leftvote"}
    rows = [row, row | {"source_image": None}]
    write_parquet(folder / f"image_edition/{split}/0000.parquet", rows, columns | dict.fromkeys(pictures, IMAGE))


ADDRESS = "https://huggingface.co/datasets/tianleliphoebe/genai-arena-video-mp4/blob/main/dir/"


def write_genai_clips(folder: Path, packed: bool = False, split: str = "test") -> None:
    """Records with addresses; the clips lie loose in dir, or packed in videos.zip."""
    columns = dict.fromkeys(("prompt", "left_video", "right_video", "vote_type"), pa.string())
    rows = [
        {"prompt": "a bear", "left_video": f"{ADDRESS}{a}.mp4", "right_video": f"{ADDRESS}{b}.mp4", "vote_type": vote}
        for a, b, vote in (("c5", "c9", "leftvote"), ("c9", "c5", "bothbad_vote"), ("c5", "gone", "leftvote"))
    ]
    write_parquet(folder / f"video_generation/{split}-00000-of-00001.parquet", rows, columns)
    clips = {f"{'' if packed else 'dir/'}c{shade}.mp4": grey_clip(shade) for shade in (5, 9)}
    if packed:
        write_zip(folder / "videos.zip", clips)
    else:
        write_all(folder, clips)


VIDEOGEN = ("path_A", "path_B", "A_model", "B_model", "prompt", "VQ", "MQ", "TA", "Overall", "fps_A", "num_frames_A")


def videogen_row(a: int, b: int, prompt: str, labels: Sequence[str]) -> list[str]:
    paths = [f"videos/model{shade}/model{shade}_00103.mp4" for shade in (a, b)]
    return [*paths, f"model{a}", f"model{b}", prompt, *labels, "8", "9"]


def write_videogen(folder: Path, rows: Sequence[Sequence[str]] | None = None) -> None:
    """Clips of three models for two prompts, packed as they are published; then broken rows."""
    if rows is None:
        rows = [
            videogen_row(5, 7, "a ball rolls", ["A", "B", "same", "A"]),
            videogen_row(5, 7, "a cat, sleeping", ["A", "A", "A", "same"]),
            videogen_row(9, 7, "a ball rolls", ["B", "B", "B", "B"]),
            videogen_row(5, 9, "a ball rolls", ["A", "", "A", "A"]),
            videogen_row(5, 9, "a ball rolls", ["A", "A", "A", "C"]),
            videogen_row(5, 9, "", ["A", "A", "A", "A"]),
            videogen_row(5, 9, "a ball rolls", ["A", "A", "A", ""]),
            videogen_row(5, 8, "a ball rolls", ["A", "A", "A", "A"]),
            ["videos/model5/model5_00103.mp4", "too few cells"],
        ]
    text = io.StringIO()
    csv.writer(text).writerows([VIDEOGEN, *rows])
    write(folder / "videogen-rewardbench.csv", text.getvalue())
    write_zip(folder / "videos.zip", {f"videos/model{s}/model{s}_00103.mp4": grey_clip(s) for s in (5, 7, 9)})
