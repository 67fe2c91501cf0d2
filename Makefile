# Everything on a fresh Debian machine with Python 3.11, git, make and g++:
#   make quickstart   sets up and runs the whole loop on the embedded world
#   make test         sets up and passes the tests
#   make experiments  the paper's experiments in miniature, 78 minutes on 2 cores; goes on where it was stopped
PYTHON ?= python3
BIN := .venv/bin
STAMP := .venv/.ready-$(shell cat pyproject.toml constraints.txt | sha256sum | cut -c1-12)

.PHONY: setup quickstart experiments test test-unit test-local test-train lint clean

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
	$(BIN)/python -m pytest -q -m "not local and not train and not long"

test-local: setup
	$(BIN)/python -m pytest -q -m "local and not long"

test-train: setup
	$(BIN)/python -m pytest -q -m "train and not long"

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

clean:
	rm -rf runs
