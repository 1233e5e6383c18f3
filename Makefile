# The two commands of the README, and what they stand on. Everything sets itself up.
PYTHON ?= python3
ARGS ?=
# One process more than cores: whole servers are waited for. They come first, so that nothing long is left at the end.
WORKERS := $(shell n=$$(nproc 2>/dev/null || echo 2); [ $$n -gt 4 ] && n=4; expr $$n + 1)
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.locked
TESTS := tests/e2e tests/contract tests/lifecycle tests/unit -m "not peers and not bench"
# Servers and test processes start dozens of times: what is compiled once starts sooner.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: demo test test-peers setup lint compiled bench clean

demo: setup
	@$(BIN)/cds demo $(ARGS)

test: setup
	@$(MAKE) --no-print-directory -j2 lint compiled
	$(BIN)/pytest $(TESTS) -n $(WORKERS) --dist loadscope --no-loadscope-reorder $(ARGS)

# While the types are checked: each test process would compile all tests for itself.
compiled: setup
	@$(BIN)/pytest $(TESTS) --collect-only -q > /dev/null || $(BIN)/pytest $(TESTS) --collect-only -q

test-peers: setup
	@sh tests/peers/install.sh
	$(BIN)/pytest -m peers $(ARGS)

bench: setup
	$(BIN)/pytest -m bench -s $(ARGS)

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

setup: $(STAMP)

$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit("Sightline needs Python 3.11 or newer, this is " + sys.version.split()[0]) if sys.version_info < (3, 11) else None'
	@test -x $(BIN)/python || { echo "Creating $(VENV)"; $(PYTHON) -m venv $(VENV); }
	@echo "Installing the locked dependencies (2 GB, most of it PyTorch; some minutes the first time)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	@touch $@

clean:
	rm -rf $(VENV) .demo build *.egg-info .mypy_cache .ruff_cache
