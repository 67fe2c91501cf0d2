"""Each format is read back by the tool's own loader if it is installed, else by a reader of its documented format."""

import io
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from datasets import load_dataset
from exports.rows import pairs_folder, preferences_folder, sifted
from helpers import as_answers, pair_preference, point_preference, shade_of
from PIL import Image
from transformers import AutoProcessor
from trl.trainer.dpo_trainer import DataCollatorForVisionPreference

from urm_ray.clips import read_clip
from urm_ray.exports.export import export
from urm_ray.judge.protocol import protocol


def load_json(folder: Path, name: str) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """A data set as LLaMA-Factory finds it: by its name in dataset_info.json, with the columns said there."""
    info = json.loads((folder / "dataset_info.json").read_text())[name]
    rows = load_dataset("json", data_files=str(folder / info["file_name"]), split="train", cache_dir=str(folder / "c"))
    assert set(info["columns"].values()) <= set(rows.column_names)
    assert info["formatting"] == "sharegpt"
    assert info["tags"] | {"role_tag": "role", "content_tag": "content"} == info["tags"]
    return rows.to_list(), info


def slots(text: str, kind: str = "image") -> int:
    return text.count(f"<{kind}>")


def test_trl_collates_what_was_written_for_it(tmp_path, vlm_path):
    export("trl", pairs_folder(tmp_path, {"image_understanding": 3}), str(tmp_path / "out"))
    rows = load_dataset(
        "parquet", data_files=str(tmp_path / "out" / "*.parquet"), split="train", cache_dir=str(tmp_path / "cache")
    )
    assert [[shade_of(image) for image in row["images"]] for row in rows] == [[0], [1], [2]]
    assert rows[1]["chosen"] == [{"role": "assistant", "content": "right answer 1, “ä”"}]
    processor = AutoProcessor.from_pretrained(vlm_path)
    batch = DataCollatorForVisionPreference(processor)([dict(row) for row in rows])
    assert batch["input_ids"].shape[0] == 6
    assert len(batch["image_grid_thw"]) == 6
    said = [
        processor.tokenizer.decode(ids[mask.bool()], skip_special_tokens=True).strip()
        for ids, mask in zip(batch["input_ids"], batch["completion_mask"], strict=True)
    ]
    wanted = [processor.tokenizer.decode(processor.tokenizer(text).input_ids, skip_special_tokens=True).strip()
              for side in ("right", "wrong") for text in [f"{side} answer {n}, “ä”" for n in range(3)]]  # fmt: skip
    assert said == wanted
    assert torch.isfinite(batch["pixel_values"]).all()


@pytest.mark.parametrize(("task", "kind"), [("image_understanding", "image"), ("video_understanding", "video")])
def test_llama_factory_finds_pairs_and_their_files(tmp_path, task, kind):
    export("llama-factory", pairs_folder(tmp_path, {task: 3}), str(tmp_path / "out"))
    rows, info = load_json(tmp_path / "out", f"urm_ray_{task}")
    assert info["ranking"] is True
    for number, row in enumerate(rows):
        (message,) = row["messages"]
        assert message == {"role": "user", "content": f"<{kind}>prompt {number}"}
        assert row["chosen"] == {"role": "assistant", "content": f"right answer {number}, “ä”"}
        assert row["rejected"]["content"] == f"wrong answer {number}, “ä”"
        (file,) = row[f"{kind}s"]
        data = (tmp_path / "out" / file).read_bytes()
        assert data == sifted(task, number)["context"][0]["data"]
        assert file.endswith({"image": ".png", "video": ".mp4"}[kind])


def test_ms_swift_finds_pairs_wherever_it_is_started(tmp_path, monkeypatch):
    source = pairs_folder(tmp_path, {"image_understanding": 2, "video_understanding": 1})
    monkeypatch.chdir(tmp_path)
    export("ms-swift", source, "out")
    monkeypatch.chdir("/")
    for task, column, count in (("image_understanding", "images", 2), ("video_understanding", "videos", 1)):
        rows = [json.loads(line) for line in (tmp_path / "out" / f"{task}.jsonl").read_text().splitlines()]
        assert len(rows) == count
        for number, row in enumerate(rows):
            user, chosen = row["messages"]
            assert [m["role"] for m in (user, chosen)] == ["user", "assistant"]
            assert slots(user["content"], column.removesuffix("s")) == len(row[column]) == 1
            assert (chosen["content"], row["rejected_response"]) == tuple(
                f"{side} answer {number}, “ä”" for side in ("right", "wrong")
            )
            assert Path(row[column][0]).read_bytes() == sifted(task, number)["context"][0]["data"]


def test_a_trainer_of_pick_a_pic_puts_the_winner_first(tmp_path):
    export("pick-a-pic", pairs_folder(tmp_path, {"image_generation": 3}), str(tmp_path / "out"))
    rows = load_dataset(
        "parquet", data_files=str(tmp_path / "out" / "*.parquet"), split="train", cache_dir=str(tmp_path / "cache")
    )
    for number, row in enumerate(rows):
        shades = [shade_of(Image.open(io.BytesIO(row[name]))) for name in ("jpg_0", "jpg_1")]
        if row["label_0"] == 0:
            shades.reverse()
        assert shades == [20 * number, 20 * number + 100]
        assert row["caption"] == f"prompt {number}"
        assert row["label_0"] + row["label_1"] == 1
        assert row["best_image_uid"] == row["image_0_uid"] != row["image_1_uid"]


def test_a_trainer_of_videodpo_finds_its_clips(tmp_path):
    export("videodpo", pairs_folder(tmp_path, {"video_generation": 2}), str(tmp_path / "out"))
    rows = json.loads((tmp_path / "out" / "dpo_data.json").read_text())
    assert [row["caption"] for row in rows] == ["prompt 0", "prompt 1"]
    for number, row in enumerate(rows):
        for side in ("chosen", "rejected"):
            clip = read_clip((tmp_path / "out" / row[side]).read_bytes())
            assert clip["sha256"] == sifted("video_generation", number)[side]["media"]["sha256"]


def test_llama_factory_trains_a_judge_on_the_questions_we_ask(tmp_path):
    texts = as_answers(pair_preference(2, "second"), "a cat", "a dog")
    point = point_preference(3, 4.0)
    source = preferences_folder(tmp_path, [pair_preference(0), texts, point])
    export("llama-factory-judge", source, str(tmp_path / "out"))
    rows, info = load_json(tmp_path / "out", "urm_ray_judge_image_generation")
    assert "ranking" not in info
    asked = [row["messages"] for row in rows]
    answers = [messages[1]["content"] for messages in asked]
    assert answers == ["Image 1 is better than Image 2.", "Image 2 is better than Image 1.", "Final Score: 4"]
    for row, messages in zip(rows, asked, strict=True):
        assert slots(messages[0]["content"]) == len(row["images"])
    first, swapped = ([shade_of(Image.open(tmp_path / "out" / name)) for name in row["images"]] for row in rows[:2])
    assert (first, swapped) == ([10, 20], [20, 10])
    form = protocol("unified").form("image_generation", "point")
    assert asked[2][0]["content"] == "".join(
        part.get("text", "<image>") for part in form.messages(point["prompt"])[0]["content"]
    )
    rows, _ = load_json(tmp_path / "out", "urm_ray_judge_image_understanding")
    assert [row["messages"][1]["content"] for row in rows] == [
        "Answer 2 is better than Answer 1.",
        "Answer 1 is better than Answer 2.",
    ]
    content = [row["messages"][0]["content"] for row in rows]
    assert [text.index("a cat") < text.index("a dog") for text in content] == [True, False]
    assert all(slots(text) == 1 for text in content)
