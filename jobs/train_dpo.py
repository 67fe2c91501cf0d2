"""Aligns each policy with its preference pairs: Diffusion-DPO of pictures and clips, DPO of VLMs that answer.

python jobs/train_dpo.py --config jobs/configs/quickstart.yaml
ray job submit --working-dir . --runtime-env cluster/runtime_env.yaml -- \\
  python jobs/train_dpo.py --config jobs/configs/quickstart.yaml --set run.dir=/shared/runs/NAME
"""

import sys

from urm_ray.cli import main

if __name__ == "__main__":
    sys.exit(main(["dpo"], __doc__))
