"""Compares the policy before and after on held-out prompts, same seeds.

python jobs/evaluate_policy.py --config jobs/configs/quickstart.yaml
ray job submit --working-dir . --runtime-env cluster/runtime_env.yaml -- \\
  python jobs/evaluate_policy.py --config jobs/configs/quickstart.yaml --set run.dir=/shared/runs/NAME
"""

import sys

from urm_ray.cli import main

if __name__ == "__main__":
    sys.exit(main(["baseline", "evaluate"], __doc__))
