"""Writes a checkpoint in the format of the LLaVA-NeXT code base as a plain folder of transformers, which judge.path,
judge_base.path and policies.TASK.path can name.

python jobs/convert_checkpoint.py --from CodeGoat24/UnifiedReward-7b-v1.5 --to models/unifiedreward-7b-v1.5
python jobs/convert_checkpoint.py --from downloads/LLaVA-Video-7B-Qwen2 --to models/llava-video-7b
"""

import sys

from urm_ray.cli_convert import main

if __name__ == "__main__":
    sys.exit(main(__doc__))
