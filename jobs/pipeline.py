"""The whole loop: prepare, reward, judge, generate, pairs, dpo, baseline, evaluate, report.

Finished stages are not run again.

python jobs/pipeline.py --config jobs/configs/quickstart.yaml
ray job submit --working-dir . --runtime-env cluster/runtime_env.yaml -- \\
  python jobs/pipeline.py --config jobs/configs/quickstart.yaml --set run.dir=/shared/runs/NAME
"""

import sys

from urm_ray.cli import main

if __name__ == "__main__":
    sys.exit(
        main(["prepare", "reward", "judge", "generate", "pairs", "dpo", "baseline", "evaluate", "report"], __doc__)
    )
