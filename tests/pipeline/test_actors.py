import random
from collections.abc import Sequence
from typing import Any

import pyarrow as pa
import pytest
from helpers import (
    NOT_A_PICTURE,
    TASK,
    FakeEngine,
    answer_set,
    candidate,
    candidate_set,
    clip,
    of_policy,
    pair_verdict,
    point_verdict,
    prefer_darker,
    prompt_row,
    shade_of,
)
from policies import picture_row

from urm_ray import schema, store
from urm_ray.candidates import image
from urm_ray.candidates.image import seeds
from urm_ray.config import Config, PairsConfig
from urm_ray.judge.protocol import protocol
from urm_ray.judge.scorer import JudgeScorer
from urm_ray.media import encode_image
from urm_ray.pairs.sifting import last_place
from urm_ray.pipeline.actors import AskNothing, Judge, Sample, Score, Sift
from urm_ray.pipeline.counts import gathered
from urm_ray.pipeline.evaluate_policy import EVALUATED
from urm_ray.pipeline.pair_actors import Encode, Reference
from urm_ray.pipeline.units import UNIT, UNIT_ROWS, WriteUnits, mark_unit, plan
from urm_ray.run_folder import Stage
from urm_ray.scenes.grammar import parse
from urm_ray.scenes.render import render

COUNT = 3


class FakeSampler:
    """Makes pictures whose look depends on their whole batch, as half precision does; it keeps what it made."""

    batches: list[list[int]]

    def __init__(self, *arguments):
        FakeSampler.batches = []

    def sample(self, requests, wanted=None):
        made = []
        for start in range(0, len(requests), 4):
            chunk = requests[start : start + 4]
            if wanted is not None and not any(wanted[start : start + 4]):
                made += [{}] * len(chunk)
                continue
            FakeSampler.batches.append([seed for _, seed in chunk])
            shade = sum(seed for _, seed in chunk) % 251
            made += [candidate(shade, seed=seed, text=prompt) for prompt, seed in chunk]
        return [{**c, "index": i} for i, c in enumerate(made)]


@pytest.fixture
def units(tmp_path, monkeypatch) -> list[dict]:
    monkeypatch.setattr(image, "ImageSampler", FakeSampler)
    rows = schema.table_of([prompt_row(n) for n in range(5)], schema.PROMPT)
    store.write_table(str(tmp_path / "prompts" / "unit-000000.parquet"), rows)
    return plan([str(tmp_path / "prompts" / "unit-000000.parquet")], 3)


def sample(folder: str) -> Sample:
    return Sample(Config().model_dump(), TASK, "path", "sampler", COUNT, folder, 1)


def test_a_unit_becomes_candidate_sets_with_the_seeds_of_its_prompts(units, tmp_path):
    made = sample(str(tmp_path / "out"))(pa.Table.from_pylist(units))
    assert made.select(schema.CANDIDATE_SET.names).schema.equals(schema.CANDIDATE_SET)
    assert made["prompt_id"].to_pylist() == [f"p{n}" for n in range(5)]
    assert (made[UNIT].to_pylist(), made[UNIT_ROWS].to_pylist()) == ([0, 0, 0, 1, 1], [3, 3, 3, 2, 2])
    for row in made.to_pylist():
        assert [c["index"] for c in row["candidates"]] == list(range(COUNT))
        assert [c["seed"] for c in row["candidates"]] == seeds(0, row["prompt_id"], COUNT)
        assert {c["text"] for c in row["candidates"]} == {row["prompt"]}


def test_after_a_restart_the_rest_of_a_unit_comes_out_the_same(units, tmp_path):
    folder = str(tmp_path / "out")
    whole = sample(folder)(pa.Table.from_pylist(units[:1]))
    WriteUnits(folder, "prompt_id", schema.CANDIDATE_SET)(whole.slice(0, 2))
    rest = sample(folder)(pa.Table.from_pylist(units[:1]))
    assert rest["prompt_id"].to_pylist() == ["p2"]
    assert rest.equals(whole.slice(2))
    # What nobody waits for is not made again.
    assert len(FakeSampler.batches) == 2


def test_a_unit_whose_rows_are_all_there_makes_nothing(units, tmp_path):
    folder = str(tmp_path / "out")
    whole = sample(folder)(pa.Table.from_pylist(units[1:]))
    extra = whole.set_column(whole.schema.get_field_index(UNIT_ROWS), UNIT_ROWS, pa.array([9, 9], pa.int64()))
    WriteUnits(folder, "prompt_id", schema.CANDIDATE_SET)(extra)
    again = sample(folder)(pa.Table.from_pylist(units[1:]))
    assert len(again) == 0
    assert again.schema.equals(whole.schema)
    assert FakeSampler.batches == []


def test_judged_units_become_sifted_units(tmp_path):
    row = candidate_set(2) | {
        "pair_verdicts": [pair_verdict(0, 1, "first"), pair_verdict(1, 0, "second")],
        "point_verdicts": [point_verdict(0, 4.0), point_verdict(1, 2.0)],
        "scale": None,
        "judge_digest": "judge",
    }
    rows = [row | {"prompt_id": f"p{n}"} for n in range(4)]
    rows[1] |= {"point_verdicts": []}
    file, folder = str(tmp_path / "judged" / "unit-000000.parquet"), str(tmp_path / "sifted")
    store.write_table(file, schema.table_of(rows, schema.JUDGED_SET))
    units = pa.Table.from_pylist(plan([file], 3))
    sifted = Sift(Config().model_dump())(units)
    assert (sifted[UNIT].to_pylist(), sifted[UNIT_ROWS].to_pylist()) == ([0, 0, 0, 1], [3, 3, 3, 1])
    assert sifted["dropped"].to_pylist() == [None, "unparsed", None, None]
    assert sifted["margin"].to_pylist() == [2.0, None, 2.0, 2.0]
    assert sifted["chosen"].to_pylist()[0] == rows[0]["candidates"][0]
    counts = WriteUnits(folder, "prompt_id", schema.SIFTED_SET)(sifted)
    assert gathered(counts) == {("pairs", ""): 3, ("dropped", "unparsed"): 1}
    assert store.read_table(f"{folder}/unit-000000.parquet").schema.equals(schema.SIFTED_SET)
    fewer = Sift(Config().model_dump(), last_place(["p0", "p2", "p3"], 2))(units)["dropped"].to_pylist()
    assert sorted(map(str, fewer)) == ["None", "None", "surplus", "unparsed"]


def test_a_judge_asks_what_pairs_say_and_of_what_is_measured_points_alone(monkeypatch):
    engine = FakeEngine(prefer_darker)
    scorer = JudgeScorer(engine, protocol("unified"))
    monkeypatch.setattr(JudgeScorer, "load", lambda *_, **__: scorer)
    rows = schema.table_of([candidate_set(4), candidate_set(4, prompt_id="p1")], schema.CANDIDATE_SET)
    settings = {"ranking": "swiss", "points": False, "construction": "bradley_terry", "calls": 7}
    config = Config(pairs=PairsConfig(**settings)).model_dump()
    found = Judge(config, "path", "judge", {}, 1)(rows)
    assert found.select(schema.JUDGED_SET.names).schema.equals(schema.JUDGED_SET)
    met = [[(v["first"], v["second"]) for v in row["pair_verdicts"]] for row in found.to_pylist()]
    assert met == [[(0, 1), (1, 0), (2, 3), (3, 2), (0, 2), (2, 0)]] * 2
    assert found["point_verdicts"].to_pylist() == [[], []]
    assert len(engine.asked) == 12
    measured = Judge(config, "path", "judge", {}, 1, rank=False)(rows).to_pylist()
    assert [len(row["point_verdicts"]) for row in measured] == [4, 4]
    assert [row["pair_verdicts"] for row in measured] == [[], []]


def test_where_nothing_is_asked_rows_are_as_judged_without_a_verdict():
    rows = schema.table_of([candidate_set(2)], schema.CANDIDATE_SET)
    found = AskNothing("judge")(rows)
    assert found.schema.equals(schema.JUDGED_SET)
    (row,) = found.to_pylist()
    assert (row["pair_verdicts"], row["point_verdicts"], row["scale"]) == ([], [], None)
    assert len(AskNothing("judge")(rows.slice(0, 0))) == 0


def test_scoring_adds_the_figures_of_the_configured_scorer():
    rows = schema.table_of([candidate_set(2, prompt="a red circle")], schema.CANDIDATE_SET)
    figures = Score("urm_ray.scenes.oracle:Oracle")(rows)["figures"].to_pylist()[0]
    assert {f["index"] for f in figures} == {0, 1}
    assert {f["name"] for f in figures} == {"colour", "shape", "count", "whole"}


class BreaksAtTwo:
    """A scorer that fails at one prompt, and has nothing to say about another."""

    def figures(self, prompt: str, candidate: Any, context: Sequence[Any] = ()) -> dict[str, float | None]:
        if prompt == "prompt 2":
            raise ZeroDivisionError("bad")
        return {"shade": None if prompt == "prompt 3" else float(shade_of(candidate))}


def test_a_prompt_that_the_scorer_fails_at_is_put_aside_and_no_other_row_changes(tmp_path):
    said = {"pair_verdicts": [], "point_verdicts": [], "scale": None, "judge_digest": "judge"}
    rows = [candidate_set(2, prompt_id=f"p{n}", prompt=f"prompt {n}") | said for n in range(4)]
    found = Score("pipeline.test_actors:BreaksAtTwo")(schema.table_of(rows, schema.JUDGED_SET))
    stage = Stage(str(tmp_path), "evaluate", "0")
    counts = WriteUnits(stage.path("after"), "prompt_id", EVALUATED, "evaluate")(
        mark_unit(found, {"unit": 0, "rows": len(rows)})
    )
    reason = "scoring failed 2 times, at last because ZeroDivisionError: bad"
    (file,) = stage.units("quarantine/after")
    listed = {"row_id": "p2", "stage": "evaluate", "reason": reason, "detail": "scorer"}
    assert store.read_table(file).to_pylist() == [listed]
    assert gathered(counts)["put_aside", "scorer"] == 1
    written = stage.rows("after")
    assert written.select(schema.JUDGED_SET.names).to_pylist() == rows
    assert [len(figures) for figures in written["figures"].to_pylist()] == [2, 2, 0, 0]
    assert written["unscored"].to_pylist() == [None, None, reason, None]


def test_sifted_units_become_encoded_units_whole_and_in_order(image_policy, tmp_path):
    rows = [dict.fromkeys(schema.SIFTED_SET.names) | picture_row(n) for n in range(5)]
    rows[1] |= {"dropped": "tie", "chosen": None, "rejected": None}
    file, folder = str(tmp_path / "sifted" / "unit-000000.parquet"), str(tmp_path / "encoded")
    store.write_table(file, schema.table_of(rows, schema.SIFTED_SET))
    made = Encode(Config.model_validate(of_policy(device="cpu")).model_dump(), TASK, image_policy, 1)(
        pa.Table.from_pylist(plan([file], 3))
    )
    assert (made[UNIT].to_pylist(), made[UNIT_ROWS].to_pylist()) == ([0, 0, 0, 1, 1], [3, 3, 3, 2, 2])
    written = WriteUnits(folder, "prompt_id", schema.ENCODED_PAIR)(made)
    assert gathered(written) == {("pairs", ""): 4, ("dropped", "tie"): 1}
    found = pa.concat_tables([store.read_table(f) for f in store.list_files(folder, ".parquet")])
    assert found["prompt_id"].to_pylist() == [row["prompt_id"] for row in rows]
    assert found["dropped"].to_pylist() == [None, "tie", None, None, None]


def test_answers_are_scored_beside_their_picture():
    picture = encode_image(render(parse("a red circle"), random.Random(0)))
    row = answer_set(["a red circle", "a blue square"], prompt="Describe the image.", context=[picture])
    rows = schema.table_of([row], schema.CANDIDATE_SET)
    figures = Score("urm_ray.scenes.truth:Truth")(rows)["figures"].to_pylist()[0]
    assert {(f["index"], f["value"]) for f in figures if f["name"] == "whole"} == {(0, 1.0), (1, 0.0)}


CLIP_TASK = "video_understanding"


@pytest.fixture
def watching(vlm_path) -> dict:
    """Settings of a run whose judge sees clips as frames, and whose policy sees them natively."""
    answers = {"candidates": 2, "answers": {"max_new_tokens": 24, "temperature": 1.5}}
    policy = {"path": vlm_path, "device": "cpu", "sampler": answers, "clips": {"shown": "native", "count": 2}}
    judge = {"clips": {"rate": 2}, "min_mass": 0.0}
    return Config.model_validate(
        {"judge": judge, "pairs": {"ties": "point"}, "policies": {CLIP_TASK: policy}}
    ).model_dump()


def test_questions_about_clips_go_from_the_prompt_to_the_stored_reference(watching, vlm_path, tmp_path):
    rows = [prompt_row(n, task=CLIP_TASK, context=[clip([40 * n, 90, 250 - n])]) for n in range(3)]
    rows[2]["context"][0]["data"] = b"<html>"
    prompts = str(tmp_path / "prompts" / "unit-000000.parquet")
    store.write_table(prompts, schema.table_of(rows, schema.PROMPT))
    units = pa.Table.from_pylist(plan([prompts], 3))
    sets = Sample(watching, CLIP_TASK, vlm_path, "sampler", 2, str(tmp_path / "out"), 1)(units)
    assert [[c["error"] is None for c in row["candidates"]] for row in sets.to_pylist()] == [[True] * 2] * 2 + [
        [False] * 2
    ]
    judged = Judge(watching, vlm_path, "judge", {}, 1)(sets)
    assert [{v["outcome"] for v in row["point_verdicts"]} for row in judged.to_pylist()] == [
        {"score"},
        {"score"},
        {"media_error"},
    ]
    verdicts = str(tmp_path / "judged" / "unit-000000.parquet")
    store.write_table(verdicts, judged.select(schema.JUDGED_SET.names).cast(schema.JUDGED_SET))
    sifted = Sift(watching)(pa.Table.from_pylist(plan([verdicts], 3)))
    assert sifted["dropped"].to_pylist()[2] == "media_error"
    pair = {"dropped": None, "chosen": candidate(0, media=None, text="red"), "rejected": candidate(1, text="a cat")}
    made = [row | (pair if n < 2 else {}) for n, row in enumerate(sifted.select(schema.SIFTED_SET.names).to_pylist())]
    file = str(tmp_path / "sifted" / "unit-000000.parquet")
    store.write_table(file, schema.table_of(made, schema.SIFTED_SET))
    reference = Reference(watching, CLIP_TASK, vlm_path, "reference", 1)
    stored = reference(pa.Table.from_pylist(plan([file], 3)))
    assert reference.reference.pairs.chats.native
    assert stored["unfit"].to_pylist() == [None, None, "media_error"]
    assert all(value < 0 for value in stored["ref_chosen_logps"].to_pylist()[:2])
    assert stored.select(schema.ANSWER_PAIR.names).schema.equals(schema.ANSWER_PAIR)


def test_clips_are_judged(watching, vlm_path):
    clips = [candidate(n, media=clip([30 * n, 200, 100])) for n in range(2)]
    row = candidate_set(0, task="video_generation", candidates=[*clips, candidate(2, media=NOT_A_PICTURE)])
    pairs = {"ranking": "adjacent", "both_orders": True}
    rows, config = schema.table_of([row], schema.CANDIDATE_SET), {**watching, "pairs": pairs}
    judged = Judge(config, vlm_path, "judge", {}, 1, rank=False)(rows).to_pylist()[0]
    assert [v["outcome"] for v in judged["point_verdicts"]] == ["score", "score", "media_error"]
    assert judged["scale"]["name"] == "1-10"
    # Defect 4: the scale that is asked must be one that the judge was trained on.
    learned = Judge(config, vlm_path, "judge", {"video_generation": "1-4"}, 1, rank=False)(rows).to_pylist()[0]
    assert learned["scale"] == {"name": "1-4", "minimum": 1, "maximum": 4}
    assert all(len(v["probabilities"]) == 4 for v in learned["point_verdicts"][:2])
