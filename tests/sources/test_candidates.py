import json

import pytest
from helpers import clip, picture

from urm_ray import schema
from urm_ray.media import decode_image
from urm_ray.sources.candidates import CandidateFile
from urm_ray.sources.prompts import PromptFile
from urm_ray.sources.registry import Rejected, SourceError

ALL = {"heldout_prompts": 0, "train_prompts": 100}


@pytest.fixture
def folder(tmp_path):
    for shade in (10, 20, 30):
        picture(shade).save(tmp_path / f"{shade}.jpg", quality=95)
    (tmp_path / "broken.png").write_bytes(b"<html>404</html>")
    return tmp_path


def lines(folder, *values, name="mine.jsonl") -> str:
    (folder / name).write_text("\n".join(v if isinstance(v, str) else json.dumps(v) for v in values))
    return str(folder / name)


def prompts(path: str, task="image_generation") -> dict[str, str]:
    """Prompt ids by prompt, as a run that reads the same file has them."""
    file = PromptFile(path, 0, task, ALL)
    rows = [row for row in file.read("train_prompts", 0, 100) if not isinstance(row, Rejected)]
    assert schema.table_of(rows, schema.PROMPT).num_rows == len(rows)
    return {row["prompt"]: row["prompt_id"] for row in rows}


def test_a_prompt_has_the_pictures_its_line_lists_in_their_order(folder):
    path = lines(folder, {"prompt": "a cat", "candidates": ["20.jpg", "10.jpg"]}, {"prompt": "a dog"})
    file, ids = CandidateFile(path, "image_generation"), prompts(path)
    found = file.of(ids["a cat"])
    assert [c["media"]["uri"] for c in found] == ["20.jpg", "10.jpg"]
    assert [c["index"] for c in found] == [0, 1]
    assert [c["media"]["data"] for c in found] == [(folder / name).read_bytes() for name in ("20.jpg", "10.jpg")]
    assert decode_image(found[0]["media"]).size == (8, 8)
    assert file.of(ids["a dog"]) == []
    assert file.of("another file's") == []


def test_what_cannot_be_read_costs_one_candidate(folder):
    names = ["10.jpg", "missing.jpg", "broken.png", "../10.jpg"]
    path = lines(folder, {"prompt": "a cat", "candidates": names})
    errors = [c["error"] or "" for c in CandidateFile(path, "image_generation").of(prompts(path)["a cat"])]
    assert errors[0] == ""
    starts = ["unreadable picture: missing.jpg", "undecodable picture: broken.png", "picture outside of"]
    assert [error.startswith(start) for error, start in zip(errors[1:], starts, strict=True)] == [True] * 3


def test_lines_of_a_csv_are_gathered_by_their_prompt(folder):
    path = lines(
        folder, "prompt,candidate", "a cat,10.jpg", "a dog,20.jpg", "a cat,30.jpg", "a cat,10.jpg", name="m.csv"
    )
    file, ids = CandidateFile(path, "image_generation"), prompts(path)
    assert [c["media"]["uri"] for c in file.of(ids["a cat"])] == ["10.jpg", "30.jpg"]
    assert [c["media"]["uri"] for c in file.of(ids["a dog"])] == ["20.jpg"]


def test_a_csv_names_what_a_question_is_about(folder):
    path = lines(folder, "prompt,image,candidate", "what?,10.jpg,a cat", "what?,10.jpg,a dog", name="m.csv")
    file, ids = CandidateFile(path, "image_understanding"), prompts(path, "image_understanding")
    assert [c["text"] for c in file.of(ids["what?"])] == ["a cat", "a dog"]


def test_clips_are_read_as_clips(folder):
    (folder / "one.mp4").write_bytes(clip([10, 20, 30])["data"])
    path = lines(folder, {"prompt": "a cat runs", "candidates": ["one.mp4", "10.jpg"]})
    first, second = CandidateFile(path, "video_generation").of(prompts(path, "video_generation")["a cat runs"])
    assert (first["media"]["kind"], first["media"]["frames"], first["media"]["fps"]) == ("video", 3, 2.0)
    assert second["media"] is None or second["media"]["kind"] == "video"


@pytest.mark.parametrize("bad", ["10.jpg", [3], {"a": 1}, ["a\0b"]])
def test_candidates_that_are_no_list_of_texts_cost_their_line(folder, bad):
    path = lines(folder, {"prompt": "a cat", "candidates": bad}, {"prompt": "a dog", "candidates": ["10.jpg"]})
    rejected = [
        r for r in PromptFile(path, 0, "image_generation", ALL).read("train_prompts", 0, 9) if isinstance(r, Rejected)
    ]
    assert [r.reason for r in rejected] == ["candidates is not a list of texts or paths"]
    assert set(prompts(path)) == {"a dog"}


def test_a_file_without_any_candidate_is_none(folder):
    with pytest.raises(
        SourceError, match=r"policies\.image_generation\.candidates_path: no line of .* lists candidates"
    ):
        CandidateFile(lines(folder, {"prompt": "a cat"}), "image_generation")
    with pytest.raises(SourceError, match="lacks the columns prompt"):
        CandidateFile(lines(folder, "caption,candidate", "a cat,10.jpg", name="m.csv"), "image_generation")
