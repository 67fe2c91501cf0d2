"""Compares the policy before and after on held-out prompts, same seeds.

python jobs/evaluate_policy.py --config jobs/configs/quickstart.yaml
ray job submit --working-dir . -- python jobs/evaluate_policy.py --config jobs/configs/quickstart.yaml
"""

import sys

from urm_ray.cli import main

if __name__ == "__main__":
    sys.exit(main(["baseline", "evaluate"], __doc__))
