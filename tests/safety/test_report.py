"""The page shows every text of the data as that text, and nothing of it becomes markup, a link or a formula."""

import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest
from helpers import candidate_set
from hypothesis import given
from hypothesis import strategies as st
from report.finished_run import Page, candidate, evaluated, finished_run, sifted, verdict

from urm_ray import store
from urm_ray.config_training import Task
from urm_ray.pairs.standings import STANDINGS, standings
from urm_ray.report.markup import el, path
from urm_ray.report.page import render_page
from urm_ray.report.summary import Sources, summary

EVIL = "\"'><img src=x onerror=evil()><script>evil()</script></style></title></textarea>--><svg/onload=evil()>&lt;{n}"
LINK = "javascript:evil()//{n}"
PLAIN = "quiet text number {n}"
TASKS: tuple[Task, ...] = ("image_generation", "video_understanding")


class Words:
    """A different text of one kind each time; `given` holds them all."""

    def __init__(self, form: str) -> None:
        self.form, self.given = form, 0

    def __call__(self) -> str:
        self.given += 1
        return self.form.replace("{n}", f"{self.given:03d}")


def hostile_run(folder: Path, form: str) -> Sources:
    """A finished run in which all that comes from data, models, files and settings is of a form."""
    word = Words(form)
    policies = {task: {"path": word(), "evaluate": {"scorer": word()}} for task in TASKS}
    settings: dict[str, Any] = {"judge_base": {"path": word()}, "report": {"title": word(), "grid": 6, "pairs": 3}}
    prompts = [word() for _ in range(12)]
    sources = finished_run(folder, tasks=TASKS, settings=settings | {"policies": policies}, prompts=prompts)
    for task in TASKS:
        _rewrite(sources, task, prompts, word)
    mix = store.read_json(sources.stages["reward"].path("mix.json"))
    for group in mix["groups"]:
        group |= {name: word() for name in ("source", "scale", "dimension")}
    store.write_json(sources.stages["reward"].path("mix.json"), mix)
    return sources


def _rewrite(sources: Sources, task: Task, prompts: list[str], word: Words) -> None:
    """Answers, errors, verdicts, reasons and names of figures of a task."""
    from report.finished_run import EVALUATED, write

    from urm_ray import schema

    answers = task.endswith("understanding")
    rows = [sifted(i, p, None if i < 6 else word(), 8, task) for i, p in enumerate(prompts)]
    for row in rows:
        spoken = {"media": None, "text": word(), "error": None} if answers else {}
        row["candidates"] = [c | spoken for c in row["candidates"]]
        row["pair_verdicts"] = [verdict(0, 1, "unparsed", (None, None, None)) | {"text": word(), "reason": word()}]
        for side in ("chosen", "rejected"):
            row[side] = row[side] and row[side] | ({"text": word()} if answers else {})
    write(sources.of("pairs", task), "sifted", rows, schema.SIFTED_SET, 4)
    lost = [evaluated("b", i, p, [float(i % 2)], 8, task) for i, p in enumerate(prompts)]
    for row in lost:
        row["candidates"] = [candidate(0, "x", 8, task) | {"media": None, "text": None, "error": word()}]
    write(sources.of("baseline", task), "before", lost, EVALUATED, 4)
    for name in ("pairs", "evaluate"):
        file = sources.of(name, task).path("manifest.json")
        manifest = store.read_json(file)
        if name == "pairs":
            manifest["audit"]["dropped"] = {word(): 2, word(): 4}
        else:
            manifest["figures"]["all"][word()] = manifest["figures"]["all"]["colour"]
        store.write_json(file, manifest)


def skeleton(page: Page) -> list[tuple[str, list[str]]]:
    """Elements and the names of their attributes, but for the places at which paths may break."""
    return [(tag, sorted(attributes)) for tag, attributes in page.tags if tag != "wbr"]


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Page]:
    found = {}
    for form in (PLAIN, EVIL, LINK):
        sources = hostile_run(tmp_path_factory.mktemp("run"), form)
        found[form] = Page(render_page(sources, summary(sources)))
    return found


@pytest.mark.parametrize("form", [EVIL, LINK])
def test_no_text_of_the_data_becomes_an_element_or_an_attribute(pages, form):
    page = pages[form]
    assert page.mismatched == []
    assert skeleton(page) == skeleton(pages[PLAIN])
    assert not [tag for tag, _ in page.tags if tag in ("script", "iframe", "object", "embed", "base", "form", "link")]
    assert not [name for _, attributes in page.tags for name in attributes if name.startswith("on")]


@pytest.mark.parametrize("form", [EVIL, LINK])
def test_links_stay_in_the_page_and_pictures_are_inside_it(pages, form):
    links = [value or "" for _, a in pages[form].tags for name, value in a.items() if name in ("href", "action")]
    assert links
    assert all(link.startswith("#") for link in links)
    for _, attributes in pages[form].tags:
        assert (attributes.get("src") or "data:image/").startswith("data:image/")
    (policy,) = [a for a in pages[form].all("meta") if a.get("http-equiv") == "Content-Security-Policy"]
    assert "default-src 'none'" in str(policy["content"])


@pytest.mark.parametrize("form", [EVIL, LINK])
def test_what_was_said_is_shown_as_it_was_said(pages, form):
    """Prompts, answers, errors, settings, reasons and names: nothing was left out to be safe."""
    begins, _, ends = form.partition("{n}")
    shown = pages[form].text
    numbers = {int(piece[:3]) for piece in shown.split(begins)[1:] if piece[3:].startswith(ends)}
    plain = pages[PLAIN].text
    assert {int(piece[:3]) for piece in plain.split("quiet text number ")[1:]} == numbers
    assert len(numbers) > 50


def test_the_figures_are_json_that_steers_no_terminal(tmp_path):
    sources = hostile_run(tmp_path, "\x1b]0;owned\x07\x1b[2J\u202e{n}")
    store.write_json(str(tmp_path / "report.json"), summary(sources))
    data = (tmp_path / "report.json").read_bytes()
    assert set(data) <= {10, *range(32, 127)}
    assert "\x1b" in "".join(json.loads(data)["tasks"][TASKS[0]]["pairs"]["dropped"])


@given(st.text())
def test_any_text_comes_back_as_it_was_as_content_and_as_attribute(text):
    page = Page(el("p", text, title=text))
    (attributes,) = page.all("p")
    said = text.replace("\r\n", "\n").replace("\r", "\n").replace("\0", "\ufffd")
    assert page.open == page.mismatched == []
    assert [tag for tag, _ in page.tags] == ["p"]
    assert list(attributes) == ["title"]
    if not {"\0", "\r"} & set(text):
        assert (page.text, attributes["title"]) == (said, said)
    assert {tag for tag, _ in Page(path(text)).tags} <= {"code", "wbr"}


FORMULAS = ['=HYPERLINK("http://x")', "+1+cmd|' /C calc'!A0", "-2+3", "@SUM(A1)", "\t=1", "\r=1", " =1", "\n=1"]
FORMULAS += ["\uff1d1"]


@pytest.mark.parametrize("text", FORMULAS)
def test_no_cell_of_the_standings_is_a_formula(text):
    row = candidate_set(2) | {"prompt_id": text, "prompt": text, "pair_verdicts": [], "point_verdicts": []}
    row["candidates"] = [c | {"media": None, "text": text, "error": text} for c in row["candidates"]]
    stream = io.StringIO(newline="")
    table = csv.DictWriter(stream, STANDINGS)
    table.writerows(standings(row))
    stream.seek(0)
    for line in csv.reader(stream):
        assert sum(cell == f"'{text}" for cell in line) == 4
        assert not [cell for cell in line if cell.strip()[:1] in tuple("=+-@\uff1d")]


@given(st.text())
def test_other_texts_of_the_standings_are_as_they_are_and_numbers_too(text):
    row = candidate_set(1) | {"prompt": text, "pair_verdicts": []}
    row["point_verdicts"] = [{"index": 0, "score": -1.5, "reason": None}]
    (line,) = standings(row)
    assert line["prompt"] in (text, f"'{text}")
    assert line["prompt"] == text or text.lstrip(" \n")[0] in "=+-@\t\r\uff1d\uff0b\uff0d\uff20"
    assert line["score"] == -1.5
