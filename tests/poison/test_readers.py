"""A file among those of a published data set or benchmark that is none: the rows that name it are put aside alone."""

import json
import shutil
from pathlib import Path

import pytest
from clip_files import shades, video_file
from helpers import FakeEngine, pair_preference, picture, prefer_darker
from picture_files import black, encoded
from poison.doors import imported_from
from poison.preference_cases import BROKEN_FILES, file_of, table
from sources.native_answers import write_sharegptvideo_dpo
from sources.native_general import write_llava
from sources.native_images import write_evalmuse, write_hpdv2
from sources.native_videos import write_lift_hra, write_video_feedback, write_videodpo

from urm_ray.judge.protocol import protocol
from urm_ray.judge.scorer import JudgeScorer
from urm_ray.reward_benchmarks.ask import AskBenchmark
from urm_ray.reward_benchmarks.comparison import Comparison, overall
from urm_ray.sources.draft import File
from urm_ray.sources.media_folder import MediaFolder
from urm_ray.sources.registry import SourceError

DATA_SETS = {
    "evalmuse": lambda folder: write_evalmuse(folder, zipped=False),
    "hpdv2": write_hpdv2,
    "lift-hra": write_lift_hra,
    "llava": write_llava,
    "sharegptvideo-dpo": write_sharegptvideo_dpo,
    "videodpo": write_videodpo,
    "videofeedback": write_video_feedback,
}
POISONS = {
    "nothing": b"",
    "a page": b"<html>404 not found</html>",
    "a picture cut short": encoded("PNG")[:60],
    "a bomb": black(30_000, 30_000),
    "a strip": black(30_000, 1),
    "a clip cut short": video_file(shades(8))[:700],
}
MEDIA = (".jpg", ".jpeg", ".png", ".webp", ".mp4")


def shown(row: dict) -> list[bytes]:
    media = [*(row["context"] or []), *(candidate["media"] for candidate in row["candidates"])]
    return [one["data"] for one in media if one]


@pytest.mark.parametrize("name", DATA_SETS)
def test_a_file_of_a_data_set_that_went_bad_costs_the_rows_that_name_it(tmp_path, name):
    whole = tmp_path / "whole"
    DATA_SETS[name](whole)
    before = imported_from(name, whole, tmp_path / "before")
    used = [data for row in before.rows for data in shown(row)]
    files = [file for file in sorted(whole.rglob("*")) if file.suffix in MEDIA and file.read_bytes() in used]
    if not files:  # clips that were made of frames
        files = [file for file in sorted(whole.rglob("*")) if file.suffix in MEDIA]
    for number, (kind, poison) in enumerate(POISONS.items()):
        bad = files[number % len(files)].relative_to(whole)
        copy = tmp_path / f"copy{number}"
        shutil.copytree(whole, copy)
        (copy / bad).write_bytes(poison)
        found = imported_from(name, copy, tmp_path / f"found{number}")
        fresh = {key: why for key, why in found.aside.items() if why != before.aside.get(key)}
        assert fresh, (kind, bad)
        assert all("undecodable picture: " in why or "undecodable clip: " in why for why in fresh.values()), fresh
        assert found.aside.keys() >= before.aside.keys()
        lost = [row for row in before.rows if row not in found.rows]
        assert lost
        assert [row for row in before.rows if row not in lost] == found.rows


@pytest.mark.parametrize(("make", "reason"), list(BROKEN_FILES.values())[:5], ids=list(BROKEN_FILES)[:5])
def test_a_parquet_file_of_a_data_set_that_is_none_costs_itself(tmp_path, make, reason):
    rows = [pair_preference(n, prompt=f"prompt {n}") for n in range(6)]
    for name in ("with", "without", "alone"):
        (tmp_path / name).mkdir()
        for number, part in enumerate((rows[:3], rows[3:])):
            if name != "alone":
                (tmp_path / name / f"{2 * number}.parquet").write_bytes(file_of(table(part)))
    for name in ("with", "alone"):
        (tmp_path / name / "1.parquet").write_bytes(make(rows))
    found = imported_from("preferences", tmp_path / "with", tmp_path / "found")
    assert list(found.aside) == ["1.parquet"]
    assert found.aside["1.parquet"].startswith("unreadable file: ")
    assert reason in found.aside["1.parquet"]
    assert found.rows == imported_from("preferences", tmp_path / "without", tmp_path / "before").rows
    with pytest.raises(SourceError, match=reason):
        imported_from("preferences", tmp_path / "alone", tmp_path / "none")


OTHER_FILES = {
    "csv": [("b.csv", b""), ("b.csv", b"other,names\n1,2\n"), ("b.csv", b"id,id\n1,2\n")],
    "llava": [("b.json", b""), ("b.json", b"<html>"), ("b.json", b'"a text"')],
}


@pytest.mark.parametrize(("name", "file", "poison"), [(n, *one) for n, files in OTHER_FILES.items() for one in files])
def test_a_file_of_another_form_among_those_of_a_data_set_costs_itself(tmp_path, name, file, poison):
    for number in range(2):
        for folder in ("with", "without"):
            (tmp_path / folder).mkdir(exist_ok=True)
            picture(number).save(tmp_path / folder / f"{number}.png")
    turns = [{"from": "human", "value": "<image>\nRate it."}, {"from": "gpt", "value": "Final Score: 4"}]
    lines = {
        "csv": "id,prompt,image_1,image_2,label\na,a cat,0.png,1.png,first\n",
        "llava": json.dumps([{"id": "a", "image": "0.png", "conversations": turns}]),
    }
    for folder in ("with", "without"):
        (tmp_path / folder / f"a{Path(file).suffix}").write_text(lines[name])
    (tmp_path / "with" / file).write_bytes(poison)
    found, alone = (imported_from(name, tmp_path / one, tmp_path / f"{one}-out") for one in ("with", "without"))
    assert {key: why for key, why in found.aside.items() if key not in alone.aside}.keys() == {file}
    assert found.aside[file].startswith("unreadable file: ")
    assert found.rows == alone.rows


@pytest.mark.parametrize("poison", POISONS.values(), ids=list(POISONS))
def test_an_item_of_a_benchmark_whose_picture_is_none_is_put_aside(tmp_path: Path, poison):
    for number in range(4):
        picture(number).save(tmp_path / f"{number}.png")
    (tmp_path / "poison.png").write_bytes(poison)
    names = [("0.png", "1.png"), ("1.png", "poison.png"), ("3.png", "2.png")]
    items = [
        Comparison(f"item{n}", "image_generation", "a cat", (File(a), File(b)), overall("first"))
        for n, (a, b) in enumerate(names)
    ]
    ask = AskBenchmark(JudgeScorer(FakeEngine(prefer_darker), protocol("unified")), MediaFolder(str(tmp_path)))
    rows, aside = ask(items)
    assert [(one.row_id, one.reason) for one in aside] == [("item1", "undecodable picture")]
    assert rows == ask([items[0], items[2]])[0]
    assert [row["pair_verdicts"][0]["outcome"] for row in rows] == ["first", "second"]
