# Every target sets up what it needs by itself: `demo`, `test`, `test-peers`, `coverage`, `lint`, `docs`
# and `bench` in .venv, which is made from PYTHON (3.11 or newer), the others in build/.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
RUN := runs/demo
unexport PYTHONPATH  # what is installed is what is tested

.DEFAULT_GOAL := help
.PHONY: help demo test test-peers coverage lint docs bench dist test-wheel test-lowest clean

help:  ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

# The stamp is renewed when pyproject.toml changes, and is not written when pip fails.
$(VENV)/.stamp: pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade 'pip>=25.1'
	$(BIN)/python -m pip install --quiet --editable '.[rfmid,export,serve]' --group test --group lint
	touch $@

demo: $(VENV)/.stamp  ## train, tune, evaluate and report on generated fundus images
	$(BIN)/python -m examples.rfmid demo --folder $(RUN)

test: $(VENV)/.stamp  ## run the tests, examples in docstrings included
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto

test-peers: $(VENV)/.stamp  ## run the code and comparisons that need other libraries; installs them
	$(BIN)/python -m pip install --quiet --group peers
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto \
		tests/test_documents.py tests/test_loss_peers.py tests/test_splits.py

# In one process: pytest-xdist kills workers that take longer than 10 s to write their data.
coverage: $(VENV)/.stamp  ## run the tests and list the lines and branches of src that none reaches
	$(BIN)/python -m pip install --quiet --group coverage
	$(BIN)/coverage erase
	OMP_NUM_THREADS=1 $(BIN)/coverage run -m pytest
	$(BIN)/coverage combine --quiet
	$(BIN)/coverage report

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

# $(call empty_environment,NAME) makes build/NAME; of its own it has pip alone.
define empty_environment
rm -rf build/$(1)
$(PYTHON) -m venv build/$(1)
build/$(1)/bin/python -m pip install --quiet --upgrade 'pip>=25.1'
endef

# $(call test_installed,NAME) runs the sdist's tests, without its src/, in build/NAME.
define test_installed
rm -rf build/$(1)-tests
mkdir build/$(1)-tests
tar -xzf dist/mlthresh-*.tar.gz -C build/$(1)-tests --strip-components=1
rm -r build/$(1)-tests/src
cd build/$(1)-tests && ../$(1)/bin/python -c 'import mlthresh; print(mlthresh.__file__)'
cd build/$(1)-tests && OMP_NUM_THREADS=1 ../$(1)/bin/python -m pytest -n auto tests/ --pyargs mlthresh
endef

dist:  ## build wheel and sdist into dist/ and check them
	$(call empty_environment,dist)
	build/dist/bin/python -m pip install --quiet --group dist
	rm -rf dist
	build/dist/bin/python -m build --outdir dist
	build/dist/bin/twine check --strict dist/*

test-wheel:  ## run the tests on the wheel in dist/, in a fresh environment of PYTHON
	$(call empty_environment,wheel)
	build/wheel/bin/python -m pip install --quiet "$$(ls dist/*.whl)[rfmid,export,serve]" --group test
	$(call test_installed,wheel)

# From pyproject.toml: dependencies of a wheel are not direct, and would be the newest.
test-lowest:  ## the same, with each dependency at its lower bound (Python 3.11 or 3.12)
	$(call empty_environment,lowest)
	build/lowest/bin/python -m pip install --quiet 'uv>=0.8'
	build/lowest/bin/uv pip install --quiet --python build/lowest --resolution lowest-direct \
		-r pyproject.toml --extra rfmid --extra export --extra serve --group test
	build/lowest/bin/uv pip install --quiet --python build/lowest --no-deps dist/*.whl
	$(call test_installed,lowest)

clean:  ## remove what the targets made, .venv included
	rm -rf $(VENV) build dist docs/_build docs/auto_gallery docs/reference/generated $(RUN)
