"""Writes report.html and report.json of a run whose stages are done.

python jobs/report.py --config jobs/configs/quickstart.yaml
ray job submit --working-dir . -- python jobs/report.py --config jobs/configs/quickstart.yaml
"""

import sys

from urm_ray.cli import main

if __name__ == "__main__":
    sys.exit(main(["report"], __doc__))
