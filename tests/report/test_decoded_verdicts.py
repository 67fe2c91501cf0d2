import pytest

from urm_ray.report.extremes import _verdict


@pytest.mark.parametrize(
    ("outcome", "index", "said"),
    [
        ("first", 4, "shown firstbetter"),
        ("second", 4, "shown firstworse"),
        ("second", 7, "shown secondbetter"),
        ("first", 7, "shown secondworse"),
        ("tie", 7, "shown secondtie"),
        ("refused", 4, "shown firstrefused"),
    ],
)
def test_a_decoded_verdict_is_told_from_the_side_of_the_candidate(outcome, index, said):
    verdict = {"first": 4, "second": 7, "outcome": outcome, "p_first": None, "p_second": None, "p_tie": None}
    html = str(_verdict(verdict, index, "chosen"))
    assert "".join(part.partition(">")[2] for part in html.split("<")) == said
