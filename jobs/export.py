"""Writes preference pairs, or preferences of a judge, in the format of another tool.

python jobs/export.py --format trl --pairs runs/quickstart/pairs-image_understanding-*/sifted --out exports/trl
python jobs/export.py --format llama-factory-judge --preferences data/unifiedreward --out exports/judge
"""

import sys

from urm_ray.cli_export import main

if __name__ == "__main__":
    sys.exit(main(__doc__))
