# `make demo` and `make test` set everything up by themselves, in .venv.
# PYTHON chooses the interpreter (3.11 or newer) that .venv is made from.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
RUN := runs/demo

.DEFAULT_GOAL := help
.PHONY: help demo test lint docs bench dist clean

help:  ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## /{printf "  make %-6s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

# The stamp is renewed when pyproject.toml changes, and is not written when pip fails.
$(VENV)/.stamp: pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade 'pip>=25.1'
	$(BIN)/python -m pip install --quiet --editable '.[rfmid,export]' --group test --group lint
	touch $@

demo: $(VENV)/.stamp  ## train, tune, evaluate and report on generated fundus images
	$(BIN)/python -m examples.rfmid demo --folder $(RUN)

test: $(VENV)/.stamp  ## run the tests, examples in docstrings included
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto

lint: $(VENV)/.stamp  ## check style, types and the direction of imports
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

docs: $(VENV)/.stamp  ## build the documentation into docs/_build
	$(BIN)/python -m pip install --quiet --group docs
	rm -rf docs/_build docs/reference/generated
	$(BIN)/sphinx-build --fail-on-warning --keep-going --quiet docs docs/_build/html
	$(BIN)/python docs/check_site.py docs/_build/html
	@echo docs/_build/html/index.html

bench: $(VENV)/.stamp  ## measure speed against peers, in one run
	OMP_NUM_THREADS=1 $(BIN)/python -m benchmarks

dist: $(VENV)/.stamp  ## build wheel and sdist into dist/ and check them
	$(BIN)/python -m pip install --quiet --group dist
	rm -rf dist
	$(BIN)/python -m build --outdir dist
	$(BIN)/twine check --strict dist/*

clean:  ## remove what the targets made, .venv included
	rm -rf $(VENV) dist docs/_build docs/auto_gallery docs/reference/generated $(RUN)
