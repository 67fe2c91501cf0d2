"""The plan's estimates of memory against memory that was measured: real trainings and real use, on CPUs.

python tests/benchmarks/plan_memory.py [--only NAME] [--repeat 1]

What is measured is the most that a process has resident, less what it had before there was a model: what the operating
system sees, and not torch's own account, which is near to what the plan counts. The allocator is told to give every
block of 64 KiB and more its own mapping, so that what is freed leaves at once. Each case runs in processes of its own,
one a worker, on one thread each; the first worker is measured. Models are real architectures with random weights.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

os.environ.setdefault("HF_HUB_OFFLINE", "1")
sys.path.insert(0, str(Path(__file__).parent))

from plan_memory_models import write

WORKER = Path(__file__).with_name("plan_memory_worker.py")
MALLOC = {"MALLOC_MMAP_THRESHOLD_": "65536", "MALLOC_TRIM_THRESHOLD_": "65536", "MALLOC_ARENA_MAX": "1"}
MIB = 2**20


def training(model: str, stage: int, workers: int = 1, **more: Any) -> dict[str, Any]:
    own = {"zero_stage", "bf16", "batch", "accumulate", "gradient_checkpointing", "lora", "train_vision", "reference"}
    train = {"workers": workers, "zero_stage": stage, "steps": 2, "log_steps": 1, "checkpoint_steps": 100}
    train |= {name: value for name, value in more.items() if name in own}
    return {"model": model, "train": train} | {name: value for name, value in more.items() if name not in own}


QWEN = {"grid": [24, 24], "tokens": 400, "predicted": 8, "batch": 2, "accumulate": 2}
LLAVA = {"size": [224, 224], "tokens": 640, "predicted": 8, "batch": 2, "accumulate": 2}
UNET = {"sampler": {}, "batch": 2, "accumulate": 1}

CASES: dict[str, dict[str, Any]] = {
    "SFT of qwen, ZeRO-0": training("qwen", 0, **QWEN),
    "SFT of qwen, ZeRO-1": training("qwen", 1, **QWEN),
    "SFT of qwen, ZeRO-2": training("qwen", 2, **QWEN),
    "SFT of qwen, ZeRO-3": training("qwen", 3, **QWEN),
    "SFT of qwen, ZeRO-1, 2 workers": training("qwen", 1, 2, **QWEN),
    "SFT of qwen, ZeRO-2, 2 workers": training("qwen", 2, 2, **QWEN),
    "SFT of qwen, ZeRO-3, 2 workers": training("qwen", 3, 2, **QWEN),
    "SFT of qwen, ZeRO-2, bf16, 2 workers": training("qwen", 2, 2, bf16=True, **QWEN),
    "SFT of qwen, ZeRO-3, bf16, 2 workers": training("qwen", 3, 2, bf16=True, **QWEN),
    "SFT of qwen, checkpointing, micro-batch 4": training(
        "qwen", 2, gradient_checkpointing=True, **QWEN | {"batch": 4}
    ),
    "SFT of qwen, frozen encoder, micro-batch 4": training("qwen", 2, train_vision=False, **QWEN | {"batch": 4}),
    "SFT of qwen, LoRA": training("qwen", 2, lora={"rank": 16}, **QWEN),
    "SFT of llava": training("llava", 2, **LLAVA),
    "SFT of llava, checkpointing, micro-batch 4": training(
        "llava", 2, gradient_checkpointing=True, **LLAVA | {"batch": 4}
    ),
    "Diffusion-DPO of unet, reference copied": training("unet", 2, **UNET),
    "Diffusion-DPO of unet, checkpointing, micro-batch 8": training(
        "unet", 2, gradient_checkpointing=True, **UNET | {"batch": 8}
    ),
    "Diffusion-DPO of unet, LoRA, adapter off": training(
        "unet", 2, lora={"rank": 8}, reference="adapter_off", **UNET | {"batch": 4}
    ),
    "Diffusion-DPO of unet, ZeRO-3, 2 workers": training("unet", 3, 2, **UNET),
    "Diffusion-DPO of wan, 17 frames": training(
        "wan", 2, sampler={"frames": 17, "height": 128, "width": 128}, batch=2, accumulate=1
    ),
    "qwen reads 8 questions": {"model": "qwen", "use": "read", "dtype": "float32", **QWEN, "batch": 8},
    "llava reads 8 questions": {"model": "llava", "use": "read", "dtype": "float32", **LLAVA, "batch": 8},
    "unet samples 8 pictures with guidance": {
        "model": "unet",
        "use": "sample",
        "dtype": "float32",
        "sampler": {"batch": 8, "guidance": 5.0, "steps": 2},
        "call": {"num_inference_steps": 2, "guidance_scale": 5.0},
    },
}


def looked_at(case: dict[str, Any], path: str) -> dict[str, Any]:
    """The case with what a picture is to the model: tokens, and the tensors' sizes."""
    from urm_ray.planning.architectures import architecture
    from urm_ray.planning.geometry import AnyRes, Look, eyes_of

    if case["model"] not in ("qwen", "llava"):
        return case
    found = architecture(path)
    assert found is not None
    eyes = eyes_of(found)
    assert eyes is not None
    grid = case.get("grid", [0, 0])
    size = (grid[0] * 14, grid[1] * 14) if case["model"] == "qwen" else tuple(case["size"])
    squares = eyes._squares(size) if isinstance(eyes, AnyRes) else 0
    return case | {"seen": eyes.tokens([Look(size)]), "squares": squares, "size": size}


def estimate(case: dict[str, Any], path: str) -> float:
    """Bytes at the peak, as the plan has them."""
    from urm_ray.config_policy import SamplerConfig
    from urm_ray.config_training import DpoConfig, RewardConfig
    from urm_ray.planning.architectures import architecture
    from urm_ray.planning.geometry import Look, eyes_of
    from urm_ray.planning.questions import Chat
    from urm_ray.planning.serving import reads, samples
    from urm_ray.planning.shots import conditioning, family_of, shots
    from urm_ray.planning.trainings import denoiser_training, vlm_training

    found = architecture(path)
    assert found is not None
    if case["model"] in ("qwen", "llava"):
        answer = case["predicted"] if "train" in case else 0
        text = case["tokens"] - case["seen"] - answer
        chat = Chat((Look(tuple(case["size"])),), text, case["seen"], case["predicted"])
        if "train" in case:
            return vlm_training(found, eyes_of(found), RewardConfig(**case["train"]), chat).as_configured().peak
        return reads(found, eyes_of(found), case["dtype"], case["batch"], chat).peak
    family, sampler = family_of(found), SamplerConfig(**case["sampler"])
    assert family is not None
    made = shots(found, family, sampler)
    told = conditioning(found, family, sampler, made)
    if "train" in case:
        return denoiser_training(found, family, DpoConfig(**case["train"]), made, told).as_configured().peak
    return samples(found, family, case["dtype"], sampler, made, told).peak


def measure(case: dict[str, Any], path: str, folder: str) -> int:
    """Bytes at the peak of the first worker."""
    given = json.dumps(case | {"path": path, "scratch": folder})
    environment = os.environ | MALLOC | {"OMP_NUM_THREADS": "1"}
    port = str(random.randint(20000, 40000))
    ranks = range(case.get("train", {}).get("workers", 1))
    command = [sys.executable, "-W", "ignore", str(WORKER), given]
    workers = [
        subprocess.Popen([*command, str(r), port], env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        for r in ranks
    ]
    outputs = [worker.communicate() for worker in workers]
    lines = outputs[0][0].decode().strip().splitlines()
    if not lines:
        raise SystemExit(outputs[0][1].decode()[-3000:])
    return int(json.loads(lines[-1]))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", help="cases whose name contains this")
    parser.add_argument("--repeat", type=int, default=1)
    arguments = parser.parse_args()
    print("| case | estimated, MiB | measured, MiB | error |\n|---|---|---|---|")
    errors = []
    with tempfile.TemporaryDirectory() as folder:
        for name, asked in CASES.items():
            if arguments.only not in name:
                continue
            path = write(asked["model"], Path(folder))
            case = looked_at(asked, path)
            guessed = estimate(case, path)
            found = [measure(case, path, folder) for _ in range(arguments.repeat)]
            errors += [guessed / one - 1 for one in found]
            measured = " ".join(f"{one / MIB:,.0f}" for one in found)
            print(f"| {name} | {guessed / MIB:,.0f} | {measured} | {errors[-1]:+.1%} |", flush=True)
    sizes = [abs(one) for one in errors]
    print(f"\nn = {len(sizes)}; largest error {max(sizes):.1%}, mean {sum(sizes) / len(sizes):.1%}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
