"""The paper's experiments in miniature: variants of one configuration, and tables of what came of them.

They are written to RUN/experiments.md and RUN/experiments.json; what is done is not done again.

python jobs/experiments.py --config jobs/configs/experiments.yaml
ray job submit --working-dir . --runtime-env cluster/runtime_env.yaml -- \\
  python jobs/experiments.py --config jobs/configs/experiments.yaml --set run.dir=/shared/runs/NAME
"""

import sys

from urm_ray.cli import main

if __name__ == "__main__":
    sys.exit(main(["experiments"], __doc__))
