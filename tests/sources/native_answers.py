"""Small copies of the data sets of judged answers, each with broken records among the good ones."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pyarrow as pa
from sources.native import IMAGE, TURNS, cut, grey, grey_clip, image, write, write_all, write_parquet, write_zip

JUDGE = (
    "Given an image and a corresponding question, please serve as an unbiased and fair judge to evaluate the quality "
    "of the answers provided by a Large Multimodal Model (LMM)."
)


def bracket_question(question: str, first: str, second: str, labels: tuple[str, str]) -> str:
    return (
        f"{JUDGE} Determine which answer is better and explain your reasoning with specific details. Your task is "
        f"provided as follows:\nQuestion: [{question}]\n{labels[0]}: [{first}]\n{labels[1]}: [{second}]\nASSISTANT:\n"
    )


def arena_question(question: str, first: str, second: str) -> str:
    return (
        f"<|User Prompt|>\n{question}\n\n<|The Start of Assistant A's Answer|>\n{first}\n<|The End of Assistant A's "
        f"Answer|>\n\n<|The Start of Assistant B's Answer|>\n{second}\n<|The End of Assistant B's Answer|>"
    )


def bench_question(question: str, first: str, second: str) -> str:
    return (
        f"[Context]\na caption\n\n[Question]\n{question}\n\n[Assistant 1]\n{first}\n\n[End of Assistant 1]\n\n"
        f"[Assistant 2]\n{second}\n\n[End of Assistant 2]\n\n[System]\nPlease rate helpfulness from 1 to 10."
    )


def caption_question(caption: str) -> str:
    return (
        f"Text Caption: {caption}\nFrom 0 to 100, how much do you rate for this Text Caption in terms of the correct "
        'and comprehensive description of the image?\nProvide the rate number at last after "Final Score:".'
    )


def alone_question(question: str, answer: str, scale: str = "out of 100") -> str:
    return (
        f"{JUDGE} Score the response {scale} and explain your reasoning. Your task is provided as follows:\n"
        f"Question: [{question}]\nThe LMM response: [{answer}]\nASSISTANT:\n"
    )


NUMBERED, LETTERED = ("Response 1", "Response 2"), ("Response A", "Response B")
NAMED = ("The first response", "The second response")


def write_llava_critic(folder: Path) -> None:
    columns = {"id": pa.string(), "source": pa.string(), "conversations": TURNS, "image": IMAGE}

    def row(question: str, answer: str, **changes: Any) -> dict[str, Any]:
        turns = [{"from": "human", "value": f"<image>\n{question}"}, {"from": "gpt", "value": answer}]
        own = {"id": "vlfeedback_1", "source": "vlfeedback", "conversations": turns, "image": image(grey(5), "a.jpg")}
        return own | changes

    two = "What is it?", "A cat.", "A [grey] dog."
    pairwise = [
        row(bracket_question(*two, NUMBERED), "The better response: [2]. Because it is a dog."),
        row(bracket_question(*two, LETTERED), "It is a cat.\nThe better response: [A]"),
        row(bracket_question(*two, NAMED), "**The better response:** [first]."),
        row(bracket_question(*two, NAMED), "The two responses are equally good. Both see an animal."),
        row(bracket_question(*two, NUMBERED), "The better response: [1]. No. The better response: [2]."),
        row(bracket_question(*two, NUMBERED), "The better response: [3]."),
        row(bracket_question(*two, NUMBERED), "Response 2 is better than Response 1."),
        row(bracket_question(*two, NUMBERED), "They are not equally good."),
        row(bracket_question("What?", "A cat.", "A cat.", NUMBERED), "The better response: [1]."),
        row(bracket_question("What?", "x]\nResponse 2: [y", "z", NUMBERED), "The better response: [1]."),
        row(bracket_question("What?", " ", "z", NUMBERED), "The better response: [2]."),
        row("Which is better, a cat or a dog?", "The better response: [1]."),
        row(bracket_question(*two, NUMBERED), "The better response: [1].", image=None),
        row(bracket_question(*two, NUMBERED), "The better response: [1].", image=image(cut(7))),
        row(bracket_question(*two, NUMBERED), "x", conversations=[{"from": "human", "value": "<image>"}]),
        row(bracket_question(*two, NUMBERED), "The better response: [1].", image=image(grey(6, "WEBP"))),
    ]
    pointwise = [
        row(caption_question("A grey wall."), "It is grey.\nFinal Score: 85"),
        row(alone_question("What is it?", "A wall."), "Score: [70] It is grey."),
        row(arena_question(*two), "Assistant A sees a cat.\n\nMy final verdict is: [[A>>B]]"),
        row(arena_question(*two), "Both are right. So [[A=B]]."),
        row(arena_question(*two), "At first [[A>B]], then [[B>A]]."),
        row(bench_question(*two), "6 8\nThe second is more precise."),
        row(bench_question(*two), "7.5 7.5\nThe same."),
        row(bench_question(*two), "6 80\nThe scales differ."),
        row(bench_question(*two), "The second is better."),
        row(caption_question("A grey wall."), "Final Score: 85\nOr rather:\nFinal Score: 58"),
        row(caption_question("A grey wall."), "Final Score: 8/10"),
        row(caption_question("A grey wall."), "Final Score: 850"),
        row(caption_question("A grey wall."), "Final Score: nan"),
        row(alone_question("What is it?", "A wall.", "from 0 to 5"), "Score: [4] It is grey."),
    ]
    write_parquet(folder / "pairwise/train-00000-of-00001.parquet", pairwise, columns, group=6)
    write_parquet(folder / "pointwise/train-00000-of-00001.parquet", pointwise, columns)


def sharegptvideo_record(video: Any, **changes: Any) -> dict[str, Any]:
    return {
        "id": "v_1",
        "video": video,
        "prompt": "<video>\nWhat does he do?",
        "chosen": "He jumps.",
        "rejected": "He sits.",
        "chosen_score": 5,
        "rejected_score": 2,
    } | changes


def write_sharegptvideo_dpo(folder: Path, zipped: bool = False) -> None:
    frames = {f"walk/c01_{n:04}.jpeg": grey(n) for n in (1, 2, 10)}
    frames |= {"walk/.listing": b"", "bad/c01_0001.jpeg": cut(8)}
    if zipped:
        write_zip(folder / "dpo_train_data.zip", {f"dpo_train_data/{name}": data for name, data in frames.items()})
    else:
        write_all(folder / "train_300k", frames)
    write(folder / "run.mp4", grey_clip(7))
    of = sharegptvideo_record
    records = [
        of("walk"),
        of("run", chosen={"from": "gpt", "value": "He runs."}, chosen_score="4", rejected_score=3.5),
        of("run.mp4", prompt=None, conversations=[{"from": "human", "value": "<video>\nAnd now?"}]),
        of("walk", rejected="He jumps."),
        of("walk", chosen_score=2, rejected_score=2),
        of("walk", chosen_score=None),
        of("walk", chosen_score=math.nan, rejected_score=9),
        of("walk", rejected=""),
        of("walk", chosen=None),
        of("walk", prompt="<video>\n"),
        of(None),
        of("walk", chosen_score="10", rejected_score="9"),
        of("gone"),
        of("bad"),
        of("../../walk"),
    ]
    lines = [json.dumps(record) for record in records]
    lines.insert(3, '{"id": "cut')
    write(folder / "video_instruction/train/dpo/sft_dpo_17k.jsonl", "\n".join(lines) + "\n\n")
