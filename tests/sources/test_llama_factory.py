import json
from pathlib import Path

import pytest
from sources.native import read_all, reasons, shade_of, shown, write
from sources.native_general import assistant, generated, named, user, write_media

from urm_ray.sources.reader import reader
from urm_ray.sources.registry import SourceError

JUDGED = {
    "messages": [user("<image><image>" + generated("image", "a cat")), assistant("Image 2 is better than Image 1.")],
    "images": [1, 2],
}
PAIR = {
    "conversations": [{"from": "human", "value": "<video>what is it?"}],
    "chosen": {"from": "gpt", "value": "a cat"},
    "rejected": {"from": "gpt", "value": "a dog"},
    "videos": [3],
}
ALPACA = {
    "instruction": "<image>what is it?",
    "input": "Be brief.",
    "chosen": "a cat",
    "rejected": "a dog",
    "images": [4],
}
SHOWN = [
    ("a cat", "second", 1, 2),
    ("what is it?", "first", "a cat", "a dog"),
    ("what is it?\nBe brief.", "first", "a cat", "a dog"),
]


def write_lines(path: Path, records) -> None:
    write(path, "\n".join(json.dumps(named(record)) for record in records))


def test_chats_of_a_judge_and_pairs_of_answers_are_read(tmp_path: Path):
    write_media(tmp_path)
    write_lines(tmp_path / "a.jsonl", [JUDGED, PAIR, ALPACA])
    rows, rejected = read_all("llama-factory", tmp_path)
    assert not rejected
    assert [shown(row) for row in rows] == SHOWN
    assert [row["task"] for row in rows] == ["image_generation", "video_understanding", "image_understanding"]
    assert [shade_of(row["context"][0]) for row in rows[1:]] == [3, 4]


def test_an_answer_beside_an_instruction_is_a_judges_too(tmp_path: Path):
    write_media(tmp_path)
    record = {"instruction": "<image>" + generated("image", "a cat", 1), "output": "Final Score: 4", "images": [1]}
    write_lines(tmp_path / "a.jsonl", [record])
    (row,), _ = read_all("llama-factory", tmp_path)
    assert shown(row) == ("a cat", 4.0, 1)


def test_what_columns_and_roles_are_called_stands_beside_the_files(tmp_path: Path):
    write_media(tmp_path)
    pair = {
        "dialogue": [{"who": "human being", "says": "<video>what is it?"}],
        "good": {"who": "machine", "says": "a cat"},
        "bad": {"who": "machine", "says": "a dog"},
        "clips": ["videos/3.mp4"],
    }
    write_lines(tmp_path / "one.jsonl", [JUDGED])
    write(tmp_path / "sub" / "two.json", json.dumps([pair]))
    write(tmp_path / "other.json", json.dumps({"not": "a data set"}))
    info = {
        "two": {
            "file_name": "sub/two.json",
            "formatting": "sharegpt",
            "ranking": True,
            "columns": {"messages": "dialogue", "chosen": "good", "rejected": "bad", "videos": "clips"},
            "tags": {"role_tag": "who", "content_tag": "says", "user_tag": "human being", "assistant_tag": "machine"},
        },
        "one": {"file_name": "one.jsonl", "formatting": "sharegpt", "columns": {"messages": "messages"}},
        "elsewhere": {"hf_hub_url": "owner/name"},
    }
    write(tmp_path / "dataset_info.json", json.dumps(info))
    rows, rejected = read_all("llama-factory", tmp_path)
    assert not rejected
    assert [shown(row) for row in rows] == SHOWN[:2]


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        (JUDGED | {"images": [1]}, "places and files differ in number"),
        (JUDGED | {"images": [1, 2, 3]}, "places and files differ in number"),
        (JUDGED | {"messages": [user("<image><image>hello"), assistant("hi")]}, "unknown form of question"),
        (JUDGED | {"messages": [*JUDGED["messages"], user("sure?")]}, "not one question and one answer"),
        ({"images": [1]}, "no messages"),
        (PAIR | {"chosen": {"from": "gpt", "value": "a dog"}}, "the same answer twice"),
        (PAIR | {"rejected": None}, "no rejected"),
        (PAIR | {"chosen": {"from": "human", "value": "a cat"}}, "chosen is not one answer"),
        (PAIR | {"conversations": [{"from": "human", "value": "what?"}], "videos": None}, "no picture or clip"),
        (PAIR | {"videos": None}, "places and files differ in number"),
        (PAIR | {"videos": [9]}, "missing clip"),
    ],
)
def test_what_is_neither_is_put_aside_alone(tmp_path: Path, record, reason):
    write_media(tmp_path)
    write_lines(tmp_path / "a.jsonl", [JUDGED, record, ALPACA])
    rows, rejected = read_all("llama-factory", tmp_path)
    assert len(rows) == 2
    assert [why for _, why in reasons(rejected)] == [reason]


@pytest.mark.parametrize(
    ("info", "problem"),
    [
        ("{", "cannot be read"),
        ("[]", "cannot be read"),
        ('{"a": {"hf_hub_url": "x/y"}}', "names no data set with a file_name"),
        ('{"a": {"file_name": "nowhere.json"}}', r"there is no 'nowhere\.json' in the folder"),
        ('{"a": {"file_name": "../secret.json"}}', "in the folder"),
    ],
)
def test_a_broken_list_of_data_sets_is_one_sentence(tmp_path: Path, info, problem):
    write(tmp_path / "secret.json", "[]")
    write(tmp_path / "set" / "dataset_info.json", info)
    with pytest.raises(SourceError, match=problem):
        reader("llama-factory", str(tmp_path / "set"))


def test_what_we_export_for_it_comes_back(tmp_path: Path):
    from helpers import answer_pair

    from urm_ray.exports.llama_factory import LlamaFactoryPairs

    row = answer_pair(5)
    export = LlamaFactoryPairs(tmp_path, "image_understanding")
    export.write(row)
    export.close()
    (found,), _ = read_all("llama-factory", tmp_path)
    assert shown(found) == (row["prompt"], "first", row["chosen"]["text"], row["rejected"]["text"])
    assert found["context"][0]["sha256"] == row["context"][0]["sha256"]
