import base64
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from clip_files import noise
from helpers import TASK, of_policy
from report.finished_run import NO_FIGURE, Page, candidate, evaluated, finished_run, policy_figures, sifted, verdict

from urm_ray import store
from urm_ray.config_training import Task
from urm_ray.media import encode_image
from urm_ray.report import selection
from urm_ray.report.page import render_page
from urm_ray.report.summary import Sources, summary
from urm_ray.schema import TASKS

NASTY = "<script>alert(1)</script> & \"quoted\" 'text' </style>"
PARTS = ["figures", "training", "prompts", "pairs", "sifting"]


def render(sources: Sources) -> str:
    return render_page(sources, summary(sources))


def page_of(sources: Sources) -> Page:
    return Page(render(sources))


@pytest.fixture
def page(tmp_path: Path) -> Page:
    return page_of(finished_run(tmp_path))


def test_is_well_formed_html(tmp_path: Path) -> None:
    text = render(finished_run(tmp_path))
    assert text.startswith('<!doctype html>\n<html lang="en">')
    page = Page(text)
    assert page.open == []
    assert page.mismatched == []
    ids = [a["id"] for _, a in page.tags if "id" in a]
    assert len(ids) == len(set(ids))


def test_all_sections_are_there_in_order(page: Page) -> None:
    of_the_task = [TASK, *[f"{TASK}-{part}" for part in PARTS]]
    assert [a["id"] for a in page.all("section") if "id" in a] == ["run", *of_the_task, "judge", "judge-mix", "time"]
    for said in (
        "A tiny run",
        "0.400",
        "0.600",
        "+0.200",
        "+0.100 to +0.300",
        "pkg:policy",
        "pkg.oracle:Oracle",
        "Pair accuracy",
        "Point Spearman",
        "Order agreement",
        "judge score",
        "the judge itself",
        "independent",
        "ln 2",
        "winner",
        "loser",
        "order disagreement",
        "First preferred",
        "1 min 00 s",
        "2 min 08 s",
        "9 of 12 prompts gave a preference pair",
    ):
        assert said in page.text, said


@pytest.mark.parametrize(
    ("task", "losses"),
    [
        ("image_generation", {"dpo": {"sft_weight": 1.0}}),
        ("image_understanding", {"vlm_dpo": {"loss_type": ["ipo"]}}),
        ("image_understanding", {"vlm_dpo": {"loss_weights": [0.5]}}),
    ],
)
def test_a_loss_that_is_more_than_dpo_is_not_measured_against_ln_2(
    tmp_path: Path, task: Task, losses: dict[str, Any]
) -> None:
    assert "below ln 2" in page_of(finished_run(tmp_path / "plain", tasks=[task])).text
    policy = {"path": "pkg:policy", "evaluate": {"scorer": "pkg.oracle:Oracle"}}
    page = page_of(finished_run(tmp_path / "more", tasks=[task], settings={"policies": {task: policy | losses}}))
    assert "below ln 2" not in page.text
    assert "more or other losses than DPO alone" in page.text


def test_the_page_asks_for_nothing_outside_of_itself(tmp_path: Path) -> None:
    text = render(finished_run(tmp_path))
    page = Page(text)
    assert not {"link", "script", "iframe", "object", "embed", "base", "form"} & {t for t, _ in page.tags}
    ids = {a["id"] for _, a in page.tags if "id" in a}
    for tag, attributes in page.tags:
        assert not {n for n in attributes if n.startswith("on") or n in ("srcset", "action", "style")}, tag
        assert (attributes.get("src") or "data:").startswith("data:")
        assert "href" not in attributes or (attributes["href"] or "").removeprefix("#") in ids
    style = "".join(page.styles)
    assert "url(" not in style
    assert "@import" not in style
    assert "http://" not in text
    assert "https://" not in text
    policy = next(a["content"] for a in page.all("meta") if a.get("http-equiv") == "Content-Security-Policy")
    assert policy == "default-src 'none'; img-src data:; style-src 'unsafe-inline'"


def test_whatever_comes_from_data_is_shown_as_text(tmp_path: Path) -> None:
    settings = {
        "report": {"title": NASTY, "grid": 12, "pairs": 4},
        "judge_base": {"path": NASTY},
    } | of_policy(path=f"/models/{NASTY}", evaluate={"scorer": NASTY})
    rows = [sifted(i, NASTY, None if i < 8 else NASTY, 8) for i in range(12)]
    rows[0]["chosen"] |= {"media": None, "error": NASTY}
    rows[1]["pair_verdicts"][0] |= verdict(0, 1, NASTY, (None, None, None))
    sources = finished_run(tmp_path, settings=settings, prompts=[NASTY] * 12, pairs=rows)
    figures = summary(sources)
    figures["tasks"][TASK]["policy"]["all"][NASTY] = policy_figures()["all"]["colour"]
    text = render_page(sources, figures)
    page = Page(text)
    assert not page.all("script")
    assert page.open == page.mismatched == []
    assert len(page.all("style")) == 1
    assert page.text.count(NASTY) > 20
    assert any(a.get("alt") == f"before: {NASTY}" for a in page.all("img"))
    assert "<script" not in text


def test_shows_as_many_pictures_as_the_configuration_asks_for(page: Page) -> None:
    assert len(page.all("img")) == 5 * 2 + 2 * 2 * 2
    sources = [a["src"] for a in page.all("img")]
    assert len(set(sources)) == len(sources)


def test_pictures_are_the_bytes_of_the_stages(page: Page) -> None:
    chosen = [a for a in page.all("img") if (a["alt"] or "").startswith("chosen")]
    wanted = [candidate(1, f"g{i}", 8)["media"]["data"] for i in (8, 7, 0, 1)]
    assert [base64.b64decode((a["src"] or "").removeprefix("data:image/png;base64,")) for a in chosen] == wanted


def test_best_and_worst_pairs_never_overlap(tmp_path: Path) -> None:
    sources = finished_run(tmp_path, kept=3)
    assert selection.extremes(sources.of("pairs", TASK), "image_generation", 2) == (["g002", "g001"], ["g000"])
    assert len([a for a in page_of(sources).all("img") if (a["alt"] or "").startswith("chosen")]) == 3


def test_verdicts_are_told_from_the_side_of_the_candidate(page: Page) -> None:
    spoken = [a["aria-label"] for a in page.all("svg") if "is better" in (a.get("aria-label") or "")]
    assert spoken[:4] == [
        "candidate 1 is better 0.60, tie 0.30, candidate 0 is better 0.10",  # chosen, shown first
        "candidate 1 is better 0.70, tie 0.20, candidate 0 is better 0.10",
        "candidate 0 is better 0.10, tie 0.20, candidate 1 is better 0.70",  # rejected, shown first
        "candidate 0 is better 0.10, tie 0.30, candidate 1 is better 0.60",
    ]


@pytest.mark.parametrize(("side", "enlarged"), [(8, True), (64, True), (65, False)])
def test_only_small_pictures_are_enlarged_without_smoothing(tmp_path: Path, side: int, enlarged: bool) -> None:
    page = page_of(finished_run(tmp_path, side=side))
    assert {"pixels" in (a["class"] or "").split() for a in page.all("img")} == {enlarged}
    assert any((a.get("class") or "") == "grid wide" for a in page.all("div")) is not enlarged
    assert "image-rendering: pixelated" in "".join(page.styles)


def test_figures_without_a_value_are_dashes(tmp_path: Path) -> None:
    sources = finished_run(tmp_path, none=True)
    figures = summary(sources)
    figures["tasks"]["image_generation"]["pairs"] |= {"order_agreement": NO_FIGURE, "first_preferred": None}
    figures["tasks"]["image_generation"]["judge"] |= {"tie_accuracy": None, "base_pair_accuracy": None}
    page = Page(render_page(sources, figures))
    assert page.text.count("—") > 20
    assert "There is no gain to report." in page.text
    assert page.text.count("Nothing was logged.") == 3
    assert "None" not in page.text


@pytest.mark.parametrize(
    ("interval", "said"),
    [([0.01, 0.3], "lies above zero"), ([-0.1, 0.3], "includes zero"), ([-0.3, -0.1], "lies below zero")],
)
def test_the_headline_says_what_its_interval_shows(tmp_path: Path, interval: list[float], said: str) -> None:
    sources = finished_run(tmp_path)
    figures = summary(sources)
    figures["tasks"]["image_generation"]["policy"]["gain"] = {"value": 0.1, "ci95": interval, "n": 40}
    assert said in Page(render_page(sources, figures)).text


def test_equal_runs_give_equal_bytes_however_their_files_are_cut(tmp_path: Path) -> None:
    runs = [finished_run(tmp_path / str(rows), unit_rows=rows) for rows in (1, 5, 12)]
    pages = [render(run) for run in (*runs, runs[0])]
    assert len(set(pages)) == 1


def test_pictures_are_read_only_from_files_that_hold_a_shown_row(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sources = finished_run(tmp_path, unit_rows=1)
    read: list[list[str]] = []
    whole = store.read_table

    def noted(uri: str, columns: list[str] | None = None) -> object:
        assert columns is not None
        read.append(columns)
        return whole(uri, columns)

    monkeypatch.setattr(store, "read_table", noted)
    render(sources)
    assert sum("candidates" in columns for columns in read) == 2 * 5
    assert sum("chosen" in columns for columns in read) == 4


def test_the_grid_is_spread_over_improved_unchanged_and_worse(page: Page) -> None:
    chips = [a["class"] for a in page.all("span") if (a.get("class") or "").startswith("chip")]
    assert chips == ["chip improved"] * 3 + ["chip unchanged", "chip worse"]
    assert "6 improved by “whole”, 3 stayed as they were and 3 got worse" in page.text
    assert "not picked by hand" in page.text


@pytest.mark.parametrize(
    ("sizes", "count", "places"),
    [
        ({"a": 6, "b": 3, "c": 1}, 10, {"a": 6, "b": 3, "c": 1}),
        ({"a": 97, "b": 2, "c": 1}, 4, {"a": 2, "b": 1, "c": 1}),
        ({"a": 50, "b": 50, "c": 0}, 5, {"a": 3, "b": 2, "c": 0}),
        ({"a": 90, "b": 9, "c": 1}, 1, {"a": 1, "b": 0, "c": 0}),
        ({"a": 1, "b": 1, "c": 0}, 9, {"a": 1, "b": 1, "c": 0}),
        ({"a": 0, "b": 0, "c": 0}, 9, {"a": 0, "b": 0, "c": 0}),
    ],
)
def test_places_go_by_size_and_to_every_group(sizes: dict[str, int], count: int, places: dict[str, int]) -> None:
    assert selection.allot(sizes, count) == places


def test_a_prompt_is_compared_on_its_first_seed_that_was_rated_on_both_sides(tmp_path: Path) -> None:
    before = [evaluated("b", i, f"prompt {i}", [0.5, 0.25], 8) for i in range(12)]
    before[0]["figures"] = before[0]["figures"][1:]
    sources = finished_run(tmp_path, before=before)
    stages = {"before": sources.of("baseline", TASK), "after": sources.of("evaluate", TASK)}
    found = selection.changes(stages, "image_generation", "whole")
    assert "h000" not in {c.prompt_id for c in found}
    assert {(c.index, c.before) for c in found} == {(0, 0.5)}


def test_figures_that_are_not_right_or_wrong_are_numbers(tmp_path: Path, page: Page) -> None:
    assert "✓" in page.text
    assert "✗" in page.text
    graded = page_of(finished_run(tmp_path / "graded", values=[(0.25, 0.75)] * 12))
    assert "✓" not in graded.text
    assert "0.75" in graded.text


def test_a_candidate_without_a_picture_says_why(tmp_path: Path) -> None:
    rows = [sifted(i, f"prompt {i}", None if i < 9 else "tie", 8) for i in range(12)]
    rows[8]["chosen"] |= {"media": None, "error": "the picture was refused"}
    page = page_of(finished_run(tmp_path, pairs=rows))
    assert "the picture was refused" in page.text
    assert len(page.all("img")) == 5 * 2 + 2 * 2 * 2 - 1


def test_a_picture_that_does_not_decode_says_why(tmp_path: Path) -> None:
    rows = [sifted(i, f"prompt {i}", None, 8) for i in range(12)]
    whole = encode_image(noise(1, 8, 8)[0])
    rows[11]["chosen"] |= {"media": whole | {"data": whole["data"][:100]}}
    rows[0]["chosen"] |= {"media": whole | {"data": b"<html>404</html>"}}
    page = page_of(finished_run(tmp_path, pairs=rows))
    assert page.text.count("the picture does not decode") == 1
    assert page.text.count("the bytes are not a picture in") == 1
    assert len(page.all("img")) == 5 * 2 + 2 * 2 * 2 - 2


def test_nothing_to_show_is_said(tmp_path: Path) -> None:
    page = page_of(finished_run(tmp_path, settings={"report": {"grid": 0, "pairs": 0}}))
    assert "No prompt is shown" in page.text
    assert "No pair is shown" in page.text
    assert not page.all("img")


@pytest.mark.parametrize("settings", [{"both_orders": False}, {"orders": "first"}])
def test_one_order_has_nothing_to_agree_with(tmp_path: Path, settings: dict) -> None:
    sources = finished_run(tmp_path, settings={"pairs": settings})
    assert summary(sources)["tasks"][TASK]["pairs"]["order_agreement"]["n"] == 0
    assert "Not measured" in page_of(sources).text


def test_pairs_that_were_drawn_are_shown_as_such_and_may_lack_a_margin(tmp_path: Path) -> None:
    rows = [sifted(i, f"prompt {i}", None, 8) for i in range(12)]
    rows[11] |= {"chosen_score": None, "margin": None}
    settings = {"pairs": {"construction": "random"}, "report": {"pairs": 1}}
    sources = finished_run(tmp_path, settings=settings, pairs=rows)
    assert selection.extremes(sources.of("pairs", TASK), TASK, 1) == (["g010"], ["g000"])
    text = page_of(sources).text
    assert "drawn by a hash" in text
    assert "among the candidates that won a pair" not in text


def test_every_task_has_a_part_that_the_top_leads_to(tmp_path: Path) -> None:
    page = page_of(finished_run(tmp_path, tasks=TASKS))
    ids = [a["id"] for a in page.all("section") if "id" in a]
    of_tasks = [i for task in TASKS for i in (task, *[f"{task}-{part}" for part in PARTS])]
    assert ids == ["run", *of_tasks, "judge", "judge-mix", "time"]
    links = [a["href"] for a in page.all("a")]
    assert links == [f"#{task}" for task in TASKS] * 2 + ["#judge", "#time"]
    assert sum(a.get("class") == "hero" for a in page.all("section")) == 4
    assert page.text.count("9 of 12 prompts gave a preference pair") == 4
    assert page.text.count("Implicit rewards") == page.text.count("Denoising error") == 2


def test_needs_neither_ray_nor_torch() -> None:
    code = "import sys, urm_ray.report.page; sys.exit(bool({'ray', 'torch', 'transformers'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_answers_are_shown_beside_what_they_are_about(tmp_path: Path) -> None:
    rows = [sifted(i, f"question {i}", None, 8, "image_understanding") for i in range(12)]
    for row in rows:
        row["chosen"] |= {"text": "a <b>red</b> square"}
    page = page_of(finished_run(tmp_path, tasks=["image_understanding"], pairs=rows))
    assert page.text.count("a <b>red</b> square") == 4
    assert page.text.count("says 0") == 5 * 2 + 4
    assert sum((a["alt"] or "").startswith("asked about: question") for a in page.all("img")) == 4
    assert "b" not in {tag for tag, _ in page.tags}


def test_reward_hacking_is_said_at_the_top_and_beside_the_figures(tmp_path: Path) -> None:
    tasks: list[Task] = [TASK, "video_generation"]
    text = page_of(finished_run(tmp_path / "fair", tasks=tasks)).text
    assert text.count("Reward hacking would be a rise of the judge's own score with a fall of whole") == 2
    assert "please its judge" not in text
    sources = finished_run(tmp_path / "hacked", tasks=tasks)
    hacked = policy_figures() | {"gain": {"value": -0.1, "ci95": [-0.2, -0.01], "n": 40}}
    sources.of("evaluate", "video_generation").finish(1.0, figures=hacked)
    assert [summary(sources)["tasks"][task]["policy"]["hacking"] for task in tasks] == [False, True]
    page = page_of(sources)
    assert page.text.count("Reward hacking: the judge's own score rose and whole fell") == 2
    assert page.text.count("there is none here") == 1
    assert sum(a.get("class") == "alarm" for a in page.all("p")) == 2


def test_prompts_that_the_scorer_failed_at_are_named(tmp_path: Path) -> None:
    sources = finished_run(tmp_path)
    assert "scorer failed" not in page_of(sources).text
    sources.of("baseline", TASK).finish(4.0, prompts=12, unscored=1)
    sources.of("evaluate", TASK).finish(6.0, figures=policy_figures(), unscored=2)
    said = "The scorer failed at 1 prompt before and 2 prompts after, which its figures leave out."
    assert said in page_of(sources).text
