import math

import pytest

from urm_ray.report.charts import Mark, Series, domain_of, gain_domain, line_chart, stacked, ticks, whiskers
from urm_ray.report.markup import Html, el, join, path
from urm_ray.report.wording import count, duration, interval, number, percent


@pytest.mark.parametrize(
    ("low", "high", "wanted", "expected"),
    [
        (0, 300, 6, ([0, 50, 100, 150, 200, 250, 300], 0)),
        (0.53, 0.71, 4, ([0.55, 0.6, 0.65, 0.7], 2)),
        (-0.03, 0.06, 4, ([-0.025, 0.0, 0.025, 0.05], 3)),
        (0, 7, 6, ([0, 2, 4, 6], 0)),
    ],
)
def test_ticks_are_round(low: float, high: float, wanted: int, expected: tuple[list[float], int]) -> None:
    found, digits = ticks(low, high, wanted)
    assert found == pytest.approx(expected[0])
    assert digits == expected[1]


@pytest.mark.parametrize("scale", [1e-7, 1e-3, 1.0, 3.7e5])
def test_ticks_lie_within_and_are_not_too_many(scale: float) -> None:
    low, high = -0.31 * scale, 0.87 * scale
    found, _ = ticks(low, high, 4)
    assert 2 <= len(found) <= 8
    assert all(low <= t <= high for t in found)


def test_a_domain_is_the_unit_or_round_bounds() -> None:
    assert domain_of([{"value": 0.4, "ci95": [0.3, 0.5]}, None]) == (0.0, 1.0)
    low, high = domain_of([{"value": 3.4, "ci95": [3.31, 3.52]}])
    assert low <= 3.31 < 3.52 <= high
    low, high = domain_of([{"value": 3.4, "ci95": [3.4, 3.4]}])
    assert low < 3.4 < high
    low, high = gain_domain([{"value": -0.2, "ci95": [-0.35, 0.1]}])
    assert low == -high
    assert high >= 0.35
    assert gain_domain([None]) == (-1.0, 1.0)
    low, high = gain_domain([{"value": 1e-12, "ci95": [0.0, 1e-12]}])
    assert low < 0 < 1e-12 <= high


def test_charts_draw_what_can_be_drawn() -> None:
    series = Series("loss", "winner", [(1, 0.5), (2, math.nan), (3, 0.25)])
    line = line_chart("loss", [series], "step", "loss", (0.7, "ln 2"))
    assert line.count("<circle") == 2
    assert "nan" not in line
    assert "step" in line
    assert "ln 2" in line
    assert "Nothing was logged." in line_chart("loss", [Series("loss", "winner", [])], "step", "loss")
    assert "<circle" in line_chart("one", [Series("loss", "winner", [(0, 0.0)])], "step", "loss")
    marks = [Mark("a", "after", {"value": None, "ci95": [None, None], "n": 0}), Mark("b", "before", None)]
    assert "<circle" not in whiskers(marks, (0.0, 1.0))
    assert "nan" not in stacked([(0, "a", "none")])


def test_markup_escapes_text_and_keeps_markup() -> None:
    assert el("p", "a < b", el("b", "&"), title='"x"') == '<p title="&quot;x&quot;">a &lt; b<b>&amp;</b></p>'
    assert el("img", src="data:,", alt=None) == '<img src="data:,">'
    assert join(["<", None, Html("<br>")]) == "&lt;<br>"
    assert path("pkg.a:b/<c>") == "<code>pkg.<wbr>a:<wbr>b/&lt;c&gt;</code>"


def test_figures_are_written_for_people() -> None:
    assert [number(v, signed=True) for v in (None, math.nan, -0.0001, 0.25)] == ["—", "—", "0.000", "+0.250"]
    assert number(-0.25) == "\N{MINUS SIGN}0.250"
    assert interval({"value": 1, "ci95": [None, None]}) == interval(None) == "—"
    assert interval({"value": 0.2, "ci95": [0.1, 0.3]}, signed=True) == "+0.100 to +0.300"
    assert [duration(s) for s in (0.04, 59.94, 59.96, 75)] == ["0.0 s", "59.9 s", "1 min 00 s", "1 min 15 s"]
    assert [duration(s) for s in (3599.6, 3661)] == ["1 h 00 min", "1 h 01 min"]
    assert [count(n, "prompt") for n in (1, 1200)] == ["1 prompt", "1,200 prompts"]
    assert [percent(1, whole) for whole in (3, 0)] == ["33.3%", "—"]
