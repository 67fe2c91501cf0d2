"""Speed against the usual way of doing the same, side by side.

python tests/benchmarks/run.py NAME [--rounds 5] [--out FILE]
python tests/benchmarks/run.py --list

Both sides run in one process on the same data, in turns, after one turn each that is not counted. Prints JSON: the rate
of each side in each round, and `ratio`, ours by theirs, over the rounds.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import sys
from pathlib import Path

os.environ.setdefault("HF_HUB_OFFLINE", "1")
sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[1])]

JUDGED: dict[str, object] = {"task": "image_generation", "both": False, "count": 6}
ANSWERS = JUDGED | {"task": "image_understanding"}
BENCHMARKS: dict[str, tuple[str, dict[str, object], str]] = {
    "judge-tiny": (
        "judging",
        JUDGED | {"size": "tiny", "target": 20},
        "verdicts on 10 pictures, 5 pairs and 10 points",
    ),
    "judge-tiny-both-orders": ("judging", JUDGED | {"size": "tiny", "both": True, "target": 15}, "with both orders"),
    "judge-tiny-answers": (
        "judging",
        ANSWERS | {"size": "tiny", "target": 20},
        "verdicts on 10 answers about a picture",
    ),
    "judge-small": (
        "judging",
        JUDGED | {"size": "small", "count": 1, "target": 5},
        "judge-tiny, language model of 135 M",
    ),
    "judge-small-both-orders": (
        "judging",
        JUDGED | {"size": "small", "both": True, "count": 1, "target": 4},
        "the same with both orders",
    ),
    "judge-small-answers": (
        "judging",
        ANSWERS | {"size": "small", "count": 1, "target": 5},
        "judge-tiny-answers, larger",
    ),
    "vlm-dpo": ("vlm_dpo", {"size": "small", "batch": 4, "steps": 1}, "a step of DPO on pictures, VLM of 160 million"),
    "vlm-dpo-tiny": ("vlm_dpo", {"size": "tiny", "batch": 8, "steps": 8}, "the same of the embedded VLM"),
    "reward-sft": ("reward_sft", {"size": "small", "batch": 8, "steps": 1}, "a step of the judge's SFT, the same VLM"),
    "reward-sft-tiny": ("reward_sft", {"size": "tiny", "batch": 8, "steps": 16}, "the same of the embedded VLM"),
    "diffusion-dpo": (
        "diffusion_dpo",
        {"size": "small", "lora": False},
        "a step of Diffusion-DPO, U-Net of 54 million parameters",
    ),
    "diffusion-dpo-lora": ("diffusion_dpo", {"size": "small", "lora": True}, "the same with LoRA of rank 8"),
    "diffusion-dpo-tiny": ("diffusion_dpo", {"size": "tiny", "lora": False}, "the same of the embedded policy"),
    "diffusion-dpo-tiny-lora": ("diffusion_dpo", {"size": "tiny", "lora": True}, "the same with LoRA of rank 8"),
    "judge-stage": ("judge_stage", {"prompts": 100}, "the judge as a stage of Ray Data against a loop"),
    "streaming": ("streaming", {"prompts": 150, "seconds": 0.04}, "generate and judge streamed, sleeping models"),
    "streaming-tiny": ("streaming", {"prompts": 50, "candidates": 10}, "the same with the embedded models"),
    "prompts-100k": (
        "many_prompts",
        {"prompts": 100_000, "actors": 12, "seconds": 0.03, "unit_rows": 100},
        "100,000 prompts with sleeping models against their sleep alone; run it with --rounds 1",
    ),
    "scaling": (
        "scaling",
        {"prompts": 512, "seconds": 0.1, "unit_rows": 16},
        "1, 2, 4 and 8 sleeping actors of each kind, 512 prompts for each",
    ),
    "scaling-quick": (
        "scaling",
        {"prompts": 1500, "seconds": 0.03, "unit_rows": 100},
        "the same with actors as quick as those of prompts-100k",
    ),
    "scaling-small-units": (
        "scaling",
        {"prompts": 1000, "seconds": 0.05, "unit_rows": 10},
        "the same with tasks of ten prompts, which take half a second",
    ),
    "scale": ("scale", {"prompts": 20_000, "unit_rows": 16}, "what the pipeline costs, with models that take no time"),
    "actor-time": (
        "actor_time",
        {"prompts": 400, "unit_rows": 16},
        "what actors and tasks take for a prompt, with models that take no time and without Ray",
    ),
    "scale-small": ("scale", {"prompts": 2000, "unit_rows": 10}, "what `scale` does, of 2,000 prompts"),
    "scale-1m": (
        "scale",
        {"prompts": 1_000_000, "unit_rows": 100, "actors": 2, "again": False},
        "what `scale` does, of a million prompts; run it with --rounds 1",
    ),
    "driver-1m": (
        "driver_passes",
        {"prompts": 1_000_000, "unit_rows": 16, "tables": False},
        "what the driver does by itself over the 62,500 units of a million prompts; run it with --rounds 1",
    ),
    "driver-tables": (
        "driver_passes",
        {"prompts": 16_000, "unit_rows": 16, "tables": True},
        "the same with the table of standings, over 1,000 units",
    ),
    "late-storage": (
        "late_storage",
        {"files": 100, "rows": 16, "late": 0.03},
        "units counted and read by the driver, of storage that answers after 30 ms",
    ),
}
"""By name: the module whose `benchmark(rounds, **options)` returns a `rounds.Result`, options, and what it is about."""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", nargs="?", choices=sorted(BENCHMARKS), metavar="NAME")
    parser.add_argument("--list", action="store_true", help="prints the names and what each is about")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--out", type=Path, help="a file for the JSON, beside the standard output")
    asked = parser.parse_args()
    if asked.list or asked.name is None:
        for name, (_, _, about) in BENCHMARKS.items():
            print(f"{name:<24}{about}")
        return 0 if asked.list else 2
    module, options, about = BENCHMARKS[asked.name]
    result = importlib.import_module(module).benchmark(rounds=asked.rounds, **options)
    report = json.dumps({"name": asked.name, "about": about} | result.report(), indent=2)
    print(report)
    if asked.out:
        asked.out.write_text(report + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
