"""The judge's and the policy's figures as tables, each figure with its interval drawn beside it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from urm_ray.evaluation.policy import JUDGE_SCORE, USABLE
from urm_ray.report.charts import Mark, domain_of, gain_domain, whiskers
from urm_ray.report.header import alarm
from urm_ray.report.markup import Html, el, path
from urm_ray.report.wording import NONE, count, interval, number, sentence, value_of, words

Figure = Mapping[str, Any]

JUDGE_FIGURES = {
    "pair_accuracy": "finds the candidate that people preferred, human ties left out",
    "point_spearman": "rank correlation of its scores with people's scores",
    "pair_accuracy_strict": "the same pairs, where calling a tie is wrong",
    "tie_accuracy": "human ties that the judge calls ties",
    "order_agreement": "same verdict when the two candidates change places",
    "calibration_error": "how far its probabilities are from how often it is right; 0 is best",
}
_TITLES = {"point_spearman": "Point Spearman", "pair_accuracy_strict": "Pair accuracy, strict"}
_CHANCE = {"pair_accuracy": 0.5}


def cell(figure: Figure | None, label: str, signed: bool = False, kind: str | None = None) -> Html:
    """A figure with its interval and n below it."""
    value = el("span", number(value_of(figure), signed), class_="value")
    below = [el("small", interval(figure, signed)), el("small", f"n {count((figure or {}).get('n') or 0)}")]
    return el("td", value, *below, data_label=label, class_=" ".join(filter(None, ("figure", kind))))


def _table(heads: list[str], rows: list[Html], kind: str) -> Html:
    head = el("thead", el("tr", *[el("th", h, scope="col") for h in heads]))
    return el("table", head, el("tbody", *rows), class_=f"figures {kind}")


def judge_table(judge: Mapping[str, Any]) -> Html:
    """Figures of the judge, beside those of its base model where there are any (`base_<name>`)."""
    names = [n for n in judge if not n.startswith("base_") and isinstance(judge[n], Mapping | None)]
    rows = []
    for name in sorted(names, key=lambda n: (list(JUDGE_FIGURES).index(n) if n in JUDGE_FIGURES else len(names), n)):
        figure, base = judge[name], judge.get(f"base_{name}")
        marks = [Mark("judge", "after", figure)] + ([Mark("base model", "before", base)] if base else [])
        title = _TITLES.get(name, sentence(name))
        rows.append(
            el(
                "tr",
                el("th", title, el("small", JUDGE_FIGURES.get(name, "")), scope="row"),
                cell(figure, "judge"),
                cell(base, "base model", kind="muted") if base else el("td", class_="figure blank"),
                el("td", whiskers(marks, domain_of([figure, base]), _CHANCE.get(name)), class_="plot"),
            )
        )
    return _table(["Held-out preferences", "Judge", "Base model", "95% intervals"], rows, "of-judge")


def judge_section(judge: Mapping[str, Any]) -> Html:
    missing = judge.get("unparsed")
    note = (
        "Dots are figures, lines their 95% intervals: filled the trained judge, hollow its base model; "
        "a dashed line marks chance. "
    )
    if missing is not None:
        note += f"{count(missing, 'question')} got no answer that counts; an unanswered pair counts as wrong."
    return el("div", el("h4", "Judge"), judge_table(judge), el("p", note, class_="note"))


def policy_table(policy: Mapping[str, Any]) -> Html:
    """All figures before and after: the headline first, the judge's own score last."""
    names = sorted(policy["all"], key=lambda n: (n == JUDGE_SCORE, n == USABLE, n != policy["headline"], n))
    triples = {name: [policy["all"][name].get(k) for k in ("before", "after", "gain")] for name in names}
    domains = {name: domain_of(triple[:2]) for name, triple in triples.items()}
    unit = gain_domain([triples[n][2] for n in names if domains[n] == (0.0, 1.0)])
    rows = []
    for name in names:
        before, after, gain = triples[name]
        own = name == JUDGE_SCORE
        main = el("span", "headline", class_="badge main") if name == policy["headline"] else None
        badge = el("span", "the judge itself" if own else "independent", class_=f"badge {'own' if own else 'free'}")
        marks = [Mark("before", "before", before), Mark("after", "after", after)]
        gains = unit if domains[name] == (0.0, 1.0) else gain_domain([gain])
        rows.append(
            el(
                "tr",
                el("th", words(name), el("span", main, badge, class_="badges"), scope="row"),
                cell(before, "before", kind="muted"),
                cell(after, "after"),
                el("td", whiskers(marks, domains[name]), class_="plot"),
                cell(gain, "gain", signed=True),
                el("td", whiskers([Mark("gain", "gain", gain)], gains, 0.0, row=28), class_="plot"),
            )
        )
    return _table(["Held-out prompts", "Before", "After", "95% intervals", "Gain", "95% interval"], rows, "of-policy")


def policy_section(policy: Mapping[str, Any], scorer: str) -> Html:
    independent = [
        "Figures marked ",
        el("em", "independent"),
        " come from ",
        path(scorer or NONE),
        ", a scorer that had no part in the pairs; the judge's own score is shown to see whether both agree. "
        "Means are over prompts, gains are paired prompt by prompt, n counts prompts; hollow is before, filled after. "
        "A candidate that could not be made or shown, as an answer without an end, is not usable and has no other "
        "figure.",
        _unscored(policy["unscored"]),
    ]
    watched = (
        f"Reward hacking would be a rise of the judge's own score with a fall of {words(policy['headline'])}, both "
        "with their whole intervals; there is none here."
    )
    hacking = alarm(policy) or el("p", watched, class_="note")
    return el("div", el("h4", "Policy"), policy_table(policy), hacking, el("p", *independent, class_="note"))


def _unscored(prompts: Mapping[str, int]) -> str:
    """That the scorer failed at prompts, where it did."""
    failed = [f"{count(number, 'prompt')} {part}" for part, number in prompts.items() if number]
    return f" The scorer failed at {' and '.join(failed)}, which its figures leave out." if failed else ""
