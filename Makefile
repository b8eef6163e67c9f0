# `make` alone explains the targets.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.DEFAULT_GOAL := help
.PHONY: help venv search test slow slow-ray slow-rest lint docs bench clean

help:  ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## /{printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

venv: $(STAMP)  ## create .venv and install fade_ray with everything needed to work on it

$(STAMP): pyproject.toml
	$(PYTHON) -c 'import sys; assert sys.version_info >= (3, 11), "fade_ray needs Python 3.11 or newer: make PYTHON=python3.11 venv"'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check -e '.[dev,docs]'
	touch $@

search: $(STAMP)  ## the main job on the embedded digits: search, retrain, test, report (4 minutes on 2 cores)
	$(BIN)/fade-ray search --recipe quick

test: $(STAMP)  ## the tests that fit into 8 minutes on 2 cores
	$(BIN)/pytest -m 'not slow' -n 2 --dist loadfile --no-loadscope-reorder tests/run tests

slow: $(STAMP)  ## the long tests, those that start Ray in one process and the others beside them
	@echo "The long tests run in two processes; what each prints follows at its end."
	$(MAKE) --jobs=2 --keep-going --output-sync slow-ray slow-rest

slow-ray: $(STAMP)
	$(BIN)/pytest -m 'slow and ray' -o timeout=900 --durations=10

slow-rest: $(STAMP)
	$(BIN)/pytest -m 'slow and not ray' -o timeout=900 --durations=10

lint: $(STAMP)  ## ruff and mypy --strict
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

docs: $(STAMP)  ## the documentation as a site, in build/site
	NO_MKDOCS_2_WARNING=1 PYTHONPATH=. $(BIN)/mkdocs build --strict --quiet

bench: $(STAMP)  ## the speed ratios: hyper-architecture step, input pipeline, steps of the cell searches
	$(BIN)/python scripts/bench_data.py
	$(BIN)/python scripts/bench_hyper.py
	$(BIN)/python scripts/bench_cells.py

clean:  ## remove the virtual environment and caches, never a run
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis build *.egg-info
