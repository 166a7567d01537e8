# make demo       learn the tool: two backups, listings, two restores, compared with the originals
# make test       everything that CI runs; about five minutes on two cores, ten on slow ones
# make test-deep  the long searches as well
# make mutants    change the core in small ways, and see whether a test notices each change
# make bench      how fast it is, beside restic and rclone where they are installed; takes long, wants a quiet machine
# make format     let ruff lay out the code

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
export RRBACKUP_REQUIRE := seaweedfs,moto
# without compiled modules every process that a test starts would compile them again
unexport PYTHONDONTWRITEBYTECODE
PYTEST := $(BIN)/python -m pytest -n 3 --dist worksteal

.PHONY: setup demo test lint types unit test-deep mutants bench format clean

setup: $(VENV)/installed

$(VENV)/installed: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	touch $@

demo: setup
	PATH="$(abspath $(BIN)):$$PATH" examples/demo.sh

test: lint types unit

lint: setup
	$(BIN)/ruff check
	$(BIN)/ruff format --check

types: setup
	$(BIN)/mypy

unit: setup
	$(PYTEST) -m "not deep"

test-deep: lint types
	$(PYTEST) --timeout 3600 --hypothesis-profile deep

mutants: setup
	$(BIN)/python -m tests.mutation

bench: setup
	$(BIN)/python -m bench --out bench/results.json --report bench/RESULTS.md

format: setup
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

clean:
	rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache .hypothesis build dist
