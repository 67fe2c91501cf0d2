"""Measures the judge and its base model on held-out preferences.

python jobs/evaluate_judge.py --config jobs/configs/quickstart.yaml
ray job submit --working-dir . -- python jobs/evaluate_judge.py --config jobs/configs/quickstart.yaml
"""

import sys

from urm_ray.cli import main

if __name__ == "__main__":
    sys.exit(main(["judge"], __doc__))
