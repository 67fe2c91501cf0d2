"""Trains the base VLM into the judge, on what prepare_data.py wrote.

python jobs/train_reward.py --config jobs/configs/quickstart.yaml
ray job submit --working-dir . -- python jobs/train_reward.py --config jobs/configs/quickstart.yaml
"""

import sys

from urm_ray.cli import main

if __name__ == "__main__":
    sys.exit(main(["reward"], __doc__))
