"""Reads human preferences and prompts from their sources into parquet in the schema.

python jobs/prepare_data.py --config jobs/configs/quickstart.yaml
ray job submit --working-dir . -- python jobs/prepare_data.py --config jobs/configs/quickstart.yaml
"""

import sys

from urm_ray.cli import main

if __name__ == "__main__":
    sys.exit(main(["prepare"], __doc__))
