"""Measures the judge and its base model on held-out preferences, or any judges on published benchmarks
(urm_ray/reward_benchmarks/README.md), whose predictions and tables go to --out.

python jobs/evaluate_judge.py --config jobs/configs/quickstart.yaml
python jobs/evaluate_judge.py --judge runs/mine/reward-0123/model --benchmark mmrb2=MMRB2 --out accuracy
python jobs/evaluate_judge.py --judge CodeGoat24/UnifiedReward-qwen-7b --protocol unifiedreward_qwen \\
  --readout generate --num-gpus 1 --benchmark vl_rewardbench --benchmark mmrb2=MMRB2 --out accuracy
python jobs/evaluate_judge.py --recompute --out accuracy
ray job submit --working-dir . --runtime-env cluster/runtime_env.yaml -- \\
  python jobs/evaluate_judge.py --config jobs/configs/quickstart.yaml --set run.dir=/shared/runs/NAME
"""

import sys

from urm_ray.cli import main

if __name__ == "__main__":
    sys.exit(main(["benchmarks", "judge"], __doc__))
