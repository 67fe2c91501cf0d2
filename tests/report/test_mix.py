from pathlib import Path
from typing import Any

from report.finished_run import Page, finished_run, mix_of

from urm_ray.report.mix import mix_section
from urm_ray.report.page import render_page
from urm_ray.report.summary import summary
from urm_ray.schema import TASKS


def rows_of(page: Page, kind: str) -> int:
    """Rows of the tables of a CSS class."""
    inside, found = False, 0
    for tag, attributes in page.tags:
        inside = attributes.get("class") == kind if tag == "table" else inside
        found += inside and tag == "tr"
    return found


def test_the_page_and_the_figures_hold_the_mixture(tmp_path: Path) -> None:
    sources = finished_run(tmp_path, tasks=TASKS)
    figures = summary(sources)
    assert figures["mix"] == mix_of(TASKS)
    page = Page(render_page(sources, figures))
    assert rows_of(page, "counts") == 1 + 2 * 4
    assert "One pass holds 920 examples" in page.text
    assert page.text.count("asked 25.0%") == 4


def test_a_task_that_is_repeated_says_so() -> None:
    mix: dict[str, Any] = mix_of(["image_generation", "video_generation"])
    mix["tasks"]["video_generation"] = {"rows": 10, "examples": 40, "share": 0.3, "weight": 0.5, "repeats": 2.5}
    text = Page(mix_section(mix)).text
    assert "10 rows, each 2.5 times: 40 examples" in text
    assert "30.0%asked 50.0%" in text
    assert "130 rows: 230 examples" in text


def test_names_from_data_are_shown_as_text() -> None:
    mix = mix_of(["image_generation"])
    mix["groups"][0]["source"] = mix["groups"][1]["dimension"] = "<script>"
    page = Page(mix_section(mix))
    assert not page.all("script")
    assert page.text.count("<script>") == 2
