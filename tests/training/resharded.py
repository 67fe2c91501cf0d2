"""Run in a process of its own for each rank: steps under each ZeRO stage, saved by two ranks or taken up by one.

Arguments: rank, number of ranks, a free port, a folder for the checkpoints. Rank 0 prints the losses of the last steps
as JSON, by case.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from types import SimpleNamespace

SAVED, STEPS, ROWS = 3, 6, 4
CASES = [(stage, bf16) for stage in (0, 1, 2, 3) for bf16 in (False, True)]


def losses(rank: int, world: int, folder: Path, stage: int, bf16: bool) -> list[float]:
    import deepspeed
    import torch

    from urm_ray.config_training import TrainConfig
    from urm_ray.training import elastic
    from urm_ray.training.saved_state import plain_state
    from urm_ray.training.zero import zero_config

    elastic.ray.train.get_context = lambda: SimpleNamespace(get_world_size=lambda: world)
    universal = folder.exists() and elastic.of_other_workers(folder)
    if universal:
        elastic.make_universal(folder)
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(7, 13), torch.nn.GELU(), torch.nn.Linear(13, 3))
    model[0].bias.requires_grad = False
    groups = [{"params": [model[0].weight, model[2].weight]}, {"params": [model[2].bias], "weight_decay": 0.0}]
    config = zero_config(TrainConfig(zero_stage=stage, bf16=bf16), universal)  # type: ignore[arg-type]
    config |= {
        "train_micro_batch_size_per_gpu": ROWS,
        "gradient_accumulation_steps": 2 // world,
        "gradient_clipping": 1.0,
    }
    engine = deepspeed.initialize(model=model, optimizer=torch.optim.AdamW(groups, lr=1e-2), config=config)[0]
    start = SAVED if world == 1 else 0
    if start:
        with plain_state(str(folder)), elastic.each_group_its_own():
            assert engine.load_checkpoint(str(folder))[0]
    rows = torch.randn(STEPS, 2, ROWS, 10, generator=torch.Generator().manual_seed(1))
    rows = rows.bfloat16() if bf16 else rows
    found = []
    for step in range(start, STEPS):
        if step == SAVED and not start:
            engine.save_checkpoint(str(folder), tag=f"global_step{SAVED}")
        total = torch.zeros(())
        for share in range(rank, 2, world):  # one rank carries both shares
            shown, wanted = rows[step, share].split([7, 3], dim=1)
            loss = ((engine(shown) - wanted).float() ** 2).mean()
            engine.backward(loss)
            engine.step()
            total += loss.detach() / 2
        torch.distributed.all_reduce(total)
        found.append(total.item())
    return found[SAVED - start :]


if __name__ == "__main__":
    rank, world, port, checkpoints = sys.argv[1:]
    os.environ |= {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": world, "MASTER_ADDR": "127.0.0.1"}
    os.environ |= {"MASTER_PORT": port, "DS_ACCELERATOR": "cpu", "DEEPSPEED_LOG_LEVEL": "error"}
    import deepspeed

    deepspeed.init_distributed(dist_backend="gloo")
    told = {
        f"{stage} {bf16}": losses(int(rank), int(world), Path(checkpoints) / f"{stage}-{bf16}", stage, bf16)
        for stage, bf16 in CASES
    }
    if rank == "0":
        print("LOSSES " + json.dumps(told))
