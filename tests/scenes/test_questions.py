import random
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from urm_ray.scenes.grammar import COLOURS, SHAPES, Scene, all_scenes, differences, misread, parse
from urm_ray.scenes.questions import ONE, QUALITY_WORDS, TWO, View, about_one, about_two, shows

SCENES = st.sampled_from(all_scenes())
FAULTS = st.sampled_from(list(QUALITY_WORDS))
SEEDS = st.integers(0, 100_000)
STRENGTHS = {None: 0, "blur": 1, "noise": 2, "broken": 3}
STRENGTH_ANSWERS = ["none", "weak", "medium", "strong"]
AMOUNT_ANSWERS = ["none", "one", "two", "three"]
COMPARED = {1: "the first", -1: "the second", 0: "neither"}
CHOSEN = {(True, True): "both", (True, False): "the first", (False, True): "the second", (False, False): "neither"}
SURE = "a red circle left of a blue square"


def amount(part: str, asked: Scene, drawn: Scene) -> str:
    wrong = differences(asked, drawn)
    return AMOUNT_ANSWERS[min(3, {"colours": wrong.colours, "shapes": wrong.shapes, "things": wrong.total}[part])]


def split(question: str) -> tuple[Scene | None, str]:
    """The captioned scene, if there is one, and what is asked."""
    if not question.startswith("Caption: "):
        return None, question
    caption, _, asked = question.removeprefix("Caption: ").partition("\n")
    return parse(caption), asked


def there(words: str, scene: Scene) -> bool:
    article, colour, shape = words.split()
    assert article == "a"
    assert colour in COLOURS
    assert shape in SHAPES
    return any((t.colour, t.shape) == (colour, shape) for t in scene.things)


def told(asked: Scene | None, views: list[View]) -> tuple[dict[str, int], ...]:
    """What an exchange must know of pictures beside a caption."""
    if asked is None:
        return ()
    wrong = [(differences(asked, view.scene), view.strength) for view in views]
    names = ("colours", "shapes", "count", "relation", "total")
    return tuple({**{name: getattr(w, name) for name in names}, "strength": strength} for w, strength in wrong)


@given(SCENES, FAULTS, SEEDS)
def test_answers_about_one_picture_are_true(scene, fault, seed):
    exchange = about_one(View(scene, fault, STRENGTHS[fault]), random.Random(seed))
    asked, question = split(exchange.question)
    answer, things = exchange.answer, scene.things
    assert exchange.known == told(asked, [View(scene, fault, STRENGTHS[fault])])
    match question.split():
        case ["Describe", *_]:
            assert parse(answer) == scene
        case ["How", "many", "shapes", "are", "there?"]:
            assert answer == {1: "one", 2: "two", 3: "three"}[len(things)]
        case ["How", "many", part, "are", "wrong?"]:
            assert asked is not None
            assert answer == amount(part, asked, scene)
        case ["What", "colour", "is", "the", shape]:
            assert [t.colour for t in things if t.shape == shape.rstrip("?")] == [answer]
        case ["Which", "shape", "is", colour]:
            assert [t.shape for t in things if t.colour == colour.rstrip("?")] == [answer]
        case ["Is", "there", *words]:
            assert answer == ("yes" if there(" ".join(words).rstrip("?"), scene) else "no")
        case ["Is", "the", "image", *_]:
            assert answer == QUALITY_WORDS[fault]
        case ["How", "strong", *_]:
            assert answer == STRENGTH_ANSWERS[STRENGTHS[fault]]
        case ["Does", "the", "image", "show", "this?"]:
            assert asked is not None
            assert answer == ("yes" if shows(View(scene), asked) else "no")
        case _:
            pytest.fail(f"a question nobody knows: {question}")


@given(SCENES, SCENES | st.none(), FAULTS, FAULTS, SEEDS)
def test_answers_about_two_pictures_are_true(first, second, fault, other, seed):
    second = second or misread(first, random.Random(seed))
    scenes, faults = (first, second), (fault, other)
    views = [View(s, f, STRENGTHS[f]) for s, f in zip(scenes, faults, strict=True)]
    exchange = about_two(*views, random.Random(seed))
    asked, question = split(exchange.question)
    answer = exchange.answer
    assert exchange.known == told(asked, views)
    words = question.rstrip("?.").split()
    which = int(words[-1]) - 1 if words[-1] in ("1", "2") else None
    match words:
        case ["Describe", "image", number]:
            scene = scenes[int(number) - 1]
            assert answer == scene.caption()
        case ["Is", "there", *thing, "in", "image", number]:
            assert answer == ("yes" if there(" ".join(thing), scenes[int(number) - 1]) else "no")
        case ["Which", "image", "has", "the", "stronger" | "weaker" as word, "fault"]:
            one, two = (STRENGTHS[f] for f in (faults if word == "stronger" else faults[::-1]))
            assert answer == COMPARED[(one > two) - (one < two)]
        case ["Which", "image", "has", "more" | "fewer" as word, "things", "wrong"]:
            assert asked is not None
            one, two = (differences(asked, s).total for s in (scenes if word == "more" else scenes[::-1]))
            assert answer == COMPARED[(one > two) - (one < two)]
        case ["Which", "image", "has", *thing]:
            one, two = (there(" ".join(thing), s) for s in scenes)
            assert answer == CHOSEN[one, two]
        case ["Which", "image", "shows", "this"]:
            assert asked is not None
            one, two = (shows(View(s), asked) for s in scenes)
            assert answer == CHOSEN[one, two]
        case ["Which", "image", "is", word]:
            one, two = (QUALITY_WORDS[f] == word for f in faults)
            assert answer == CHOSEN[one, two]
        case ["How", "strong", *_]:
            assert answer == STRENGTH_ANSWERS[STRENGTHS[faults[which]]]
        case ["How", "many", part, *_]:
            assert asked is not None
            assert answer == amount(part, asked, scenes[which])
        case ["Does", "image", number, "show", "this"]:
            assert asked is not None
            assert answer == ("yes" if shows(View(scenes[int(number) - 1]), asked) else "no")
        case _:
            pytest.fail(f"a question nobody knows: {question}")


def test_every_kind_of_question_is_asked():
    rng = random.Random(0)
    scenes = [rng.choice(all_scenes()) for _ in range(6000)]
    openings = Counter(split(about_one(View(s, "blur", 1), rng).question)[1].rsplit(" ", 1)[0] for s in scenes)
    assert len(openings) > len(ONE)
    openings = Counter(
        split(about_two(View(a), View(b), rng).question)[1].rsplit(" ", 1)[0]
        for a, b in zip(scenes[::2], scenes[1::2], strict=True)
    )
    assert len(openings) > len(TWO)


def test_yes_and_no_are_about_as_frequent():
    rng = random.Random(0)
    answers = [about_one(View(rng.choice(all_scenes())), rng).answer for _ in range(4000)]
    yes, no = answers.count("yes"), answers.count("no")
    assert 0.4 < yes / (yes + no) < 0.6


@pytest.mark.parametrize(
    ("drawn", "caption", "true"),
    [
        (SURE, SURE, True),
        (SURE, "a blue square right of a red circle", True),
        (SURE, "a red circle and a blue square", True),
        (SURE, "a red circle right of a blue square", False),
        ("a red circle and a blue square", SURE, False),
        (SURE, "a red circle", False),
        ("two red circles", "a red circle", False),
    ],
)
def test_what_a_picture_shows(drawn, caption, true):
    assert shows(View(parse(drawn)), parse(caption)) is true
