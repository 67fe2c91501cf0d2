"""Aligns the policy with the preference pairs by Diffusion-DPO.

python jobs/train_dpo.py --config jobs/configs/quickstart.yaml
ray job submit --working-dir . -- python jobs/train_dpo.py --config jobs/configs/quickstart.yaml
"""

import sys

from urm_ray.cli import main

if __name__ == "__main__":
    sys.exit(main(["dpo"], __doc__))
