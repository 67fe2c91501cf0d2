import pytest

from urm_ray.scenes.source import TASKS, world
from urm_ray.sources.registry import SourceError, source

WANTED = {"train_pairs": 3, "train_points": 3, "heldout_pairs": 2, "heldout_points": 2, "train_prompts": 4}


@pytest.mark.parametrize("task", TASKS)
def test_each_task_has_rows_of_its_own(task):
    read = source("urm_ray.scenes.source:world", None, 3, task, WANTED)
    for part, count in WANTED.items():
        rows = list(read.read(part, 0, count))  # type: ignore[arg-type]
        assert [row["task"] for row in rows if isinstance(row, dict)] == [task] * count


def test_the_rows_of_a_task_are_those_of_its_source():
    for task, own in TASKS.items():
        same = list(own(None, 3, task, WANTED).read("train_pairs", 0, 3))
        assert list(world(None, 3, task, WANTED).read("train_pairs", 0, 3)) == same


def test_an_unknown_task_is_refused_with_the_known_ones():
    with pytest.raises(SourceError, match="image_generation"):
        world(None, 0, "audio_generation", {})  # type: ignore[arg-type]
