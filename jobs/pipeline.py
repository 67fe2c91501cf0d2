"""The whole loop: prepare, reward, judge, generate, pairs, dpo, baseline, evaluate, report.

Finished stages are not run again.

python jobs/pipeline.py --config jobs/configs/quickstart.yaml
ray job submit --working-dir . -- python jobs/pipeline.py --config jobs/configs/quickstart.yaml
"""

import sys

from urm_ray.cli import main

if __name__ == "__main__":
    sys.exit(
        main(["prepare", "reward", "judge", "generate", "pairs", "dpo", "baseline", "evaluate", "report"], __doc__)
    )
