"""The dashboard is one that Grafana loads, and draws every metric that there is and none that there is not."""

from __future__ import annotations

import itertools
import json
import re
from typing import Any

import promql_parser
import pytest
from helpers import ROOT, run_python

from urm_ray.pipeline.metrics import COUNTERS, GAUGES, PREFIX, tags_of

DASHBOARD: dict[str, Any] = json.loads((ROOT / "cluster/grafana/urm_ray.json").read_text())
PANELS: list[dict[str, Any]] = DASHBOARD["panels"]
EXPORTED = {f"ray_{PREFIX}{name}_total" for name in COUNTERS} | {f"ray_{PREFIX}{name}" for name in GAUGES}
"""As Ray names them."""
TAGS = {metric.tag for metric in COUNTERS.values() if metric.tag} | {"stage", "task", "SessionName"}
COLUMNS = 24


def expressions(panel: dict[str, Any]) -> list[str]:
    return [target["expr"] for target in panel["targets"]]


def names_in(text: str) -> set[str]:
    return set(re.findall(rf"\bray_{PREFIX}\w+", text))


def test_it_has_what_grafana_asks_of_a_dashboard() -> None:
    assert DASHBOARD["schemaVersion"] >= 36
    assert DASHBOARD["title"]
    assert re.fullmatch(r"[\w-]{1,40}", DASHBOARD["uid"])
    assert len({panel["id"] for panel in PANELS}) == len(PANELS)
    for panel in PANELS:
        assert panel["type"] in ("timeseries", "bargauge")
        assert panel["title"]
        assert panel["description"]
        assert panel["targets"]
        assert len({target["refId"] for target in panel["targets"]}) == len(panel["targets"])
        assert panel["fieldConfig"]["defaults"]["unit"]


def test_panels_stand_beside_each_other_and_below_without_gaps() -> None:
    places = [panel["gridPos"] for panel in PANELS]
    cells = [{(x, y) for x in range(p["x"], p["x"] + p["w"]) for y in range(p["y"], p["y"] + p["h"])} for p in places]
    for one, other in itertools.combinations(cells, 2):
        assert not one & other
    taken = set().union(*cells)
    assert max(x for x, _ in taken) < COLUMNS
    assert len(taken) == COLUMNS * (1 + max(y for _, y in taken))


def test_every_panel_asks_the_source_that_is_chosen_above() -> None:
    variables = {variable["name"]: variable for variable in DASHBOARD["templating"]["list"]}
    assert (variables["datasource"]["type"], variables["datasource"]["query"]) == ("datasource", "prometheus")
    chosen = {"type": "prometheus", "uid": "${datasource}"}
    asking = [*PANELS, *(target for panel in PANELS for target in panel["targets"]), variables["session"]]
    assert all(one["datasource"] == chosen for one in asking)
    used = set(re.findall(r"\$\{?(\w+)", json.dumps([expressions(panel) for panel in PANELS])))
    assert {name for name in used if not name.startswith("__")} <= variables.keys()


@pytest.mark.parametrize("panel", PANELS, ids=lambda panel: panel["title"])
def test_a_panel_asks_in_promql_for_metrics_and_tags_that_there_are(panel: dict[str, Any]) -> None:
    for target in panel["targets"]:
        text = re.sub(r"\$__(?:rate_interval|range)\b", "1m", target["expr"]).replace("$session", ".*")
        promql_parser.parse(text)
        assert names_in(text)
        assert names_in(text) <= EXPORTED
        grouped = {tag for tags in re.findall(r"by \(([^)]*)\)", text) for tag in tags.split(", ")}
        assert grouped | set(re.findall(r"(\w+)=~", text)) <= TAGS
        assert set(re.findall(r"\{\{(\w+)\}\}", target["legendFormat"])) <= grouped


def test_every_metric_has_a_panel_and_the_choice_of_sessions_knows_one() -> None:
    drawn = {name for panel in PANELS for text in expressions(panel) for name in names_in(text)}
    assert drawn == EXPORTED
    (session,) = (v for v in DASHBOARD["templating"]["list"] if v["name"] == "session")
    assert names_in(session["query"]["query"]) <= EXPORTED


def test_metrics_are_defined_in_one_place() -> None:
    # Names that Prometheus takes, none of them twice, and no other file makes any.
    assert not COUNTERS.keys() & GAUGES.keys()
    for name in (*COUNTERS, *GAUGES):
        assert re.fullmatch(r"[a-z]+(_[a-z]+)*", name)
    users = [p.name for p in (ROOT / "urm_ray").rglob("*.py") if "ray.util.metrics" in p.read_text("utf-8")]
    assert users == ["metrics.py"]


@pytest.mark.parametrize(
    ("name", "tags"),
    [
        ("generate-video_generation", ("generate", "video_generation")),
        ("dpo-image_generation: pairs", ("dpo", "image_generation")),
        ("judge: base", ("judge", "")),
        ("benchmarks: a-judge", ("benchmarks", "")),
        ("import: pick-a-pic, read", ("import", "")),
    ],
)
def test_tags_are_stage_and_task_whatever_a_line_says_besides(name: str, tags: tuple[str, str]) -> None:
    assert tuple(tags_of(name).values()) == tags


def test_counting_before_ray_is_there_does_no_harm() -> None:
    code = (
        "from urm_ray.pipeline import metrics\n"
        "metrics.count(metrics.tags_of('generate-x'), {('rows', ''): 2, ('verdicts', 'tie'): 0})\n"
        "metrics.show(metrics.tags_of('dpo-x'), training_loss=0.5)\nprint('fine')"
    )
    assert "fine" in run_python("-c", code).stdout
