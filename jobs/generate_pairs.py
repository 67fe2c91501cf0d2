"""Samples and judges candidates in one stream, and sifts them into preference pairs.

python jobs/generate_pairs.py --config jobs/configs/quickstart.yaml
ray job submit --working-dir . -- python jobs/generate_pairs.py --config jobs/configs/quickstart.yaml
"""

import sys

from urm_ray.cli import main

if __name__ == "__main__":
    sys.exit(main(["generate", "pairs"], __doc__))
