# Everything a developer types. `make` alone lists it.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
# Build tools warn about things that are as they should be; what they say is shown when they fail.
QUIETLY = >$(VENV)/install.log 2>&1 || { cat $(VENV)/install.log >&2; exit 1; }
UP ?=
PYTEST ?=
WORKERS ?= 2
FAULTS ?=
CASES ?= 10000

RUNTIME := $(VENV)/.runtime
TOOLS := $(VENV)/.tools

.PHONY: help
help: ## List the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: demo
demo: $(RUNTIME) ## Run everything on this machine and say where to look (UP="--port 9000" passes options)
	@exec $(BIN)/skyhooks up $(UP)

.PHONY: test
test: check packages ## Check, then run every test, two at a time (PYTEST="-k name" passes options)
	@$(BIN)/pytest -n $(WORKERS) --dist loadfile $(PYTEST)

.PHONY: faults
faults: $(TOOLS) ## Do harm to a cluster under load, and judge what it did (FAULTS="--seconds 120 --store sqlite")
	@$(BIN)/python -m tests.faults $(FAULTS)

.PHONY: faults-selftest
faults-selftest: $(TOOLS) ## Plant ten bugs, one after the other, and see that the fault runs find each
	@$(BIN)/python -m tests.faults.selftest

.PHONY: conformance
conformance: $(TOOLS) ## Run many more generated requests (CASES=10000), and npm's webhook verifier
	@CASES=$(CASES) $(BIN)/pytest -o python_files='test_*.py node_*.py' tests/conformance $(PYTEST)

.PHONY: check
check: $(TOOLS) ## Lint, format, types, layers, and that the generated pages are current
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/python docs/generate.py --check
	@$(BIN)/pytest -q tests/unit/test_layers.py tests/unit/test_house.py

.PHONY: format
format: $(TOOLS) ## Rewrite what can be rewritten: format, sorted imports, generated pages
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .
	@$(BIN)/python docs/generate.py

.PHONY: packages
packages: ## Install the Debian packages that the tests need, where that is allowed
	@deploy/debian-packages.sh

.PHONY: clean
clean: ## Delete what was made here, the environment included
	@rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis build dist *.egg-info
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

# The stamps are younger than pyproject.toml exactly when what it asks for is installed.
$(RUNTIME): pyproject.toml | $(BIN)/python
	@echo "Installing skyhooks into $(VENV) ..."
	@$(PIP) install -e . $(QUIETLY)
	@touch $@

$(TOOLS): pyproject.toml | $(BIN)/python
	@echo "Installing skyhooks and its tools into $(VENV) ..."
	@$(PIP) install -e '.[test]' $(QUIETLY)
	@touch $@ $(RUNTIME)

$(BIN)/python:
	@command -v $(PYTHON) >/dev/null || { echo "$(PYTHON) was not found: install Python 3.11 or newer, or name one with make PYTHON=..." >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "skyhooks needs Python 3.11 or newer, and $(PYTHON) is $$($(PYTHON) -V 2>&1): name another with make PYTHON=python3.11" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || \
	  { echo "$(PYTHON) cannot make environments: install its venv module (on Debian: apt-get install python3-venv)" >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV)
