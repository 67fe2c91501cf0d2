"""What the protocol of a run's judge changes, and what of it is refused before any work."""

import pytest
import yaml
from helpers import TASK

from urm_ray.config_file import build
from urm_ray.judge.protocol import ProtocolError
from urm_ray.pipeline.run import Run

GIVEN = {"path": "somewhere", "readout": "generate"}


@pytest.fixture(autouse=True)
def known_models(monkeypatch):
    monkeypatch.setattr(Run, "model_digest", lambda self, path: f"digest of {path}")


def judge_digest(**settings) -> str:
    pairs, task = settings.pop("pairs", {}), settings.pop("task", TASK)
    return Run(build({"tasks": [task], "judge": settings, "pairs": pairs})).judge_digest


def test_what_a_protocol_says_makes_another_judge_and_its_name_does_not(tmp_path):
    def saved(name: str, ask: str) -> str:
        kinds = {"pair": {"ask": ask}, "point": {"ask": "{{ context }}{{ candidate }}{{ prompt }}?", "scale": "1-5"}}
        path = tmp_path / name
        path.write_text(yaml.safe_dump({"about": "A test.", "tasks": {TASK: kinds}}), "utf-8")
        return str(path)

    plain = "{{ context }}{{ first }}{{ second }}{{ prompt }}?"
    one = judge_digest(**GIVEN, protocol=saved("one.yaml", plain))
    assert judge_digest(**GIVEN, protocol=saved("two.yaml", plain)) == one
    assert judge_digest(**GIVEN, protocol=saved("one.yaml", f"{plain}!")) != one
    assert judge_digest(**GIVEN, protocol="unifiedreward_qwen") != one


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        ({"protocol": "other"}, "no protocol 'other'; there are unified"),
        # A judge that the run trains learns to give closed answers.
        ({"protocol": "unifiedreward_llava"}, r"answers that have to be decoded .* judge\.path"),
        ({"protocol": "unifiedreward_llava", "readout": "generate"}, "answers that have to be decoded"),
        ({"protocol": "unifiedreward_llava", "path": "somewhere"}, r"set judge\.readout to generate"),
        (GIVEN | {"protocol": "unifiedreward_think"}, r"does not ask point questions .*pairs\.construction: pair"),
        (GIVEN | {"protocol": "lift"}, "lift does not ask pair questions about image_generation"),
        (GIVEN | {"protocol": "unifiedreward_edit", "pairs": {"calls": 5}}, r"pairs\.calls: 5 .* one takes 6"),
    ],
)
def test_a_protocol_that_does_not_fit_the_run_is_refused_before_any_work(settings, why):
    with pytest.raises(ProtocolError, match=why):
        judge_digest(**settings)


def test_a_judge_that_compares_alone_does_where_pairs_go_by_rank():
    assert judge_digest(**GIVEN, protocol="unifiedreward_think", pairs={"construction": "pair"})
    assert judge_digest(**GIVEN, protocol="unifiedreward_think", pairs={"construction": "bradley_terry"})
    assert judge_digest(**GIVEN, protocol="unifiedreward_edit")
    assert judge_digest(readout="generate")


def test_a_judge_that_scores_alone_does_where_nothing_is_compared():
    scores = GIVEN | {"protocol": "lift", "task": "video_generation"}
    assert judge_digest(**scores, pairs={"ranking": "none", "construction": "best_of"})
    with pytest.raises(ProtocolError, match="lift does not ask pair questions about video_generation"):
        judge_digest(**scores, pairs={"construction": "point"})
