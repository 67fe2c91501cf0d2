"""Results as tables to be pasted into a paper: a table a benchmark, a row a judge, percent with 95% intervals."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from urm_ray.report.wording import NONE, count, interval_of, number, value_of

Result = Mapping[str, Any]
"""What `results.measured` gives, with `judge` and `benchmark`."""

_PART = "\N{DAGGER}"
_ESCAPED = {c: f"\\{c}" for c in "&%$#_{}"} | {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}"}
_ESCAPED |= {"^": r"\textasciicircum{}", _PART: r"$^\dagger$", NONE: "--"}


_SAME = {"order_agreement": "Same in both orders", "first_position": "For the first shown"}
_TIED = {"tau": "tau", "diff": "diff", "tau_merged": "tau, merged", "diff_merged": "diff, merged"} | _SAME
_UNTIED = {"tau": "Accuracy", "tau_merged": "Right in both orders"} | _SAME
"""Names of the figures of a category, in benchmarks with and without ties."""


def as_markdown(results: Sequence[Result]) -> str:
    """All benchmarks as Markdown, and how the judges answered."""
    parts = []
    for own in _by_benchmark(results):
        head, rows = _table(own, "{} ({} to {})")
        parts.append(f"**{own[0]['title']}**\n\n{_drawn([head, *rows])}{_notes(own)}")
    note = "Percent, with 95% intervals in brackets; n counts items, and in other columns what their names say.\n"
    return "\n".join([*parts, f"**How they answered**\n\n{_drawn(_answers(results))}", note])


def as_latex(results: Sequence[Result]) -> str:
    """All benchmarks as LaTeX tabulars, which need no package."""
    parts = []
    for own in _by_benchmark(results):
        head, rows = _table(own, "{} [{}, {}]")
        lines = [" & ".join(map(_escaped, line)) + r" \\" for line in (head, *rows)]
        body = "\n".join([lines[0], r"\hline", *lines[1:]])
        form = "l" + "r" * (len(head) - 1)
        note = "".join(f"% {line}\n" for line in _notes(own).splitlines() if line)
        parts.append(f"% {own[0]['title']}\n\\begin{{tabular}}{{{form}}}\n{body}\n\\end{{tabular}}\n{note}")
    return "\n".join(parts)


def categories(results: Sequence[Result]) -> str:
    """The figures of each category as Markdown: a table for each judge and benchmark that has categories."""
    parts = []
    for result in results:
        if not result["groups"]:
            continue
        names = _TIED if result["figures"]["human_ties"] else _UNTIED
        lines = [["Category", *names.values(), "n"]]
        for group, figures in result["groups"].items():
            indent = "\N{EN SPACE}" * ("/" in group)
            cells = [_cell(figures[name], "{} ({} to {})") for name in names]
            lines.append([indent + group.rpartition("/")[2], *cells, count(figures["tau"]["n"])])
        parts.append(f"**{result['title']}: {result['judge']}**\n\n{_drawn(lines)}")
    return "\n".join(parts) if parts else "No benchmark with categories was asked.\n"


def _by_benchmark(results: Iterable[Result]) -> list[list[Result]]:
    found: dict[str, list[Result]] = {}
    for result in results:
        found.setdefault(result["benchmark"], []).append(result)
    return list(found.values())


def _table(own: Sequence[Result], form: str) -> tuple[list[str], list[list[str]]]:
    """The head and a row a judge; how many items a column has stands in the head where all judges have as many."""
    names = list(dict.fromkeys(column["name"] for result in own for column in result["columns"]))
    columns = [{column["name"]: column for column in result["columns"]} for result in own]
    sizes = {name: {found[name]["n"] for found in columns if name in found} for name in names}
    head = ["Judge", *(f"{name} (n {count(*sizes[name])})" if len(sizes[name]) == 1 else name for name in names)]
    rows = []
    for result, found in zip(own, columns, strict=True):
        cells = []
        for name in names:
            text = _cell(found.get(name), form)
            cells.append(text if len(sizes[name]) == 1 or name not in found else f"{text}, n {count(found[name]['n'])}")
        rows.append([result["judge"] + _PART * (result["complete"] is False), *cells])
    return head, rows


def _cell(figure: Mapping[str, Any] | None, form: str) -> str:
    found = interval_of(figure)
    if found is None:
        return NONE
    return form.format(*(_percent(value) for value in (value_of(figure), *found)))


def _percent(value: float | None) -> str:
    return number(None if value is None else 100 * value, digits=1)


def _notes(own: Sequence[Result]) -> str:
    """Which judges were not asked about the whole benchmark, a line each."""
    lines = []
    for result in own:
        items = result["items"]
        left_out = [f"{count(n)} {reason}" for kind in ("skipped", "put_aside") for reason, n in items[kind].items()]
        if result["complete"] is False:
            told = f"; left out: {', '.join(left_out)}" if left_out else ""
            lines.append(f"{_PART} {result['judge']}: not the whole benchmark, {count(items['asked'], 'item')}{told}.")
    return "\n" + "\n\n".join(lines) + "\n" if lines else ""


def _answers(results: Sequence[Result]) -> list[list[str]]:
    lines = [["Judge", "Benchmark", *_SAME.values(), "Ties", "Without an answer"]]
    for result in results:
        figures = result["figures"]
        said = figures["verdicts"]
        silent = sum(said[name] for name in ("unparsed", "refused", "media_error"))
        shares = [_cell(figures[name], "{} ({} to {})") for name in _SAME]
        counted = [f"{count(n)} of {count(sum(said.values()))}" for n in (said["tie"], silent)]
        lines.append([result["judge"], result["title"], *shares, *counted])
    return lines


def _drawn(lines: Sequence[Sequence[str]]) -> str:
    ruled = [lines[0], ["---"] * len(lines[0]), *lines[1:]]
    return "".join(f"| {' | '.join(cell.replace('|', '/') for cell in line)} |\n" for line in ruled)


def _escaped(text: str) -> str:
    return "".join(_ESCAPED.get(sign, sign) for sign in text)
