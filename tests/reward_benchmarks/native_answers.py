"""Small copies of benchmarks of answers in their own formats, each with broken records among the good
ones. Pictures and clips are of one grey each (`sources.native`), so that an item can be told by what it shows."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
from sources.native import IMAGE, cut, grey, image, write, write_all, write_parquet

TEXTS = pa.list_(pa.string())


def vl_record(name: str, better: str = "good", worse: str = "bad", **changes: Any) -> dict[str, Any]:
    return {
        "id": name,
        "query": f"<image>\nwhat is in {name}?",
        "response": [f"a {better} answer", f"a {worse} answer"],
        "image": image(grey(5), f"{name}.png"),
        "human_ranking": [0, 1],
        "models": ["one", "two"],
        "judge": "human",
        "rationale": "",
        "query_source": "somewhere",
        "ground_truth": "",
    } | changes


VL_BROKEN = [
    vl_record("unheard-of_1"),
    vl_record("RLHF-V-9", image=None),
    vl_record("RLHF-V-10", response=["one alone"]),
    vl_record("RLHF-V-11", human_ranking=[1, 1]),
    vl_record("RLHF-V-12", image=image(cut(3))),
]
VL_COLUMNS = {
    "id": pa.string(),
    "query": pa.string(),
    "response": TEXTS,
    "image": IMAGE,
    "human_ranking": pa.list_(pa.int64()),
    **dict.fromkeys(("judge", "rationale", "query_source", "ground_truth"), pa.string()),
    "models": TEXTS,
}


def write_vl_rewardbench(folder: Path) -> None:
    """Two items of each kind of id but RLAIF and mathverse; two of an id that differ; one whose second is better."""
    good = [
        vl_record("hallucination_pair-1003"),
        vl_record("hallucination_pair-10032", "fair", "bad"),
        vl_record("RLAIF-V-14"),
        vl_record("RLHF-V-31", "bad", "good", human_ranking=[1, 0]),
        vl_record("wildvision-battle-13"),
        vl_record("jailbreak-Fraud-29"),
        vl_record("svit-complex_reasoning-876"),
        vl_record("mathverse_2279"),
        vl_record("mmmu_pro_test_Marketing_150"),
        vl_record("mmmu_pro_test_Marketing_150", "good", "fair"),
    ]
    write_parquet(folder / "data/test-00000-of-00001.parquet", [*good, *VL_BROKEN], VL_COLUMNS, group=4)


def write_vl_copy(folder: Path) -> None:
    """UnifiedReward's copy: a JSON list beside the pictures."""
    rows = [vl_record("hallucination_pair-1003"), vl_record("mathverse_2279", human_ranking=["0", "1"])]
    for row in rows:
        row["image"] = f"images/{row['id']}.png"
        write(folder / "VL-RewardBench" / row["image"], grey(7, "PNG"))
    write(folder / "VL-RewardBench/data.json", json.dumps(rows))


def reward_record(name: str, category: str, better: str = "Output1", **changes: Any) -> dict[str, Any]:
    outputs = ("a good answer", "a bad answer") if better == "Output1" else ("a bad answer", "a good answer")
    return {
        "ID": name,
        "Text": f"what is in {name}?",
        "Image": f"images/{name}.jpg",
        "Output1": outputs[0],
        "Output2": outputs[1],
        "Better": better,
        "Meta": {"Category": category},
    } | changes


REWARD_RECORDS = [
    reward_record("nocaps_13062", "open_generation/correctness_task"),
    reward_record("visitbench_235", "open_generation/preference_task", "Output2"),
    reward_record("mathvista_1", "reasoning"),
    reward_record("EMMA-Coding_2", "reasoning", "Output2"),
    reward_record("pairs_3", "safety"),
    reward_record("hateful_4", "safety"),
    reward_record("broken_5", "vqa", Better="Output3"),
    reward_record("broken_6", "vqa", Meta={}),
    reward_record("broken_7", "vqa", Image="images/nowhere.jpg"),
]


def write_multimodal_rewardbench(folder: Path) -> None:
    write(folder / "data/all_data.json", json.dumps(REWARD_RECORDS, indent=2))
    write_all(folder / "data", {r["Image"]: grey(4) for r in REWARD_RECORDS if "nowhere" not in r["Image"]})


def write_multimodal_parquet(folder: Path) -> None:
    names = ("ID", "Text", "Output1", "Output2", "Better", "Category")
    rows = [{**r, "Image": image(grey(4)), "Category": r["Meta"].get("Category")} for r in REWARD_RECORDS[:6]]
    columns = dict.fromkeys(names, pa.string()) | {"Image": IMAGE}
    write_parquet(folder / "data/test-00000-of-00001.parquet", rows, columns)


def mmrb2_pair(name: str, prompt: Any, first: Any, second: Any, chosen: str = "A", **changes: Any) -> dict[str, Any]:
    return {
        "id": name,
        "prompt_source": "evalmuse",
        "prompt_content": prompt,
        "response_a": {"model_name": "one", "response_content": first},
        "response_b": {"model_name": "two", "response_content": second},
        "chosen": chosen,
        "human_annotations": [1, 1, 2],
    } | changes


def write_mmrb2(folder: Path) -> None:
    """The four files as the benchmark's script builds them; the pictures are named by their shades."""
    good, bad = [["text", "a good answer"]], [["text", "a bad answer"]]
    story = [["text", "first"], ["image", "images/5.png"], ["text", "then"], ["image", "images/9.png"]]
    two = [["image", "input_images/3.png"], ["text", "which of"], ["image", "input_images/4.png"], ["text", "is dark?"]]
    pairs = {
        "t2i": [
            mmrb2_pair("t1", [["text", "a dog"]], [["image", "images/5.png"]], [["image", "images/9.png"]]),
            mmrb2_pair("t2", [["text", "a cat"]], [["image", "images/9.png"]], [["image", "images/5.png"]], "B"),
            mmrb2_pair("t3", [["text", "a cat"]], [["image", "images/9.png"]], [["image", "images/gone.png"]], "B"),
            mmrb2_pair("t4", [["text", "a cat"]], [["image", "images/9.png"]], [["image", "images/5.png"]], "C"),
        ],
        "edit": [
            mmrb2_pair(
                "e1",
                [["image", "input_images/3.png"], ["text", "make it dark"]],
                [["image", "images/5.png"]],
                [["image", "images/9.png"]],
            ),
            mmrb2_pair("e2", [["text", "three at once"]], [["image", "images/5.png"]] * 3, [["image", "images/9.png"]]),
        ],
        "interleaved": [
            mmrb2_pair("i1", [["text", "tell a story"]], story, bad),
            mmrb2_pair("i2", [["text", "tell a story"]], [["sound", "x.wav"]], bad),
        ],
        "reasoning": [mmrb2_pair("r1", two, good, bad), mmrb2_pair("r2", two, bad, good, "B", prompt_source=None)],
    }
    for task, own in pairs.items():
        write(folder / f"{task}.json", json.dumps({"pairs": own}))
    write_all(folder / "images", {f"{shade}.png": grey(shade, "PNG") for shade in (5, 9)})
    write_all(folder / "input_images", {f"{shade}.png": grey(shade, "PNG") for shade in (3, 4)})


def write_mmrb2_parquet(folder: Path) -> None:
    """As on the hub: a folder a task, texts with places and lists of pictures."""
    columns = dict.fromkeys(("pair_id", "prompt_text", "prompt_source", "chosen"), pa.string())
    columns |= {f"response_{side}_text": pa.string() for side in "ab"}
    columns |= {f"{part}_images": pa.list_(IMAGE) for part in ("prompt", "response_a", "response_b")}
    row: dict[str, Any] = {
        "pair_id": "t1",
        "prompt_text": "a dog",
        "prompt_source": "wise",
        "chosen": "A",
        "prompt_images": [],
        "response_a_text": "",
        "response_a_images": [image(grey(5))],
        "response_b_text": "<image_1>",
        "response_b_images": [image(grey(9))],
    }
    story = {"response_a_text": "first <image_1> then <image_2>", "response_a_images": [image(grey(s)) for s in (5, 9)]}
    words = {"response_b_text": "a bad answer", "response_b_images": []}
    write_parquet(folder / "t2i/test-00000-of-00001.parquet", [row], columns)
    rows = [row | story | words | {"pair_id": "i1"}, row | story | {"pair_id": "i2", "response_a_images": []}]
    write_parquet(folder / "interleaved/test-00000-of-00001.parquet", rows, columns)


def write_sharegptvideo(folder: Path) -> None:
    """UnifiedReward's list, whose clips are folders of frames."""
    frames = [f"frames/c{shade}/{n}.jpg" for shade in (5,) for n in (1, 2, 10)]
    row = {
        "prompt": "<video>\nwhat happens?",
        "images": frames,
        "responses": ["a good answer", "a bad answer"],
        "answer": "Response 1 is better than Response 2.",
    }
    rows = [
        row,
        row | {"responses": row["responses"][::-1], "answer": "Response 2 is better than Response 1."},
        row | {"answer": "Both are fine."},
        row | {"answer": "Response 1 is better than Response 1."},
        row | {"images": ["frames/c5/1.jpg", "frames/gone.jpg"]},
    ]
    write(folder / "test.json", json.dumps(rows))
    write_all(folder, {name: grey(5) for name in frames})
