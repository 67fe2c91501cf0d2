"""Candidates that are there already, put to a judge on a server: the whole job, with a key."""

import csv
from pathlib import Path

import pytest
import torch
import yaml
from helpers import picture, run_python, shade_of
from judge.chat_server import pictures, serving

from urm_ray.chat import ChatProcessor
from urm_ray.judge.protocol import protocol
from urm_ray.vlms import load_processor

pytestmark = pytest.mark.local
KEY = "sk-never-to-be-seen"


class PrefersDarker:
    """Of two pictures the lower shade is better; a score falls as the shade grows."""

    def __init__(self, path: str) -> None:
        self.chats = ChatProcessor(load_processor(path))
        self.answers = [list(protocol("unified").form("image_generation", kind).answers) for kind in ("pair", "point")]

    def __call__(self, turns, said):
        shades = [shade_of(one) for one in pictures(turns)]
        pair, point = self.answers
        answer = pair[int(shades[1] < shades[0])] if len(shades) == 2 else point[4 - shades[0] // 60]
        row = torch.full((len(self.chats.tokenizer),), 1e-6)
        row[[*self.chats.answer_ids(answer), self.chats.end_id][len(said)]] = 1.0
        return (row / row.sum()).log()


def test_a_served_judge_ranks_pictures(tmp_path: Path, vlm_path: str) -> None:
    shades, prompts = (200, 10, 120), [f"prompt {n}" for n in range(6)]
    for shade in shades:
        picture(shade).save(tmp_path / f"{shade}.png")
    mine = tmp_path / "mine.csv"
    lines = [f"{prompt},{shade}.png" for prompt in prompts for shade in shades]
    mine.write_text("\n".join(["prompt,candidate", *lines]))
    with serving(vlm_path, PrefersDarker(vlm_path), pace_s=0.3) as server:
        http = {"base_url": server.url, "model": "judge", "api_key_env": "JUDGE_KEY"}
        settings = {
            "run": {"dir": str(tmp_path / "run")},
            "tasks": ["image_generation"],
            "prepare": {"prompts_path": str(mine), "heldout_prompts": 0, "cpus": 0.5},
            "judge": {"path": vlm_path, "engine": "http", "http": http, "overlap": 3},
            "pairs": {"ranking": "all"},
            "policies": {
                "image_generation": {
                    "candidates_path": str(mine),
                    "generate": {"judge_pool": {"num_cpus": 0.8}, "unit_rows": 1},
                }
            },
        }
        config = tmp_path / "mine.yaml"
        config.write_text(yaml.safe_dump(settings))
        done = run_python("jobs/judge_candidates.py", "--config", str(config), JUDGE_KEY=KEY)
        assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
        assert {headers["Authorization"] for headers in server.headers} == {f"Bearer {KEY}"}
        assert len(server.asked) == len(prompts) * (6 + 3)  # three pairs in both orders, three points
        assert server.most > 6 + 3
    (table,) = tmp_path.glob("run/generate-*/standings.csv")
    places = {(row["prompt"], row["name"]): (row["place"], row["wins"]) for row in csv.DictReader(table.open())}
    for prompt in prompts:
        assert [places[prompt, f"{shade}.png"] for shade in sorted(shades)] == [("1", "2"), ("2", "1"), ("3", "0")]
    written = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert not [path for path in written if KEY.encode() in path.read_bytes()]
    assert KEY not in done.stdout + done.stderr
