"""Reads human preferences and prompts from their sources into parquet in the schema: those of a run, or published
data sets, one or a mix, into a folder that a run's `prepare.preferences_path` can name. Or takes the prompts of a data
set alone, into a file that its `prepare.prompts_path` can name.

python jobs/prepare_data.py --config jobs/configs/quickstart.yaml
python jobs/prepare_data.py --source evalmuse --path downloads/EvalMuse --out prepared/evalmuse
python jobs/prepare_data.py --mix jobs/configs/unifiedreward_mix.yaml --out prepared/unifiedreward
python jobs/prepare_data.py --source videodpo --path downloads/VideoDPO --prompts prepared/videodpo_captions.txt
ray job submit --working-dir . --runtime-env cluster/runtime_env.yaml -- \\
  python jobs/prepare_data.py --config jobs/configs/quickstart.yaml --set run.dir=/shared/runs/NAME
"""

import sys

from urm_ray.cli import main

if __name__ == "__main__":
    sys.exit(main(["import", "prepare"], __doc__))
