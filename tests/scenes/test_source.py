from collections import Counter

import pytest

from urm_ray.scenes.clip_preferences import ClipScenes
from urm_ray.scenes.preferences import Scenes
from urm_ray.scenes.source import World
from urm_ray.sources.registry import PARTS, SourceError

WANTED = {"train_pairs": 11, "train_points": 10, "heldout_pairs": 3, "train_prompts": 8, "heldout_prompts": 6}
BOTH = "image_generation, video_generation"


@pytest.mark.parametrize(
    ("path", "source"), [(None, Scenes), ("image_generation", Scenes), ("video_generation", ClipScenes)]
)
@pytest.mark.parametrize("part", ["train_pairs", "train_prompts"])
def test_one_task_is_its_source(path, source, part):
    world, own = World(path, 3, WANTED), source(None, 3, WANTED)
    assert world.size(part) == own.size(part) == WANTED[part]
    assert list(world.read(part, 1, 5)) == list(own.read(part, 1, 5))


@pytest.mark.parametrize("part", PARTS)
def test_tasks_take_turns_and_the_rows_are_as_many_as_wanted(part):
    world = World(BOTH, 0, WANTED)
    assert world.size(part) == WANTED.get(part, 0)
    rows = list(world.read(part, 0, world.size(part)))
    assert [row["task"] for row in rows] == (["image_generation", "video_generation"] * 6)[: len(rows)]
    name = "prompt_id" if part.endswith("prompts") else "preference_id"
    assert len({row[name] for row in rows}) == len(rows)


@pytest.mark.parametrize("part", ["train_points", "heldout_prompts"])
def test_the_same_number_is_always_the_same_row(part):
    whole = list(World(BOTH, 0, WANTED).read(part, 0, 6))
    for start, stop in [(0, 1), (1, 4), (3, 6), (2, 2)]:
        assert list(World(BOTH, 0, WANTED).read(part, start, stop)) == whole[start:stop]


def test_a_task_that_has_more_prompts_goes_on_alone():
    world = World(BOTH, 0, {"train_prompts": 100_000})
    tasks = Counter(row["task"] for row in world.read("train_prompts", 0, world.size("train_prompts")))
    assert tasks == {
        source.task: source(None, 0, {"train_prompts": 100_000}).size("train_prompts")
        for source in (Scenes, ClipScenes)
    }
    first, last = (list(world.read("train_prompts", at, at + 1)) for at in (0, world.size("train_prompts") - 1))
    assert [first[0]["task"], last[0]["task"]] == ["image_generation", max(tasks, key=lambda task: tasks[task])]


@pytest.mark.parametrize("path", ["sound", "image_generation,", "video_generation,video_generation"])
def test_tasks_that_there_are_not_are_refused(path):
    with pytest.raises(SourceError, match="has the tasks image_generation, video_generation"):
        World(path, 0, WANTED)
