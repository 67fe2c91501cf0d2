"""Samples and judges candidates in one stream, and sifts them into preference pairs.

python jobs/generate_pairs.py --config jobs/configs/quickstart.yaml
ray job submit --working-dir . --runtime-env cluster/runtime_env.yaml -- \\
  python jobs/generate_pairs.py --config jobs/configs/quickstart.yaml --set run.dir=/shared/runs/NAME
"""

import sys

from urm_ray.cli import main

if __name__ == "__main__":
    sys.exit(main(["generate", "pairs"], __doc__))
