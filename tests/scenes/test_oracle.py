import ast
import random

import numpy as np
import pytest
from helpers import ROOT
from PIL import Image

from urm_ray.scenes.grammar import all_scenes, held_out, misread, parse
from urm_ray.scenes.oracle import Oracle, read, score
from urm_ray.scenes.render import BACKGROUND, render

HELD_OUT = [scene for scene in all_scenes() if held_out(scene.caption())]


@pytest.fixture(scope="module")
def clean() -> list:
    rng = random.Random(20)
    return [(scene, render(scene, rng)) for scene in rng.choices(HELD_OUT, k=1500)]


def test_clean_pictures_of_held_out_captions_are_whole(clean):
    scores = [score(scene.caption(), picture) for scene, picture in clean]
    assert sum(s["whole"] == 1 for s in scores) / len(scores) >= 0.98
    assert all(s["relation"] is None for s, (scene, _) in zip(scores, clean, strict=True) if scene.relation is None)
    assert all(set(s.values()) <= {1.0, None} for s in scores if s["whole"] == 1)


def test_misread_pictures_are_not_whole():
    rng = random.Random(21)
    for scene in rng.choices(HELD_OUT, k=400):
        found = score(scene.caption(), render(misread(scene, rng), rng))
        assert found["whole"] == 0
        assert min(v for v in found.values() if v is not None) < 1


@pytest.mark.parametrize(
    ("caption", "drawn", "right", "wrong"),
    [
        ("a red circle", "a blue circle", {"shape", "count"}, {"colour"}),
        ("a red circle", "a red square", {"colour", "count"}, {"shape"}),
        ("two red circles", "three red circles", set(), {"count", "colour", "shape"}),
        (
            "a red circle left of a blue square",
            "a red circle right of a blue square",
            {"colour", "shape", "count"},
            {"relation"},
        ),
        (
            "a red circle left of a blue square",
            "a red circle above a blue square",
            {"colour", "shape", "count"},
            {"relation"},
        ),
    ],
)
def test_each_figure_tells_its_own_mistake(caption, drawn, right, wrong):
    for seed in range(5):
        found = score(caption, render(parse(drawn), random.Random(seed)))
        assert {name for name in right if found[name] == 1} == right
        assert {name for name in wrong if found[name] < 1} == wrong
        assert found["whole"] == 0


def test_a_relation_holds_from_both_sides():
    for seed in range(5):
        picture = render(parse("a red circle left of a blue square"), random.Random(seed))
        assert score("a blue square right of a red circle", picture)["whole"] == 1
        assert score("a red circle and a blue square", picture)["whole"] == 1


def test_larger_pictures_are_read_like_small_ones(clean):
    right = sum(score(s.caption(), p.resize((96, 96), Image.Resampling.BICUBIC))["whole"] == 1 for s, p in clean[:100])
    assert right >= 95


def test_an_empty_picture_and_noise_are_never_right():
    empty = Image.new("RGB", (32, 32), BACKGROUND)
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 255, (32, 32, 3), dtype=np.uint8))
    assert read(empty) == []
    for scene in HELD_OUT[:50]:
        assert score(scene.caption(), empty)["whole"] == 0
        assert score(scene.caption(), noise)["whole"] == 0
        assert score(scene.caption(), empty)["colour"] == 0


def test_places_are_told_in_pixels_of_the_small_picture():
    picture = Image.new("RGB", (64, 64), BACKGROUND)
    picture.paste((220, 40, 40), (8, 32, 28, 52))
    found = read(picture)
    assert len(found) == 1
    assert (found[0].thing.colour, found[0].thing.shape) == ("red", "square")
    assert (found[0].x, found[0].y) == (pytest.approx(9, abs=0.6), pytest.approx(21, abs=0.6))


def test_a_caption_of_another_world_is_refused():
    with pytest.raises(ValueError, match="not a caption"):
        Oracle().figures("a cat", Image.new("RGB", (32, 32)))


def test_the_oracle_is_what_it_scores(clean):
    scene, picture = clean[0]
    assert Oracle().figures(scene.caption(), picture) == score(scene.caption(), picture)


def test_the_oracle_shares_nothing_with_the_judge():
    # The judge that built the pairs must not be the only judge of the result.
    seen, waiting = set(), ["urm_ray.scenes.oracle"]
    while waiting:
        name = waiting.pop()
        path = ROOT / (name.replace(".", "/") + ".py")
        if name in seen or not path.is_file():
            continue
        seen.add(name)
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                waiting += [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                waiting += [str(node.module), *(f"{node.module}.{alias.name}" for alias in node.names)]
    assert "urm_ray.scenes.render" in seen
    assert not [name for name in seen if name.startswith(("urm_ray.judge", "urm_ray.training", "urm_ray.models"))]
