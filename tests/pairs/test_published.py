"""The published procedure, as `paper_exact` has it, against itself written out."""

from helpers import TASK, FakeWriter, candidate_set, shade_of
from hypothesis import given, settings
from hypothesis import strategies as st

from urm_ray.config_file import build
from urm_ray.judge.protocol import protocol
from urm_ray.judge.scorer import JudgeScorer
from urm_ray.pairs.asking import interview
from urm_ray.pairs.sifting import sift

CONFIG = build({"paper_exact": True})
UNIFIED = protocol("unified")
PAIR, POINT = (UNIFIED.form(TASK, kind) for kind in ("pair", "point"))
VERDICTS, SCORES = list(PAIR.answers.values()), list(POINT.answers.values())


def published(verdicts: list[str], scores: list[int]) -> tuple[int, int] | None:
    """Candidates 0 and 1, 2 and 3, ... are ranked once each; the first wins unless the second is said to be better."""
    winners, losers = [], []
    for number, verdict in enumerate(verdicts):
        pair = (2 * number, 2 * number + 1)
        winners.append(pair[1] if verdict == "second" else pair[0])
        losers.append(pair[0] if verdict == "second" else pair[1])
    chosen = max(winners, key=lambda i: scores[i])
    rejected = min(losers, key=lambda i: scores[i])
    return (chosen, rejected) if scores[chosen] > scores[rejected] else None


def judged(verdicts: list[str], scores: list[int], says=None) -> tuple[dict, FakeWriter]:
    """A set with these verdicts on its adjacent pairs and scores of its candidates, and the engine that gave them."""

    def answer(question) -> str:
        shades = [shade_of(picture) for picture in question.media]
        if len(shades) == 1:
            return POINT.answer_for(scores[shades[0]])
        return (says or {}).get(shades[0] // 2) or PAIR.answer_for(verdicts[shades[0] // 2])

    writer = FakeWriter(answer)
    row = candidate_set(len(scores))
    sitting = JudgeScorer(writer, UNIFIED, readout=CONFIG.judge.readout).sit(row)
    interview(sitting, CONFIG.pairs)
    return row | sitting.columns() | {"judge_digest": "judge"}, writer


@settings(deadline=None)
@given(st.integers(1, 5), st.data())
def test_it_makes_the_same_pairs_wherever_answers_can_be_read(count, data):
    verdicts = data.draw(st.lists(st.sampled_from(VERDICTS), min_size=count, max_size=count))
    scores = data.draw(st.lists(st.sampled_from(SCORES), min_size=2 * count, max_size=2 * count))
    found = sift(judged(verdicts, scores)[0], CONFIG.pairs)
    pair = None if found["dropped"] else (found["chosen"]["index"], found["rejected"]["index"])
    assert pair == published(verdicts, scores)
    assert found["dropped"] in (None, "no_margin")
    assert found["first_preferred"] == verdicts.count("first"), "what the judge said is counted as it was said"


def test_ten_candidates_take_fifteen_answers():
    row, writer = judged(["first"] * 5, [3] * 10)
    shown = [[shade_of(picture) for picture in question.media] for question in writer.asked]
    assert shown == [[0, 1], [2, 3], [4, 5], [6, 7], [8, 9], *([i] for i in range(10))]
    assert all(verdict["text"] for verdict in row["pair_verdicts"] + row["point_verdicts"])


def test_an_answer_that_cannot_be_read_is_no_win_of_the_first():
    row, _ = judged(["first", "second"], [5, 1, 2, 4], says={0: "I would rather not say."})
    found = sift(row, CONFIG.pairs)
    assert (found["winners"], found["losers"]) == ([3], [2])
    assert (found["chosen"]["index"], found["rejected"]["index"]) == (3, 2), "0 and 1 would be (0, 1)"
