"""A bad candidate from the file that names it to the training pairs: it costs itself at each stage, with its reason."""

import pyarrow as pa
import pytest
from helpers import TASK, FakeEngine, of_policy, picture, prefer_darker
from poison.cases import BAD_PICTURES
from policies import SIZE

from urm_ray import schema, store
from urm_ray.config import Config
from urm_ray.judge.protocol import protocol
from urm_ray.judge.scorer import JudgeScorer
from urm_ray.pipeline.actors import Judge, ReadCandidates, Sift
from urm_ray.pipeline.pair_actors import Encode
from urm_ray.pipeline.quarantine import failures
from urm_ray.pipeline.units import plan
from urm_ray.sources.prompts import PromptFile

STAGES = ("candidates", "judged", "sifted", "encoded")


@pytest.fixture(scope="module")
def encode(image_policy) -> Encode:
    return Encode(Config.model_validate(of_policy(device="cpu")).model_dump(), TASK, image_policy, 1)


@pytest.fixture
def run(monkeypatch, encode):
    scorer = JudgeScorer(FakeEngine(prefer_darker), protocol("unified"))
    monkeypatch.setattr(JudgeScorer, "load", lambda *_, **__: scorer)

    def through(folder, lines: list[str]) -> dict[str, list[dict]]:
        """The rows of each stage, by what becomes of prompts and candidates in a csv."""
        path = folder / "mine.csv"
        path.write_text("\n".join(["prompt_id,prompt,candidate", *lines]))
        rows = list(PromptFile(str(path), 0, TASK, {"train_prompts": 9}).read("train_prompts", 0, 9))
        config, tables = Config().model_dump(), {}

        def written(name: str, table: pa.Table, columns: pa.Schema) -> pa.Table:
            tables[name] = table.select(columns.names).cast(columns)
            file = str(folder / f"{name}-{len(lines)}" / "unit-000000.parquet")
            store.write_table(file, tables[name])
            return pa.Table.from_pylist(plan([file], len(table)))

        units = written("prompts", schema.table_of(rows, schema.PROMPT), schema.PROMPT)
        sets = ReadCandidates(str(path), TASK, "sampler")(units)
        written("candidates", sets, schema.CANDIDATE_SET)
        units = written("judged", Judge(config, "path", "judge", {}, 1)(sets), schema.JUDGED_SET)
        units = written("sifted", Sift(config)(units), schema.SIFTED_SET)
        written("encoded", encode(units), schema.ENCODED_PAIR)
        return tables

    return through


def by_prompt(table: pa.Table) -> dict[str, dict]:
    return {row["prompt_id"]: row for row in table.to_pylist()}


LINES = [f"p{n},prompt {n},{shade}.png" for n in range(4) for shade in (1, 2, 3, 4)]


@pytest.mark.parametrize("name", BAD_PICTURES)
def test_a_bad_candidate_costs_itself_at_every_stage(run, tmp_path, name):
    for shade in (1, 2, 3, 4):
        picture(shade).resize((SIZE, SIZE)).save(tmp_path / f"{shade}.png")
    (tmp_path / "poison.png").write_bytes(BAD_PICTURES[name].make())
    poisoned = run(tmp_path, [line.replace("1.png", "poison.png") if "p1" in line else line for line in LINES])
    alone = run(tmp_path, [line for line in LINES if "p1" not in line])
    for stage in STAGES:
        found = by_prompt(poisoned[stage])
        own = found.pop("p1")
        assert found == by_prompt(alone[stage])
        assert list(own) == list(found["p0"])
        listed = failures(poisoned[stage], stage)
        assert {row["row_id"] for row in listed} <= {"p1"}
        assert failures(alone[stage], stage) == []
        if stage in ("candidates", "judged"):
            assert listed
            assert all(BAD_PICTURES[name].reason in row["reason"] for row in listed)
    sifted = by_prompt(poisoned["sifted"])["p1"]
    assert sifted["dropped"] is None
    assert [sifted[side]["media"]["uri"] for side in ("chosen", "rejected")] == ["3.png", "4.png"]
    assert by_prompt(poisoned["sifted"])["p0"]["chosen"]["media"]["uri"] == "1.png"
