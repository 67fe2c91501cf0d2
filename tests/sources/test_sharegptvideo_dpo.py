from pathlib import Path

import pytest
from sources.native import read_all, reasons, shade_of, shown
from sources.native_answers import write_sharegptvideo_dpo

FILE = "video_instruction/train/dpo/sft_dpo_17k.jsonl:{}"


@pytest.fixture(scope="module", params=[False, True], ids=["unpacked", "zip"])
def read(request, tmp_path_factory):
    folder: Path = tmp_path_factory.mktemp("sharegptvideo")
    write_sharegptvideo_dpo(folder, request.param)
    return read_all("sharegptvideo-dpo", folder)


def test_a_record_is_a_pair_and_a_point_of_each_answer(read):
    rows, _ = read
    did, jumps, sits = "What does he do?", "He jumps.", "He sits."
    assert [shown(row) for row in rows] == [
        (did, "first", jumps, sits),
        (did, 5, jumps),
        (did, 2, sits),
        (did, "first", "He runs.", sits),
        (did, 4, "He runs."),
        (did, 3.5, sits),
        ("And now?", "first", jumps, sits),
        ("And now?", 5, jumps),
        ("And now?", 2, sits),
        (did, 5, jumps),
        (did, 2, jumps),
        (did, 2, jumps),
        (did, 2, sits),
        (did, "first", jumps, sits),
        (did, 2, sits),
        (did, "first", jumps, sits),
        (did, "first", jumps, sits),
    ]
    assert {row["task"] for row in rows} == {"video_understanding"}
    assert {row["scale"]["name"] for row in rows if row["scale"]} == {"1-5"}


def test_frames_of_a_folder_are_a_clip_in_the_order_of_their_numbers(read):
    folder, file = read[0][0]["context"][0], read[0][3]["context"][0]
    assert (folder["frames"], folder["fps"], shade_of(folder)) == (3, 2.0, 1)
    assert (file["frames"], shade_of(file)) == (9, 7)


def test_what_is_broken_is_put_aside_with_its_reason(read):
    _, rejected = read
    assert reasons(rejected) == [
        (FILE.format(4), "not JSON"),
        (FILE.format(5), "the same answer twice"),
        (FILE.format(6), "scores contradict the choice"),
        (f"{FILE.format(7)}:chosen", "no chosen_score"),
        (f"{FILE.format(8)}:chosen", "chosen_score is not a finite number"),
        (f"{FILE.format(8)}:rejected", "score outside its scale"),
        (FILE.format(9), "empty rejected"),
        (FILE.format(10), "no chosen"),
        (FILE.format(11), "empty question"),
        (FILE.format(12), "no video"),
        *[(f"{FILE.format(13)}:{side}", "score outside its scale") for side in ("chosen", "rejected")],
        *[(FILE.format(14) + row, "missing clip") for row in ("", ":chosen", ":rejected")],
        *[(FILE.format(15) + row, "undecodable clip") for row in ("", ":chosen", ":rejected")],
        *[(FILE.format(16) + row, "clip outside of the folder") for row in ("", ":chosen", ":rejected")],
    ]
