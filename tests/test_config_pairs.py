import pytest

from urm_ray.config import Config
from urm_ray.config_file import ConfigError, build
from urm_ray.config_pairs import PUBLISHED, PairsConfig
from urm_ray.config_policy import essential


def refused(**values) -> str:
    with pytest.raises(ConfigError) as caught:
        build(values)
    return str(caught.value)


@pytest.mark.parametrize(
    ("pairs", "about"),
    [
        ({"ranking": "none"}, "pair_point goes by compared pairs, and ranking is none"),
        ({"ranking": "none", "construction": "bradley_terry"}, "bradley_terry goes by compared pairs"),
        ({"points": False}, "pair_point goes by point scores, and points is false"),
        ({"points": False, "construction": "best_of"}, "best_of goes by point scores, and points is false"),
        ({"points": False, "construction": "pair", "ties": "point"}, "ties: point goes by point scores"),
        ({"ties": "first"}, "ties: first goes by one order"),
        ({"calls": 0}, "pairs.calls"),
        ({"calls": 3}, "calls: 3 buys no pair: one takes 4 questions"),
        ({"calls": 2, "both_orders": False}, "calls: 2 buys no pair: one takes 3 questions"),
        ({"calls": 1, "points": False, "construction": "pair"}, "calls: 1 buys no pair: one takes 2 questions"),
        ({"calls": 1, "ranking": "none", "construction": "best_of"}, "calls: 1 buys no pair: one takes 2 questions"),
        ({"ranking": "knockout"}, "pairs.ranking"),
    ],
)
def test_what_is_not_asked_cannot_be_gone_by(pairs, about):
    assert about in refused(pairs=pairs)


@pytest.mark.parametrize(
    "pairs",
    [
        {"ranking": "none", "construction": "point"},
        {"ranking": "none", "construction": "random", "points": False, "calls": 1},
        {"points": False, "construction": "bradley_terry", "calls": 2},
        {"ties": "first", "orders": "first"},
        {"ties": "first", "both_orders": False, "calls": 3},
    ],
)
def test_what_is_left_out_need_not_be_asked(pairs):
    assert build({"pairs": pairs}).pairs.model_dump(include=set(pairs)) == pairs


def test_whether_anything_is_asked():
    assert PairsConfig().asks
    assert PairsConfig(ranking="none", construction="point").asks
    assert PairsConfig(points=False, construction="pair").asks
    assert not PairsConfig(ranking="none", construction="random", points=False).asks


def test_settings_that_say_what_was_always_done_are_in_no_digest():
    always = {"ranking", "both_orders", "orders", "ties", "construction", "min_margin", "keep"}
    assert set(essential(PairsConfig())) == always
    assert set(essential(PairsConfig(calls=9))) == {*always, "calls"}
    assert PairsConfig().asked() == {"ranking": "adjacent", "both_orders": True}
    assert PairsConfig(calls=9).asked() == PairsConfig().asked() | {"calls": 9}
    assert PairsConfig(points=False, construction="pair").asked() == PairsConfig().asked() | {"points": False}
    said = ({}, {"calls": None, "points": True}, {"calls": 9})
    plain, same, other = (build({"pairs": pairs}).digest_of("pairs") for pairs in said)
    assert plain == same != other


def test_the_published_procedure_is_what_its_settings_are():
    config = build({"paper_exact": True})
    pairs = config.pairs
    assert (pairs.ranking, pairs.both_orders, pairs.construction, pairs.ties) == (
        "adjacent",
        False,
        "pair_point",
        "first",
    )
    assert (pairs.points, pairs.calls, pairs.min_margin, config.judge.readout) == (True, None, 0.0, "generate")
    assert build({"paper_exact": False}) == build({})


def test_other_settings_stay_as_they_are_beside_it():
    config = build({"paper_exact": True, "pairs": {"keep": 5, "both_orders": False}, "judge": {"batch": 2}})
    assert (config.pairs.keep, config.judge.batch, config.judge.readout) == (5, 2, "generate")
    assert Config(paper_exact=True, pairs=PairsConfig(keep=5)).pairs == config.pairs
    # As actors get it, and as it is written into the run.
    assert build(config.model_dump(mode="json")) == config


@pytest.mark.parametrize(
    ("section", "setting", "other", "published"),
    [
        ("judge", "readout", "logits", "generate"),
        ("pairs", "both_orders", True, "false"),
        ("pairs", "ranking", "all", "adjacent"),
        ("pairs", "construction", "point", "pair_point"),
        ("pairs", "ties", "drop", "first"),
        ("pairs", "points", False, "true"),
        ("pairs", "calls", 12, "none"),
        ("pairs", "min_margin", 0.5, "0.0"),
    ],
)
def test_what_contradicts_it_is_one_sentence(section, setting, other, published):
    assert setting in PUBLISHED[section]
    said = refused(paper_exact=True, **{section: {setting: other}})
    assert f"paper_exact: the published procedure has {section}.{setting} {published}: leave it out" in said
    assert said.count("; ") == 0


def test_every_setting_that_it_stands_for_can_contradict_it():
    assert {(name, key) for name, settings in PUBLISHED.items() for key in settings} == {
        ("judge", "readout"),
        *(
            ("pairs", key)
            for key in ("both_orders", "ranking", "construction", "ties", "points", "calls", "min_margin")
        ),
    }


@pytest.mark.parametrize("word", ["yes", "false", 1])
def test_it_is_switched_by_true_and_false_alone(word):
    assert "paper_exact" in refused(paper_exact=word)


def test_sections_that_are_none_are_refused_as_ever():
    assert refused(paper_exact=True, pairs=5).startswith("pairs: ")
