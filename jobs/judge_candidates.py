"""Judges candidates, of a policy or from files, and ranks those of each prompt; makes no pairs and trains nothing.

What it finds is in `standings.csv` of the stage's folder, and in full in its parquet files.

python jobs/judge_candidates.py --config jobs/configs/judge_my_images.yaml
ray job submit --working-dir . --runtime-env cluster/runtime_env.yaml -- \\
  python jobs/judge_candidates.py --config jobs/configs/judge_my_images.yaml --set run.dir=/shared/runs/NAME
"""

import sys

from urm_ray.cli import main

if __name__ == "__main__":
    sys.exit(main(["prepare", "generate"], __doc__))
