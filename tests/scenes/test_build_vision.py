import random
from collections import Counter

import torch

from urm_ray.scenes.build_vision import CELLS, CLASSES, UNKNOWN, labelled_clip, labelled_picture, look, teach_to_see
from urm_ray.vlms import load_vlm


def test_labels_have_a_number_for_every_token_that_the_tower_gives():
    model, processor, _ = load_vlm("urm_ray.scenes:checkpoints/vlm", device="cpu")
    rng = random.Random(0)
    pictures, clips = [labelled_picture(rng) for _ in range(3)], [labelled_clip(rng) for _ in range(2)]
    with torch.no_grad():
        seen = look(model.model.visual, processor, pictures, clips)
    for name in ("things", "motions", "faults"):
        assert len(seen) == sum(len(getattr(one, name)) for one in [*pictures, *clips])
    assert len(seen) == (3 + 2 * 4) * len(CELLS)


def test_labels_say_where_something_is_and_how_it_moves():
    rng = random.Random(1)
    motions, faults = Counter(), Counter()
    for _ in range(200):
        clip = labelled_clip(rng)
        motions.update(clip.motions)
        faults.update(clip.faults)
        assert [thing == 0 for thing in clip.things] == [motion == 0 for motion in clip.motions]
        assert max(clip.things) < CLASSES["thing"]
    assert set(motions) == set(range(CLASSES["motion"]))
    assert set(faults) <= set(range(CLASSES["fault"] - 3))  # jumps are told by the motions
    assert len(faults) > 10
    picture = labelled_picture(rng)
    assert set(picture.motions) == {UNKNOWN}
    assert any(picture.things)


def test_a_tower_is_taught(capsys):
    model, processor, _ = load_vlm("urm_ray.scenes:checkpoints/vlm", device="cpu")
    tower = model.model.visual
    before = {name: value.clone() for name, value in tower.state_dict().items()}
    teach_to_see(tower, processor, random.Random(0), steps=2, minutes=1, lr=1e-3, pictures=2, clips=1)
    assert all(value.isfinite().all() for value in tower.parameters())
    assert any((value != before[name]).any() for name, value in tower.state_dict().items())
