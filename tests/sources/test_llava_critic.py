from pathlib import Path

from sources.native import read_all, reasons, shade_of, shown
from sources.native_answers import write_llava_critic

PAIRS, POINTS = "pairwise/train-00000-of-00001.parquet:{}", "pointwise/train-00000-of-00001.parquet:{}"
TWO = "A cat.", "A [grey] dog."


def test_what_a_row_is_stands_in_its_question_and_not_in_its_config(tmp_path: Path):
    write_llava_critic(tmp_path)
    rows, rejected = read_all("llava-critic", tmp_path)
    assert [(*shown(row), row["rationale"]) for row in rows] == [
        ("What is it?", "second", *TWO, "Because it is a dog."),
        ("What is it?", "first", *TWO, "It is a cat."),
        ("What is it?", "first", *TWO, None),
        ("What is it?", "tie", *TWO, "Both see an animal."),
        ("What is it?", "first", *TWO, None),
        ("Describe the image correctly and comprehensively.", 85, "A grey wall.", "It is grey."),
        ("What is it?", 70, "A wall.", "It is grey."),
        ("What is it?", "first", *TWO, "Assistant A sees a cat."),
        ("What is it?", "tie", *TWO, "Both are right."),
        ("What is it?", "second", *TWO, "The second is more precise."),
        ("What is it?", "tie", *TWO, "The same."),
    ]
    assert {row["task"] for row in rows} == {"image_understanding"}
    assert {row["scale"]["name"] for row in rows if row["scale"]} == {"0-100"}
    assert [shade_of(row["context"][0]) for row in rows] == [5, 5, 5, 5, 6, *[5] * 6]
    assert reasons(rejected) == [
        (PAIRS.format(5), "verdicts disagree"),
        (PAIRS.format(6), "unknown verdict"),
        (PAIRS.format(7), "no verdict"),
        (PAIRS.format(8), "no verdict"),
        (PAIRS.format(9), "the same answer twice"),
        (PAIRS.format(10), "question cannot be taken apart"),
        (PAIRS.format(11), "empty answer"),
        (PAIRS.format(12), "unknown form of question"),
        (PAIRS.format(13), "no image"),
        (PAIRS.format(14), "undecodable picture"),
        (PAIRS.format(15), "not one question and one answer"),
        (POINTS.format(5), "verdicts disagree"),
        (POINTS.format(8), "unknown verdict"),
        (POINTS.format(9), "no verdict"),
        (POINTS.format(10), "verdicts disagree"),
        (POINTS.format(11), "unknown verdict"),
        (POINTS.format(12), "score outside its scale"),
        (POINTS.format(13), "unknown verdict"),
        (POINTS.format(14), "unknown form of question"),
    ]
