"""Compiles DeepSpeed's CPU communication op once, so that the first training does not wait for it.

python -m urm_ray.training.warmup
"""

from __future__ import annotations

import os
import sys


def main() -> int:
    import torch

    if torch.cuda.is_available():
        return 0  # the op is for CPU workers only
    os.environ.setdefault("DS_ACCELERATOR", "cpu")
    from deepspeed.ops.op_builder.cpu import ShareMemCommBuilder

    ShareMemCommBuilder().load(verbose=False)
    return 0


if __name__ == "__main__":
    sys.exit(main())
