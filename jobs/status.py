"""Tells where a run stands, from its folder alone: what is done, what is under way and how far, what is left, what was
put aside, and who writes into it.

It may be asked at any time, from any machine that can read the folder: it takes no lock, writes nothing and needs no
GPU.

python jobs/status.py runs/quickstart
python jobs/status.py s3://bucket/runs/mine --json
watch -n 10 python jobs/status.py runs/quickstart
"""

import sys

from urm_ray.cli_status import main

if __name__ == "__main__":
    sys.exit(main(__doc__))
