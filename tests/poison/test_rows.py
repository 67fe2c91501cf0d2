"""One prompt, preference or file of them that is none, among others: it is put aside, and nothing else changes."""

import re

import pytest
from helpers import NOT_A_PICTURE, as_answers, pair_preference, point_preference, prompt_row
from poison.cases import BAD_PROMPTS, GOOD_PROMPTS
from poison.doors import imported, prepare, prompts, write_media
from poison.preference_cases import (
    BAD_ANSWERS,
    BAD_PREFERENCES,
    BROKEN_FILES,
    BROKEN_ROWS,
    GOOD_FILES,
    NAME,
    file_of,
    table,
)

from urm_ray.sources.check import MAX_READ, check_preference, check_prompt

LINES = [f"prompt number {n}" for n in range(5)]


def of(cases):
    return pytest.mark.parametrize("case", cases.values(), ids=list(cases))


@of(BAD_PROMPTS)
def test_what_is_no_prompt_is_put_aside_and_no_other_prompt_changes(tmp_path, case):
    found = prompts(tmp_path / "with", [*LINES[:2], {"prompt": case.make()}, *LINES[2:]])
    assert list(found.aside) == ["prompts.jsonl:3"]
    assert re.match(case.reason, found.aside["prompts.jsonl:3"])
    assert len(found.rows) == 5
    assert found.data == prompts(tmp_path / "without", LINES).data


@of(GOOD_PROMPTS)
def test_any_text_is_a_prompt_in_any_file_and_stays_what_it_is(tmp_path, case):
    text = case.make()
    found = prompts(tmp_path / "with", [*LINES[:2], text, *LINES[2:]])
    assert found.aside == {}
    assert sorted(row["prompt"] for row in found.rows) == sorted([*LINES, text])
    assert [row for row in found.rows if row["prompt"] != text] == prompts(tmp_path / "without", LINES).rows
    quoted = '"' + text.replace('"', '""') + '"'
    (tmp_path / "a.csv").write_text("\n".join(["prompt", *LINES[:2], quoted, *LINES[2:]]), newline="")
    table = prepare(
        tmp_path, "image_generation", "train_prompts", prompts="jsonl", prompts_path=str(tmp_path / "a.csv")
    )
    assert [row["prompt"] for row in table.rows] == [row["prompt"] for row in found.rows]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"a cat, and a dog", "wrong number of cells"),
        (b"caf\xe9", "not UTF-8"),
        (b'"' + b"x" * 200_000 + b'"', "not csv"),
        (b'"' + b"x" * 4001 + b'"', "prompt too long"),
        (b'"a\0cat"', "control characters in prompt"),
    ],
)
def test_a_broken_line_of_a_csv_costs_that_line(tmp_path, line, reason):
    folders = [tmp_path / "with", tmp_path / "without"]
    outcomes = []
    for folder, more in zip(folders, ([line], []), strict=True):
        folder.mkdir()
        (folder / "p.csv").write_bytes(b"\n".join([b"prompt", *(text.encode() for text in LINES[:2]), *more, b"last"]))
        path = str(folder / "p.csv")
        outcomes.append(prepare(folder, "image_generation", "train_prompts", prompts="jsonl", prompts_path=path))
    found, alone = outcomes
    assert list(found.aside) == ["p.csv:3"]
    assert found.aside["p.csv:3"].startswith(reason)
    assert found.data == alone.data
    assert len(found.rows) == 3


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"prompt_id": None}, "no prompt_id"),
        ({"prompt": 7}, "prompt is not a text"),
        ({"prompt": "a \ud83d cat"}, "not UTF-8"),
        ({"source": "\ud83d"}, "not UTF-8"),
        ({"context": [None]}, "undecodable picture"),
        ({"context": [NOT_A_PICTURE]}, "undecodable picture"),
    ],
)
def test_rows_of_a_source_of_ones_own_are_checked_like_any_other(changes, reason):
    problem = check_prompt(prompt_row(**changes))
    assert problem is not None
    assert problem.reason == reason


def test_one_id_for_two_prompts_keeps_the_first(tmp_path, monkeypatch):
    rows = [prompt_row(n) for n in range(4)] + [prompt_row(2, prompt="another")]
    monkeypatch.setattr("poison.test_rows.OWN", rows)
    found = prepare(tmp_path, "image_generation", "train_prompts", prompts="poison.test_rows:OwnSource")
    assert found.aside == {"p2": "repeated prompt_id: "}
    assert [row["prompt"] for row in found.rows] == [f"prompt {n}" for n in range(4)]


OWN: list = []


class OwnSource:
    """A source that a user wrote."""

    def __init__(self, *arguments):
        pass

    def size(self, part):
        return len(OWN)

    def read(self, part, start, stop):
        return iter(OWN[start:stop])


GOOD = [pair_preference(n, prompt=f"prompt {n}") for n in range(3)] + [
    point_preference(n, prompt=f"other {n}") for n in range(2)
]
GOOD_ANSWERS = [as_answers(pair_preference(n, prompt=f"what {n}?"), "red", "blue") for n in range(3)]


def preferences(folder, files, task="image_generation") -> dict:
    """What `prepare` keeps of pairs and of points, as rows, and what it puts aside of both."""
    data = folder / "data"
    data.mkdir(parents=True)
    for name, content in files.items():
        (data / name).write_bytes(content)
    found = {
        part: prepare(folder, task, part, preferences="parquet", preferences_path=str(data))
        for part in ("train_pairs", "train_points")
    }
    return {part: one.data for part, one in found.items()}, {
        k: v for one in found.values() for k, v in one.aside.items()
    }


@of(BAD_PREFERENCES | BAD_ANSWERS)
def test_what_is_no_preference_is_put_aside_and_no_other_changes(tmp_path, case):
    row = case.make()
    good, task = (
        (GOOD_ANSWERS, "image_understanding") if row["task"] == "image_understanding" else (GOOD, GOOD[0]["task"])
    )
    kept, aside = preferences(tmp_path / "with", {"a.parquet": file_of(table([*good[:1], row, *good[1:]]))}, task)
    assert list(aside) == [NAME]
    assert re.search(case.reason, aside[NAME])
    assert kept == preferences(tmp_path / "without", {"a.parquet": file_of(table(good))}, task)[0]


@pytest.mark.parametrize(("make", "reason"), BROKEN_FILES.values(), ids=list(BROKEN_FILES))
def test_a_broken_file_costs_itself_and_no_other_file_changes(tmp_path, make, reason):
    poison = make([pair_preference(n) for n in range(90, 93)])
    good = {"a.parquet": file_of(table(GOOD)), "c.parquet": file_of(table(GOOD_ANSWERS))}
    kept, aside = preferences(tmp_path / "with", good | {"b.parquet": poison})
    ((name, why),) = aside.items()
    assert name.startswith("b.parquet")
    assert why.startswith("unreadable file: ")
    assert re.search(reason, f"{name} {why}")
    assert kept == preferences(tmp_path / "without", good)[0]


@pytest.mark.parametrize(("make", "reason"), BROKEN_ROWS.values(), ids=list(BROKEN_ROWS))
def test_rows_of_another_type_cost_themselves(tmp_path, make, reason):
    poison = make([pair_preference(n) for n in range(90, 93)])
    good = {"a.parquet": file_of(table(GOOD))}
    kept, aside = preferences(tmp_path / "with", good | {"b.parquet": poison})
    assert len(aside) == 3
    assert all(re.match(reason, why) for why in aside.values())
    assert kept == preferences(tmp_path / "without", good)[0]


@pytest.mark.parametrize("make", GOOD_FILES.values(), ids=list(GOOD_FILES))
def test_a_file_that_holds_the_same_in_another_form_is_read(tmp_path, make):
    good = {"a.parquet": file_of(table(GOOD[:1])), "b.parquet": make(GOOD[1:])}
    kept, aside = preferences(tmp_path / "with", good)
    assert aside == {}
    rest = GOOD[1:] if make is not GOOD_FILES["no rows"] else []
    plain = {"a.parquet": file_of(table(GOOD[:1])), "b.parquet": file_of(table(rest))}
    assert kept == preferences(tmp_path / "plain", plain)[0]


@pytest.mark.parametrize(
    ("cells", "reason"),
    [
        (",0.png,1.png,first", "no prompt"),
        ("\u200b\u2060,0.png,1.png,first", "empty prompt"),
        ("x" * 100_000 + ",0.png,1.png,first", "prompt too long: 100000 characters, 32000 at most"),
        ("a\x1b[31m cat,0.png,1.png,first", "control characters in prompt"),
        ("a cat,0.png,1.png,Image 1", "label is not first, second or tie: image 1"),
        ("a cat,0.png,0.png,first", "the same candidate twice"),
        ("a cat,0.png,,first", "no image_2"),
        ("a cat,0.png,gone.png,first", "missing picture: gone.png"),
        ("a cat,0.png,../1.png,first", "picture outside of the folder"),
        ("a cat,0.png,1.png,first,more", "wrong number of cells: 6 under 5 names"),
        ("a cat,0.png,\0.png,first", "picture outside of the folder"),
    ],
)
def test_a_label_of_ones_own_that_is_none_is_put_aside_and_no_other_changes(tmp_path, cells, reason):
    good = [f"{n},prompt {n},{n}.png,3.png,first" for n in range(3)]
    outcomes = []
    for folder, lines in ((tmp_path / "with", [good[0], f"poison,{cells}", *good[1:]]), (tmp_path / "without", good)):
        write_media(folder, b"", "unused")
        outcomes.append(imported(folder, ["id,prompt,image_1,image_2,label", *lines]))
    found, alone = outcomes
    ((name, why),) = found.aside.items()
    assert name in ("poison", "labels.csv:2")
    assert why.startswith(reason)
    assert found.data == alone.data
    assert len(found.rows) == 3


@pytest.mark.parametrize("length", [MAX_READ, MAX_READ + 1])
def test_the_limit_of_what_a_judge_reads_is_exact(length):
    problem = check_preference(as_answers(pair_preference(), "x" * length, "y"))
    assert (problem is None) == (length <= MAX_READ)
