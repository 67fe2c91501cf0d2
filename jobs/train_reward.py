"""Trains the base VLM into the judge, and measures it and its base on held-out preferences.

What is prepared already is not prepared again.

python jobs/train_reward.py --config jobs/configs/quickstart.yaml
ray job submit --working-dir . --runtime-env cluster/runtime_env.yaml -- \\
  python jobs/train_reward.py --config jobs/configs/quickstart.yaml --set run.dir=/shared/runs/NAME
"""

import sys

from urm_ray.cli import main

if __name__ == "__main__":
    sys.exit(main(["prepare", "reward", "judge"], __doc__))
