"""Verdicts on prompts of ten candidates, against the published procedure: one question at a time, decoded."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import torch
from parts import parts_of
from rounds import Result, Side, in_turns
from small_vlm import SIDE, small_vlm, tiny_vlm
from trained_judges import KEPT, trained_judge

from urm_ray.config import JudgeConfig
from urm_ray.config_training import Task
from urm_ray.judge.protocol import protocol
from urm_ray.judge.scorer import JudgeScorer
from urm_ray.media import decode_image, encode_image
from urm_ray.pairs.ranking import adjacent, asked_orders
from urm_ray.schema import seed_of

CANDIDATES = 10
ANSWER_TOKENS = 64
"""What the plain procedure may decode at most; answers of the protocol are shorter."""
WORLD_SIDE = 32
JUDGES: dict[str, tuple[Callable[[], str], int]] = {
    "tiny": (lambda: trained_judge(tiny_vlm(), steps=240, batch=32, lr=1e-3), WORLD_SIDE),
    "small": (lambda: small_vlm(KEPT / "small_vlm"), SIDE),
}
"""By size: what makes the judge, and how many pixels a side its pictures have. The small one has random weights, so it
says nothing of use: the plain procedure then decodes the likeliest of the protocol's answers, token by token."""


def prompts(task: Task, count: int, side: int) -> list[dict[str, Any]]:
    """`schema.CANDIDATE_SET` rows: pictures with graded faults, or answers about a picture."""
    from urm_ray.scenes.source import world

    source = world(None, 1, task, {"train_points": count * CANDIDATES})
    points = [row for row in source.read("train_points", 0, count * CANDIDATES) if isinstance(row, dict)]
    rows = []
    for number in range(count):
        own = points[number * CANDIDATES :][:CANDIDATES]
        random.Random(seed_of("judging", number)).shuffle(own)
        candidates = [
            {"index": n, "seed": n, "media": larger(c["media"], side), "text": c["text"], "error": None}
            for n, c in enumerate(row["candidates"][0] for row in own)
        ]
        about = [larger(media, side) for media in own[0]["context"]]
        rows.append({"task": task, "prompt": own[0]["prompt"], "context": about, "candidates": candidates})
    return rows


def larger(media: dict[str, Any] | None, side: int) -> Any:
    return media and encode_image(decode_image(media).resize((side, side)))


class Plain:
    """The published procedure: a question, a batch of its own, greedy decoding, the answer read off the text.

    kept: decodes the likeliest tokens of the form's answers, for judges that say nothing of the kind by themselves.
    """

    def __init__(self, path: str, task: Task, kept: bool) -> None:
        from transformers import AutoModelForImageTextToText, AutoProcessor

        self.model = AutoModelForImageTextToText.from_pretrained(path, dtype=torch.float32).eval()
        self.processor = AutoProcessor.from_pretrained(path)
        self.forms, self.task, self.kept = protocol("unified"), task, kept

    @torch.inference_mode()
    def answer(self, kind: str, prompt: str, about: list[Any], shown: list[Any]) -> str | float | None:
        form = self.forms.form(self.task, kind)  # type: ignore[arg-type]
        texts = [one for one in shown if isinstance(one, str)]
        pictures = [*about, *(one for one in shown if not isinstance(one, str))]
        messages = form.messages(prompt, ["image"] * len(about), texts)
        text = self.processor.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
        inputs = self.processor(text=[text], images=[pictures], return_tensors="pt")
        length = inputs["input_ids"].shape[1]
        only = self._only(form, length) if self.kept else None
        said = self.model.generate(
            **inputs, do_sample=False, max_new_tokens=ANSWER_TOKENS, prefix_allowed_tokens_fn=only
        )
        return form.parse(self.processor.tokenizer.decode(said[0, length:], skip_special_tokens=True).strip())

    def _only(self, form: Any, length: int) -> Callable[[int, Any], list[int]]:
        tokenizer = self.processor.tokenizer
        answers = [tokenizer(a + tokenizer.eos_token, add_special_tokens=False).input_ids for a in form.answers]

        def allowed(_: int, tokens: Any) -> list[int]:
            said = tokens[length:].tolist()
            return sorted({a[len(said)] for a in answers if a[: len(said)] == said and len(a) > len(said)})

        return allowed

    def judge(self, row: dict[str, Any], orders: list[tuple[int, int]]) -> tuple[list[Any], list[Any]]:
        about = [decode_image(media) for media in row["context"]]
        shown = [c["text"] or decode_image(c["media"]) for c in row["candidates"]]
        pairs = [self.answer("pair", row["prompt"], about, [shown[a], shown[b]]) for a, b in orders]
        return pairs, [self.answer("point", row["prompt"], about, [one]) for one in shown]


def decoded(verdict: dict[str, Any]) -> str:
    """What greedy decoding says: an answer that names a candidate begins alike for both, and a tie otherwise."""
    if verdict["p_tie"] > verdict["p_first"] + verdict["p_second"]:
        return "tie"
    return "first" if verdict["p_first"] >= verdict["p_second"] else "second"


def benchmark(rounds: int, size: str, task: Task, both: bool, count: int, target: float) -> Result:
    """size: of JUDGES. both: our side is asked in both orders, and theirs in one, as published. count: prompts."""
    make, side = JUDGES[size]
    path, rows = make(), prompts(task, count, side)
    plain, ours = Plain(path, task, kept=size == "small"), JudgeScorer.load(path, JudgeConfig(), min_mass=0.0)
    once, orders = adjacent(CANDIDATES), asked_orders(adjacent(CANDIDATES), both)
    kept: dict[str, list[Any]] = {}

    def run(name: str, judge: Any) -> int:
        kept[name] = [judge(row) for row in rows]
        return len(rows)

    def agreement() -> dict[str, Any]:
        """Of decoded answers that parse: how many are those that decoding would find by our probabilities."""
        pairs, points = [], []
        values = protocol("unified").form(task, "point").scale.values  # type: ignore[union-attr]
        for mine, (said, scores) in zip(kept["ours"], kept["theirs"], strict=True):
            verdicts = {(v["first"], v["second"]): v for v in mine["pair_verdicts"]}
            pairs += [decoded(verdicts[pair]) == one for pair, one in zip(once, said, strict=True) if one is not None]
            for verdict, score in zip(mine["point_verdicts"], scores, strict=True):
                chances = verdict["probabilities"]
                likeliest = float(values[max(range(len(chances)), key=chances.__getitem__)])
                points += [likeliest == score] if score is not None else []
        return {"pairs": [sum(pairs), len(pairs)], "points": [sum(points), len(points)]}

    mine = Side("urm_ray", lambda: run("ours", lambda row: ours.judge_set(row, orders)))
    theirs = Side("published procedure", lambda: run("theirs", lambda row: plain.judge(row, once)))
    questions = {"ours": len(orders) + CANDIDATES, "theirs": len(once) + CANDIDATES}
    checks: dict[str, Any] = {"questions": questions, "same_verdicts": agreement}
    checks["parts"] = lambda: {
        "ours": parts_of(ours.engine.model, lambda: run("ours", lambda row: ours.judge_set(row, orders))),
        "theirs": parts_of(plain.model, lambda: run("theirs", lambda row: plain.judge(row, once))),
    }
    return in_turns(mine, theirs, rounds, "prompts", target, **checks)
