"""Items of benchmarks of answers in their published formats; broken records cost themselves alone."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from helpers import pair_preference, point_preference
from reward_benchmarks.asking import agrees, ask_all, label, shade, words_of
from reward_benchmarks.native_answers import (
    vl_record,
    write_mmrb2,
    write_mmrb2_parquet,
    write_multimodal_parquet,
    write_multimodal_rewardbench,
    write_sharegptvideo,
    write_vl_copy,
    write_vl_rewardbench,
)
from sources.native import grey, write

from urm_ray import schema, store
from urm_ray.reward_benchmarks.registry import benchmark
from urm_ray.reward_benchmarks.vl_rewardbench import group_of
from urm_ray.sources.fields import FieldError


def test_vl_rewardbench_has_its_groups_by_the_beginning_of_ids(tmp_path: Path):
    write_vl_rewardbench(tmp_path)
    rows, aside, engine = ask_all("vl_rewardbench", tmp_path)
    assert [(r["cluster"], r["group"]) for r in rows] == [
        ("hallucination_pair-1003", "hallucination/povid"),
        ("hallucination_pair-10032", "hallucination/povid"),
        ("RLAIF-V-14", "hallucination/rlaif-v"),
        ("RLHF-V-31", "hallucination/rlhf-v"),
        ("wildvision-battle-13", "general/wildvision-battle"),
        ("jailbreak-Fraud-29", "general/vlfeedback"),
        ("svit-complex_reasoning-876", "general/vlfeedback"),
        ("mathverse_2279", "reasoning/mathverse"),
        ("mmmu_pro_test_Marketing_150", "reasoning/mmmu"),
        ("mmmu_pro_test_Marketing_150", "reasoning/mmmu"),
    ]
    assert [label(r)["overall"] for r in rows] == ["first"] * 3 + ["second"] + ["first"] * 6
    assert all(map(agrees, rows))
    assert len({r["item_id"] for r in rows}) == 10  # 25 ids of the benchmark occur twice, with other answers
    assert [reason for _, reason in aside] == [
        "unknown group",
        "no image",
        "not two answers and their ranks",
        "not two answers and their ranks",
        "undecodable picture",
    ]
    words = [part["text"] for q in engine.asked for part in q.messages[0]["content"] if part["type"] == "text"]
    assert not any("<image>" in text for text in words)
    assert [shade(q.media[0]) for q in engine.asked] == [5] * 20


@pytest.mark.parametrize(
    ("item_id", "group"),
    [
        ("hallucination_pair-1003", "hallucination"),
        ("RLAIF-V-14", "hallucination"),
        ("RLHF-V-31", "hallucination"),
        ("mathverse_1294", "reasoning"),
        ("mmmu_pro_test_Electronics_6", "reasoning"),
        ("wildvision-battle-13", "general"),
        ("jailbreak-typo-HateSpeech-70", "general"),
        ("LRVInstruction-000000007746", "general"),
        ("politics-Gov_Decision-124", "general"),
        ("svit-complex_reasoning-876", "general"),
    ],
)
def test_each_beginning_of_an_id_is_in_its_official_group(item_id, group):
    assert group_of(item_id).partition("/")[0] == group


def test_the_sizes_of_the_groups_are_those_of_the_beginnings():
    """As counted in the 1,250 ids; without the beginning "hallucination" they would be 631, 301 and 318."""
    beginnings = {
        "hallucination": 448,
        "RLAIF": 233,
        "wildvision": 173,
        "mathverse": 167,
        "mmmu": 151,
        "RLHF": 68,
        "jailbreak": 7,
        "LRVInstruction": 1,
        "politics": 1,
        "svit": 1,
    }
    sizes = dict.fromkeys(benchmark("vl_rewardbench").sizes, 0)
    for beginning, count in beginnings.items():
        sizes[group_of(f"{beginning}-1").partition("/")[0]] += count
    assert sizes == benchmark("vl_rewardbench").sizes == {"general": 183, "hallucination": 749, "reasoning": 318}
    assert sum(sizes.values()) == 1250


def test_an_id_that_is_not_known_is_in_no_group():
    with pytest.raises(FieldError, match="unknown group"):
        group_of("povid_1")


def test_the_json_copy_of_vl_rewardbench_has_its_pictures_beside_it(tmp_path: Path):
    write_vl_copy(tmp_path)
    rows, aside, engine = ask_all("vl_rewardbench", tmp_path)
    assert [r["cluster"] for r in rows] == ["hallucination_pair-1003", "mathverse_2279"]
    assert aside == []
    assert [label(r)["overall"] for r in rows] == ["first", "first"]
    assert {shade(q.media[0]) for q in engine.asked} == {7}


def test_multimodal_rewardbench_has_the_parts_of_its_categories(tmp_path: Path):
    write_multimodal_rewardbench(tmp_path)
    rows, aside, _ = ask_all("multimodal_rewardbench", tmp_path)
    assert [(r["cluster"], r["group"]) for r in rows] == [
        ("nocaps_13062", "open_generation correctness_task"),
        ("visitbench_235", "open_generation preference_task"),
        ("mathvista_1", "reasoning/math"),
        ("EMMA-Coding_2", "reasoning/coding"),
        ("pairs_3", "safety/bias"),
        ("hateful_4", "safety/toxicity"),
    ]
    assert all(map(agrees, rows))
    assert [reason for _, reason in aside] == ["Better is not Output1 or Output2", "no Category", "missing picture"]
    write_multimodal_parquet(tmp_path / "hub")
    again, _, _ = ask_all("multimodal_rewardbench", tmp_path / "hub")
    assert [(r["group"], r["labels"]) for r in again] == [(r["group"], r["labels"]) for r in rows]


def test_mmrb2_is_asked_in_the_form_of_each_task(tmp_path: Path):
    write_mmrb2(tmp_path)
    rows, aside, engine = ask_all("mmrb2", tmp_path)
    assert {r["item_id"]: (r["group"], r["task"]) for r in rows} == {
        "e1": ("edit/evalmuse", "image_generation"),
        "e2": ("edit/evalmuse", "image_understanding"),
        "i1": ("interleaved/evalmuse", "image_understanding"),
        "r1": ("reasoning/evalmuse", "image_understanding"),
        "r2": ("reasoning", "image_understanding"),
        "t1": ("t2i/evalmuse", "image_generation"),
        "t2": ("t2i/evalmuse", "image_generation"),
    }
    assert all(agrees(r) for r in rows if r["item_id"] not in ("e2", "i1"))
    assert [reason for _, reason in aside] == [
        "response_content is not of texts and images",
        "missing picture",
        "chosen is not A or B",
    ]
    of_two = [q for q in engine.asked if "[picture 1]\nwhich of\n[picture 2]\nis dark?" in words_of(q)]
    assert [[shade(seen) for seen in q.media] for q in of_two] == [[3, 4]] * 4


def test_words_and_pictures_of_an_answer_are_shown_in_their_order(tmp_path: Path):
    write_mmrb2(tmp_path)
    _, _, engine = ask_all("mmrb2", tmp_path)
    one, two = [q for q in engine.asked if "tell a story" in str(q.messages)]
    for question, order in ((one, ("story", "words")), (two, ("words", "story"))):
        content = question.messages[0]["content"]
        parts = [part.get("text", "picture").strip() for part in content if part.get("text") != "\n"]
        answers = {"story": ["first", "picture", "then", "picture"], "words": ["a bad answer"]}
        start = parts.index("Answer 1:")
        end = parts.index("Answer 2:")
        assert parts[start + 1 : end] == answers[order[0]]
        assert parts[end + 1 : end + 1 + len(answers[order[1]])] == answers[order[1]]
        assert [shade(seen) for seen in question.media] == [5, 9]
        assert "\ue000" not in str(content)


def test_the_hubs_parquet_of_mmrb2_says_the_same(tmp_path: Path):
    write_mmrb2_parquet(tmp_path)
    rows, aside, engine = ask_all("mmrb2", tmp_path)
    assert [(r["item_id"], r["group"]) for r in rows] == [("i1", "interleaved/wise"), ("t1", "t2i/wise")]
    assert [reason for _, reason in aside] == ["response_a has other places than pictures"]
    story = engine.asked[0].messages[0]["content"]
    assert [part.get("text", "").strip() or "picture" for part in story[2:6]] == ["first", "picture", "then", "picture"]
    assert agrees(rows[1])


def test_sharegptvideo_reads_lists_of_frames(tmp_path: Path):
    write_sharegptvideo(tmp_path)
    rows, aside, engine = ask_all("sharegptvideo", tmp_path)
    assert [label(r)["overall"] for r in rows] == ["first", "second"]
    assert all(map(agrees, rows))
    assert len({r["cluster"] for r in rows}) == 1
    assert [reason for _, reason in aside] == ["not two responses and the better one"] * 2 + ["missing clip"]
    assert len(engine.asked[0].media[0].frames) == 8
    assert not any("<video>" in str(q.messages) for q in engine.asked)


@pytest.mark.parametrize("name", ["preferences", "sharegptvideo"])
def test_pairs_of_our_own_schema_are_read_and_points_left_out(tmp_path: Path, name: str):
    rows = [pair_preference(0, "first"), point_preference(1), pair_preference(2, "tie")]
    store.write_table(str(tmp_path / "rows.parquet"), schema.table_of(rows, schema.PREFERENCE))
    found, aside, _ = ask_all(name, tmp_path)
    assert [(r["item_id"], label(r)["overall"]) for r in found] == [("pair0", "first"), ("pair2", "tie")]
    assert aside == []


def test_records_of_vl_rewardbench_that_differ_have_ids_of_their_own(tmp_path: Path):
    rows = [vl_record("mathverse_1"), vl_record("mathverse_1", "fair"), vl_record("mathverse_1")]
    for row in rows:
        row["image"] = "one.png"
    write(tmp_path / "one.png", grey(5, "PNG"))
    write(tmp_path / "data.json", json.dumps(rows))
    found, _, _ = ask_all("vl_rewardbench", tmp_path)
    assert found[0]["item_id"] == found[2]["item_id"] != found[1]["item_id"]
