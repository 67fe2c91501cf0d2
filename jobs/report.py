"""Writes report.html and report.json of a run whose stages are done, and unfinished.html, a page of what there is, of
one that is still under way, without disturbing it.

python jobs/report.py --config jobs/configs/quickstart.yaml
ray job submit --working-dir . --runtime-env cluster/runtime_env.yaml -- \\
  python jobs/report.py --config jobs/configs/quickstart.yaml --set run.dir=/shared/runs/NAME
"""

import sys

from urm_ray.cli import main

if __name__ == "__main__":
    sys.exit(main(["report"], __doc__))
