# One command each for what is done often. `make test` needs Python (3.11 or later), make and the
# package registries, nothing else: it makes a virtual environment, builds the servers and clients
# that the integration tests run (once, into a cache), and says how far it is.

PYTHON ?= python3
WORKERS ?= 2
BENCH_RUNS ?= 5
BENCH_ONLY ?=
BENCH_SIZES ?= 100,1000,10000

VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
PYTEST := $(BIN)/python -m pytest

.DEFAULT_GOAL := help
.PHONY: help venv tools unit integration test check demo bench bench-auth bench-push bench-hub docs format clean

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

venv: $(VENV)/.test ## Make .venv with the package and what its tests need

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo 'venv: Python 3.11 or later is needed; name one: make PYTHON=python3.12 …'; exit 1; }
	@echo 'venv: making $(VENV)'
	@$(PYTHON) -m venv $(VENV) || \
	  { rm -rf $(VENV); echo 'venv: Python cannot make one (Debian: apt-get install python3-venv)'; exit 1; }

# pip is brought up to date first: dependency groups need 25.1.
$(VENV)/.test: pyproject.toml | $(VENV)/bin/python
	@echo 'venv: installing the package and its test tools (first time about a minute)'
	@$(PIP) install --upgrade 'pip>=25.1'
	@$(PIP) install --editable '.[hub]' --group test
	@touch $@

$(VENV)/.check: $(VENV)/.test
	@echo 'venv: installing the tools of `make check`'
	@$(PIP) install --group check
	@touch $@

tools: venv ## Build the servers and clients of the integration tests (first time about 8 minutes)
	@$(BIN)/python tests/tools/build.py

unit: venv ## Run the quick tests
	$(PYTEST) -n $(WORKERS) tests/unit

# One worker has the tests on a real API server, the other those on the embedded one.
integration: tools ## Run the tests on real servers with real clients
	$(PYTEST) -n $(WORKERS) --dist loadgroup --ignore tests/unit --ignore tests/benchmarks tests

test: ## Run all tests, the quick ones first
	@$(MAKE) --no-print-directory unit
	@$(MAKE) --no-print-directory integration

check: $(VENV)/.check ## Check style, types and the direction of imports
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports

demo: venv ## Show a whole hub at work, on this machine
	@$(BIN)/python tests/tools/build.py --only crane
	@$(BIN)/python tests/demo.py

bench: tools ## Measure speed and memory against stock clients
	BENCH_SIZES=100,1000 $(PYTEST) -n 0 --timeout 3600 tests/benchmarks

# BENCH_ONLY is warm, cold, soak, watched, or scale, which is long and runs only by its name.
bench-auth: tools ## Measure what a token costs (needs wrk: apt-get install wrk; 5 minutes)
	BENCH_ONLY='$(BENCH_ONLY)' \
	  $(PYTEST) -n 0 --timeout 1800 tests/benchmarks/test_auth.py tests/benchmarks/test_auth_scale.py

# BENCH_RUNS=1 is a quick look; BENCH_ONLY is a regular expression for the cases.
bench-push: tools ## Measure pushes and pulls against crane, oras, regctl and skopeo (20 minutes)
	BENCH_RUNS=$(BENCH_RUNS) BENCH_ONLY='$(BENCH_ONLY)' \
	  $(PYTEST) -n 0 --timeout 3600 -s tests/benchmarks/test_push.py

# BENCH_SIZES names the numbers of organisations; 10000 takes about half an hour and 6 GiB.
bench-hub: tools ## Measure how a hub grows, up to 100,000 images (about 40 minutes)
	BENCH_SIZES=$(BENCH_SIZES) $(PYTEST) -n 0 --timeout 7200 -s tests/benchmarks/test_hub.py

docs: venv ## Write the references, and check the documentation
	@$(BIN)/python tests/tools/cli_reference.py
	@$(BIN)/python tests/tools/resource_reference.py
	@$(BIN)/python tests/tools/attack_table.py
	$(PYTEST) tests/unit/docs

format: $(VENV)/.check ## Format the sources
	$(BIN)/ruff check --fix-only
	$(BIN)/ruff format

clean: ## Remove what these commands made here (not the cache of built tools)
	rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
