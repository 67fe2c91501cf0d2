"""Tables to be pasted: every figure of the results is in them, and they are well formed."""

from __future__ import annotations

import re

import pytest
from reward_benchmarks.predictions import row

from urm_ray.reward_benchmarks.comparison import Measuring
from urm_ray.reward_benchmarks.registry import benchmark
from urm_ray.reward_benchmarks.results import measured
from urm_ray.reward_benchmarks.tables import as_latex, as_markdown, categories

HOW = Measuring(resamples=50)


def result(judge: str, name: str, asked, aside=()):
    return {"judge": judge, "benchmark": name} | measured(benchmark(name), asked, aside, HOW)


def mmrb2(judge: str, right: int):
    asked = [row("first", *["first" if i < right else "second"] * 2, number=i, group="t2i/wise") for i in range(10)]
    return result(judge, "mmrb2", asked)


def lines_of(text: str) -> list[list[str]]:
    return [line.strip("|").split("|") for line in text.splitlines() if line.startswith("|")]


def tables_of(text: str) -> list[list[list[str]]]:
    return [lines_of(block) for block in text.split("\n\n") if block.startswith("|")]


@pytest.fixture
def results():
    votes = [row(label, "first", "first", i) for i, label in enumerate(["first", "second", "tie_good"] * 5)]
    return [mmrb2("ours", 9), result("ours", "genai_bench_image", votes), mmrb2("their_own 7%", 4)]


def test_a_benchmark_has_one_table_with_a_row_for_each_judge(results):
    text = as_markdown(results)
    assert re.findall(r"^\*\*(.+)\*\*$", text, re.MULTILINE) == [
        "MMRB2",
        "GenAI-Bench image, test",
        "How they answered",
    ]
    first, second, answered = tables_of(text)
    assert [line[0].strip() for line in first] == ["Judge", "---", "ours†", "their_own 7%†"]
    assert [line[0].strip() for line in second] == ["Judge", "---", "ours†"]
    assert len(answered) == 2 + 3
    for table in (first, second, answered):
        assert len({len(line) for line in table}) == 1


def test_a_cell_is_the_figure_in_percent_with_its_interval(results):
    first = tables_of(as_markdown(results))[0]
    head = [cell.strip() for cell in first[0]]
    column = head.index("Text to image (n 10)")
    figure = next(c for c in results[0]["columns"] if c["name"] == "Text to image")
    low, high = (round(100 * end, 1) for end in figure["ci95"])
    assert first[2][column].strip() == f"90.0 ({low:.1f} to {high:.1f})"
    assert first[2][head.index("Interleaved (n 0)")].strip() == "—"


def test_what_is_no_whole_benchmark_is_marked_and_told(results):
    text = as_markdown([result("ours", "mmrb2", [], [{"reason": "missing picture"}] * 1234)])
    assert "† ours: not the whole benchmark, 0 items; left out: 1,234 missing picture." in text
    assert "†" not in as_markdown([result("ours", "preferences", [row("first", "first", "first")])])


def test_judges_with_other_numbers_of_items_say_them_in_their_cells():
    few = result("few", "preferences", [row("first", "first", "first", i) for i in range(4)])
    many = result("many", "preferences", [row("first", "first", "first", i) for i in range(1500)])
    table = tables_of(as_markdown([few, many]))[0]
    assert table[0][1].strip() == "tau"
    assert [table[n][1].strip().partition(", n ")[2] for n in (2, 3)] == ["4", "1,500"]


def test_latex_is_balanced_and_escaped(results):
    text = as_latex(results)
    assert text.count(r"\begin{tabular}") == text.count(r"\end{tabular}") == 2
    assert r"their\_own 7\%$^\dagger$" in text
    for block in text.split(r"\begin{tabular}")[1:]:
        form = re.match(r"\{(l?r*)\}", block)
        assert form is not None
        rows = [line for line in block.splitlines() if line.endswith(r"\\")]
        assert {len(re.split(r"(?<!\\)&", line)) for line in rows} == {len(form[1])}
    plain = "\n".join(line for line in text.splitlines() if not line.startswith("%"))
    assert not re.search(r"(?<!\\)[%#]|[^\x00-\x7f]", plain)


def test_categories_have_a_table_for_each_judge_and_benchmark(results):
    text = categories(results)
    assert re.findall(r"^\*\*(.+)\*\*$", text, re.MULTILINE) == ["MMRB2: ours", "MMRB2: their_own 7%"]
    table = tables_of(text)[0]
    assert [line[0].strip() for line in table] == ["Category", "---", "t2i", "wise"]
    assert [line[-1].strip() for line in table[2:]] == ["10", "10"]
    assert [cell.strip() for cell in table[0]] == [
        "Category",
        "Accuracy",
        "Right in both orders",
        "Same in both orders",
        "For the first shown",
        "n",
    ]
    assert "No benchmark" in categories([results[1]])


def test_how_judges_answered_is_counted():
    asked = [row("first", "first", "unparsed", 0), row("first", "tie", "tie", 1)]
    line = tables_of(as_markdown([result("ours", "preferences", asked)]))[-1][2]
    assert [cell.strip() for cell in line[-2:]] == ["2 of 4", "1 of 4"]
