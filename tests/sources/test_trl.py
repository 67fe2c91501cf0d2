from pathlib import Path

import pytest
from sources.native import read_all, reasons, shade_of, shown, write
from sources.native_general import assistant, user, write_media, write_trl

from urm_ray.sources.registry import SourceError

WHOLE = {
    "images": [1],
    "prompt": [user("what is it?")],
    "chosen": [assistant("a cat")],
    "rejected": [assistant("a dog")],
}
SHARED = [{"role": "system", "content": "You see."}, user("what is it?")]


@pytest.mark.parametrize("name", ["a.jsonl", "data/train.parquet"])
def test_messages_become_pairs(tmp_path: Path, name: str):
    write_media(tmp_path)
    second = WHOLE | {"images": [3, 2], "prompt": SHARED, "chosen": [assistant("two cats")]}
    write_trl(tmp_path / name, [WHOLE, second])
    rows, rejected = read_all("trl", tmp_path)
    assert not rejected
    assert [shown(row) for row in rows] == [
        ("what is it?", "first", "a cat", "a dog"),
        ("what is it?", "first", "two cats", "a dog"),
    ]
    assert [[shade_of(media) for media in row["context"]] for row in rows] == [[1], [3, 2]]


@pytest.mark.parametrize(
    "record",
    [
        {"prompt": "<image>what is it?", "chosen": "a cat", "rejected": " a dog\n"},
        {"chosen": [*SHARED, assistant("a cat")], "rejected": [*SHARED, assistant("a dog")]},
        {"prompt": "what is it?", "chosen": [*SHARED, assistant("a cat")], "rejected": [*SHARED, assistant("a dog")]},
        {
            "prompt": [{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "what is it?"}]}],
            "chosen": [{"role": "assistant", "content": [{"type": "text", "text": "a cat"}]}],
            "rejected": [{"role": "assistant", "content": [{"type": "text", "text": "a dog"}]}],
        },
        {
            "prompt": [{"from": "human", "value": "what is it?"}],
            "chosen": {"from": "gpt", "value": "a cat"},
            "rejected": {"from": "gpt", "value": "a dog"},
        },
    ],
    ids=["texts", "implicit prompt", "prompt as text too", "parts", "from and value"],
)
@pytest.mark.parametrize(
    ("media", "task"), [({"image": 2}, "image_understanding"), ({"videos": [2]}, "video_understanding")]
)
def test_every_way_of_writing_it_means_the_same(tmp_path: Path, record, media, task):
    write_media(tmp_path)
    write_trl(tmp_path / "a.jsonl", [record | media])
    (row,), rejected = read_all("trl", tmp_path)
    assert not rejected
    assert (shown(row), row["task"]) == (("what is it?", "first", "a cat", "a dog"), task)
    assert shade_of(row["context"][0]) == 2


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"images": []}, "no picture or clip"),
        ({"images": None}, "no picture or clip"),
        ({"images": [99]}, "missing picture"),
        ({"images": ["cut"]}, "undecodable picture"),
        ({"images": [{"path": None}]}, "images holds no picture"),
        ({"chosen": None}, "no chosen"),
        ({"chosen": []}, "no turns in chosen"),
        ({"chosen": 7}, "no turns in chosen"),
        ({"chosen": [user("a cat")]}, "chosen is not one answer"),
        ({"chosen": [assistant("a cat"), user("sure?"), assistant("yes")]}, "chosen is not one answer"),
        ({"chosen": [assistant(" ")]}, "empty turn in chosen"),
        ({"chosen": [{"role": "assistant", "content": [{"type": "sound"}]}]}, "chosen is no chat"),
        ({"chosen": [{"role": 7, "content": "x"}]}, "chosen is no chat"),
        ({"rejected": [assistant("a cat")]}, "the same answer twice"),
        ({"prompt": [user("a"), assistant("b"), user("c")]}, "prompt is not one question"),
        ({"prompt": [user("<image>")]}, "empty question"),
        ({"prompt": None}, "no prompt that chosen and rejected begin with"),
        ({"prompt": None, "chosen": "what? a cat", "rejected": "what? a dog"}, "no prompt"),
    ],
)
def test_what_is_no_pair_is_put_aside_alone(tmp_path: Path, changes, reason):
    write_media(tmp_path)
    write_trl(tmp_path / "a.jsonl", [WHOLE, WHOLE | changes, WHOLE])
    rows, rejected = read_all("trl", tmp_path)
    assert len(rows) == 2
    assert [why for _, why in reasons(rejected)] == [reason]


def test_a_folder_without_records_is_one_sentence(tmp_path: Path):
    write(tmp_path / "readme.md", "x")
    with pytest.raises(SourceError, match="holds no"):
        read_all("trl", tmp_path)


def test_what_we_export_for_it_comes_back(tmp_path: Path):
    from helpers import answer_pair

    from urm_ray.exports.trl import TrlPairs

    rows = [answer_pair(n) for n in (5, 9)]
    export = TrlPairs(tmp_path, "image_understanding", frames=4)
    for row in rows:
        export.write(row)
    export.close()
    found, rejected = read_all("trl", tmp_path)
    assert not rejected
    assert [shown(one) for one in found] == [
        (row["prompt"], "first", row["chosen"]["text"], row["rejected"]["text"]) for row in rows
    ]
    assert [one["context"][0]["sha256"] for one in found] == [row["context"][0]["sha256"] for row in rows]
