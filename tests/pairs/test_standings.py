import itertools

import pytest
from helpers import candidate, candidate_set, pair_verdict, point_verdict
from hypothesis import given
from hypothesis import strategies as st

from urm_ray import schema, store
from urm_ray.pairs.standings import STANDINGS, STANDINGS_FROM, standings


def judged(count: int, verdicts: list, points: list) -> dict:
    return candidate_set(count) | {"pair_verdicts": verdicts, "point_verdicts": points}


def test_each_candidate_has_its_pairs_its_score_and_its_place():
    row = judged(
        4,
        [
            *(pair_verdict(0, 1, "first"), pair_verdict(1, 0, "second")),  # 0 beats 1
            *(pair_verdict(2, 3, "first"), pair_verdict(3, 2, "first")),  # no verdict: it goes by place
            *(pair_verdict(0, 2, "tie"), pair_verdict(2, 0, "tie")),
            pair_verdict(1, 3, "unparsed"),
        ],
        [point_verdict(i, score) for i, score in enumerate((4.0, 2.0, 3.0, 3.5))],
    )
    lines = standings(row)
    assert [set(line) for line in lines] == [set(STANDINGS)] * 4
    counts = [(line["wins"], line["ties"], line["losses"]) for line in lines]
    assert counts == [(1, 1, 0), (0, 0, 1), (0, 1, 0), (0, 0, 0)]
    assert [line["place"] for line in lines] == [1, 4, 3, 2]


def test_equals_share_a_place_and_what_was_not_judged_has_none():
    broken = point_verdict(2, None, "media_error") | {"reason": "no picture"}
    lines = standings(judged(3, [], [point_verdict(0, 3.0), point_verdict(1, 3.0), broken]))
    assert [line["place"] for line in lines] == [1, 1, None]
    assert lines[2]["error"] == "no picture"


def test_a_line_says_which_file_or_text_it_is_about():
    file = candidate(0)
    file["media"]["uri"] = "mine/cat.jpg"
    texts = candidate(1, media=None, text="a cat")
    failed = candidate(2, media=None, error="unreadable picture: x")
    row = judged(0, [], []) | {"candidates": [file, texts, failed]}
    assert [line["name"] for line in standings(row)] == ["mine/cat.jpg", "a cat", None]
    assert standings(row)[2]["error"] == "unreadable picture: x"


def test_all_that_a_line_needs_is_read_and_no_picture_is(tmp_path):
    verdicts = [pair_verdict(0, 1, "first") | {"text": "the first"}, pair_verdict(1, 0, "second")]
    points = [point_verdict(0, 4.0), point_verdict(1, None, "media_error") | {"reason": "no picture"}]
    row = judged(3, verdicts, points) | {"scale": None, "judge_digest": "judge"}
    row["candidates"][0]["media"]["uri"] = "mine/cat.jpg"
    row["candidates"][2] |= {"media": None, "error": "unreadable picture: x"}
    file = str(tmp_path / "judged.parquet")
    store.write_table(file, schema.table_of([row], schema.JUDGED_SET))
    (read,) = store.read_leaves(file, STANDINGS_FROM).to_pylist()
    assert standings(read) == standings(row)
    assert read["candidates"][0]["media"] == {"uri": "mine/cat.jpg"}


@given(
    st.lists(st.tuples(st.sampled_from(["first", "second", "tie", "unparsed"]), st.booleans()), max_size=6), st.data()
)
def test_wins_and_losses_are_as_many(outcomes, data):
    pairs = list(itertools.combinations(range(4), 2))[: len(outcomes)]
    verdicts = [pair_verdict(*(p if keep else p[::-1]), o) for p, (o, keep) in zip(pairs, outcomes, strict=True)]
    scores = [data.draw(st.none() | st.floats(1, 5)) for _ in range(4)]
    lines = standings(
        judged(4, verdicts, [point_verdict(i, s, "score" if s else "unparsed") for i, s in enumerate(scores)])
    )
    assert sum(line["wins"] for line in lines) == sum(line["losses"] for line in lines)
    placed = [line["place"] for line in lines if line["place"] is not None]
    assert not placed or min(placed) == 1
    assert all(1 <= place <= len(placed) for place in placed)


@pytest.mark.parametrize("count", [0, 1])
def test_nothing_to_rank_is_no_error(count):
    assert len(standings(judged(count, [], []))) == count
