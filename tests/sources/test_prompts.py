import json

import pytest
from helpers import TASK, picture
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from urm_ray import schema
from urm_ray.clips import encode_clip
from urm_ray.media import encode_image
from urm_ray.sources.check import check_prompt
from urm_ray.sources.prompts import MAX_CHARACTERS, PromptFile
from urm_ray.sources.registry import Rejected, SourceError, source

ALL = {"heldout_prompts": 0, "train_prompts": 10_000}


def write(folder, content: bytes | str | list, name: str = "prompts.jsonl") -> str:
    if isinstance(content, list):
        content = "\n".join(json.dumps(line) for line in content)
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return str(path)


def rows_of(path: str, part="train_prompts", wanted=None, seed=0) -> list:
    read = PromptFile(path, seed, TASK, wanted or ALL)
    return list(read.read(part, 0, read.size(part)))


def prompts_of(path: str, *arguments, **named) -> set[str]:
    return {row["prompt"] for row in rows_of(path, *arguments, **named) if isinstance(row, dict)}


def rejected_of(path: str) -> dict[str, str]:
    return {row.row_id: row.reason for row in rows_of(path) if isinstance(row, Rejected)}


def test_a_text_file_has_a_prompt_a_line(tmp_path):
    path = write(tmp_path, 'a red circle\r\n\n  two cats \n{"prompt": 1}\nein grüner Würfel', "prompts.txt")
    assert prompts_of(path) == {"a red circle", "two cats", '{"prompt": 1}', "ein grüner Würfel"}


def test_a_jsonl_file_has_an_object_or_a_text_a_line(tmp_path):
    path = write(tmp_path, [{"prompt": "a cat", "prompt_id": "my-1"}, {"prompt": "a dog", "other": 3}, "a bird"])
    rows = {row["prompt"]: row for row in rows_of(path)}
    assert set(rows) == {"a cat", "a dog", "a bird"}
    assert rows["a cat"]["prompt_id"] == "my-1"
    assert len({row["prompt_id"] for row in rows.values()}) == 3


def test_rows_fit_the_schema_and_pass_the_check(tmp_path):
    rows = rows_of(write(tmp_path, ["a cat", "a dog"]))
    assert [check_prompt(row) for row in rows] == [None, None]
    assert schema.table_of(rows, schema.PROMPT).to_pylist() == rows


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"{broken", "not JSON"),
        (b'{"prompt": "a cat"', "not JSON"),
        (b'{"prompt": "caf\xe9"}', "not UTF-8"),
        (b'{"prompt": "\\ud800"}', "not UTF-8"),
        (b'{"prompt": "a", "prompt_id": "\\ud800"}', "not UTF-8"),
        (b'{"prompt": ""}', "no prompt text"),
        (b'{"prompt": "  "}', "no prompt text"),
        (b'{"prompt": 7}', "no prompt text"),
        (b'{"prompt": null}', "no prompt text"),
        (b'{"text": "a cat"}', "no prompt text"),
        (b"17", "no prompt text"),
        (b"[]", "no prompt text"),
        (b"9" * 5000, "not JSON"),
        (b"[" * 200_000, "not JSON"),
        (json.dumps("x" * (MAX_CHARACTERS + 1)).encode(), "prompt too long"),
    ],
    ids=range(15),
)
def test_a_broken_line_costs_that_line_and_says_where_it_is(tmp_path, line, reason):
    path = write(tmp_path, b'"a cat"\n' + line + b'\n"a dog"\n')
    assert rejected_of(path) == {"prompts.jsonl:2": reason}
    assert prompts_of(path) == {"a cat", "a dog"}


def test_a_text_file_that_is_not_utf_8_loses_only_the_lines_that_are_not(tmp_path):
    path = write(tmp_path, "a cat\ncaf\u00e9\na dog\n".encode("latin-1"), "prompts.txt")
    assert rejected_of(path) == {"prompts.txt:2": "not UTF-8"}
    assert prompts_of(path) == {"a cat", "a dog"}


@pytest.mark.parametrize("name", ["prompts.txt", "prompts.jsonl"])
def test_a_byte_order_mark_is_not_part_of_the_first_prompt(tmp_path, name):
    path = write(tmp_path, b"\xef\xbb\xbf" + (b"a cat" if name.endswith("txt") else b'"a cat"'), name)
    assert prompts_of(path) == {"a cat"}


@pytest.mark.parametrize("content", [b"", b"\n\n  \n"])
def test_an_empty_file_is_refused(tmp_path, content):
    with pytest.raises(SourceError, match="holds no prompts"):
        rows_of(write(tmp_path, content))


@pytest.mark.parametrize("path", [None, "", "/nowhere/prompts.txt", "/tmp"])
def test_a_missing_file_is_named(path):
    with pytest.raises(SourceError, match=r"prepare\.prompts_path: there is no prompt file"):
        source("jsonl", path, 0, TASK, ALL)


def test_the_same_prompt_written_differently_counts_once(tmp_path):
    # Two rows with one id would never make a whole unit, and one of them could be held out while the other trains.
    path = write(tmp_path, b'"a cat"\n{"prompt": "a cat"}\n{"prompt":"a cat ", "prompt_id": "other"}\n"a dog"\n')
    rows = rows_of(path)
    assert sorted(row["prompt"] for row in rows) == ["a cat", "a dog"]
    assert prompts_of(write(tmp_path, "a cat\n a cat\na cat\t\n", "prompts.txt")) == {"a cat"}


def test_an_id_that_names_two_prompts_is_put_aside(tmp_path):
    path = write(tmp_path, [{"prompt": "a cat", "prompt_id": "1"}, {"prompt": "a dog", "prompt_id": 1}])
    assert rejected_of(path) == {"prompts.jsonl:2": "repeated prompt_id"}
    assert prompts_of(path) == {"a cat"}


LINES = st.lists(
    st.sampled_from([f"prompt {n}" for n in range(12)] + ["prompt 1 ", "  prompt 2"]), min_size=1, max_size=30
)


@given(LINES, st.integers(0, 12), st.integers(0, 12), st.integers(0, 5))
def test_held_out_and_training_prompts_are_never_the_same(tmp_path, lines, heldout, train, seed):
    path = write(tmp_path, "\n".join(lines), "prompts.txt")
    wanted = {"heldout_prompts": heldout, "train_prompts": train}
    kept, trained = (prompts_of(path, part, wanted, seed) for part in wanted)
    assert not kept & trained
    different = len({line.strip() for line in lines})
    assert len(kept) == min(heldout, different)
    assert len(trained) == min(train, different - len(kept))


def test_held_out_prompts_do_not_change_with_the_number_of_training_prompts_or_the_order_of_lines(tmp_path):
    lines = [f"prompt {n}" for n in range(40)]
    one = write(tmp_path, lines, "one.jsonl")
    two = write(tmp_path, lines[::-1] + lines[:3], "two.jsonl")
    few, many = {"heldout_prompts": 10, "train_prompts": 1}, {"heldout_prompts": 10, "train_prompts": 30}
    kept = prompts_of(one, "heldout_prompts", few)
    assert len(kept) == 10
    assert prompts_of(one, "heldout_prompts", many) == kept
    assert prompts_of(two, "heldout_prompts", many) == kept
    assert prompts_of(one, "heldout_prompts", many, seed=1) != kept
    assert prompts_of(one, "train_prompts", many) == set(lines) - kept


def test_a_prompt_added_to_the_file_leaves_the_others_their_ids_and_seeds(tmp_path):
    lines = [f"prompt {n}" for n in range(10)]
    before = {row["prompt"]: row["prompt_id"] for row in rows_of(write(tmp_path, lines))}
    after = {row["prompt"]: row["prompt_id"] for row in rows_of(write(tmp_path, ["new", *lines]))}
    assert before.items() <= after.items()


def test_rows_are_read_by_number(tmp_path):
    path = write(tmp_path, [f"prompt {n}" for n in range(10)])
    everything = rows_of(path)
    read = PromptFile(path, 0, TASK, ALL)
    assert [*read.read("train_prompts", 0, 3), *read.read("train_prompts", 3, 10)] == everything
    assert list(PromptFile(path, 0, TASK, ALL).read("train_prompts", 4, 6)) == everything[4:6]


def test_a_question_comes_with_its_pictures(tmp_path):
    (tmp_path / "sub").mkdir()
    data = encode_image(picture(7))["data"]
    (tmp_path / "sub" / "a.png").write_bytes(data)
    (tmp_path / "b.png").write_bytes(data[:40])
    (tmp_path.parent / "secret.png").write_bytes(data)
    lines = [
        {"prompt": "What is it?", "images": ["sub/a.png", "sub/a.png"]},
        {"prompt": "What is it?", "images": ["sub/a.png"]},
        {"prompt": "What is it?", "images": ["sub/a.png"]},
        {"prompt": "Broken?", "images": ["b.png"]},
        {"prompt": "Missing?", "images": ["c.png"]},
        {"prompt": "Elsewhere?", "images": ["../secret.png"]},
        {"prompt": "Absolute?", "images": [str(tmp_path.parent / "secret.png")]},
        {"prompt": "No list?", "images": "sub/a.png"},
    ]
    read = PromptFile(write(tmp_path, lines), 0, "image_understanding", ALL)
    rows = list(read.read("train_prompts", 0, 99))
    good = [row for row in rows if isinstance(row, dict)]
    assert sorted(len(row["context"]) for row in good) == [1, 2]
    assert len({row["prompt_id"] for row in good}) == 2
    assert all(check_prompt(row) is None for row in good)
    assert all(media["data"] == data for row in good for media in row["context"])
    assert sorted(row.reason for row in rows if isinstance(row, Rejected)) == [
        "images is not a list of paths",
        "picture outside of the prompt file's folder",
        "picture outside of the prompt file's folder",
        "undecodable picture",
        "unreadable picture",
    ]


def test_clips_stand_behind_the_pictures_and_a_broken_one_costs_its_line(tmp_path):
    frames = [Image.new("RGB", (8, 8), (30 * i, 0, 0)) for i in range(4)]
    (tmp_path / "a.mp4").write_bytes(encode_clip(frames, 8)["data"])
    (tmp_path / "a.png").write_bytes(encode_image(picture())["data"])
    (tmp_path / "bad.mp4").write_bytes(b"no clip at all")
    lines = [
        {"prompt": "what moves?", "videos": ["a.mp4"], "images": ["a.png"]},
        {"prompt": "and here?", "videos": ["bad.mp4"]},
        {"prompt": "a picture?", "videos": ["a.png"]},
        {"prompt": "nowhere?", "videos": ["../a.mp4"]},
        {"prompt": "what?", "videos": "a.mp4"},
    ]
    found = PromptFile(write(tmp_path, lines), 0, "video_understanding", ALL)
    rows = list(found.read("train_prompts", 0, 9))
    (good,) = (row for row in rows if isinstance(row, dict))
    assert [media["kind"] for media in good["context"]] == ["image", "video"]
    assert (good["context"][1]["frames"], good["context"][1]["fps"]) == (4, 8)
    assert check_prompt(good) is None
    assert {row.reason for row in rows if isinstance(row, Rejected)} == {
        "undecodable clip",
        "clip outside of the prompt file's folder",
        "videos is not a list of paths",
    }
