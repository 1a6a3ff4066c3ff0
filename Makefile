# Insider Swing. `make` or `make help` lists the commands.
# PYTHON may name another interpreter (3.11 or newer): make run PYTHON=python3.12
PYTHON ?= python3.11
VENV   := .venv
PY     := $(VENV)/bin/python
PIP    := $(PY) -m pip --disable-pip-version-check install --quiet --require-hashes
ARGS   ?=

.DEFAULT_GOAL := help
.PHONY: help setup run test lint bench peers validate lock clean

help:  ## list the commands
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

# A stamp is written only after pip succeeded, so a killed install is taken up again.
$(VENV)/.installed: requirements.txt
	@command -v $(PYTHON) >/dev/null || { echo "error: '$(PYTHON)' is not installed; expected Python 3.11 or newer; name yours with 'make run PYTHON=python3'" >&2; exit 2; }
	@echo "Setting up $(VENV) (once, a few minutes) ..."
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "error: Python 3.11 or newer expected, received: $$($(PYTHON) --version)" >&2; exit 2; }
	@test -x $(PY) || $(PYTHON) -m venv $(VENV)
	@$(PIP) -r requirements.txt
	@touch $@

$(VENV)/.installed-dev: requirements-dev.txt $(VENV)/.installed
	@echo "Installing the test tools ..."
	@$(PIP) -r requirements-dev.txt
	@touch $@

setup: $(VENV)/.installed  ## create .venv and install the locked requirements

run: $(VENV)/.installed  ## run the main job on the embedded market (ARGS="..." passes flags)
	@$(PY) run_backtest.py $(ARGS)

test: $(VENV)/.installed-dev  ## run lint, type check and the whole test suite
	@$(MAKE) --no-print-directory lint
	@$(PY) -m pytest $(ARGS)

lint: $(VENV)/.installed-dev  ## formatting, ruff and mypy only
	@$(VENV)/bin/ruff format --check --quiet .
	@$(VENV)/bin/ruff check --quiet .
	@$(VENV)/bin/mypy

bench: $(VENV)/.installed-dev  ## measure speed and memory (see benchmarks/README.md)
	@$(PY) -m benchmarks

validate: $(VENV)/.installed-dev  ## run the controls of the method at full length (some ten minutes)
	@$(PY) -m benchmarks.validate $(ARGS)

peers:  ## install the engines that the benchmark compares with, in .venv-peers (some are not open source)
	@test -x .venv-peers/bin/python || $(PYTHON) -m venv .venv-peers
	@.venv-peers/bin/python -m pip --disable-pip-version-check install --quiet -r benchmarks/requirements-peers.txt

lock: $(VENV)/.installed-dev  ## write requirements*.txt from requirements*.in
	@$(VENV)/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --custom-compile-command "make lock" requirements.in -o requirements.txt
	@$(VENV)/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --custom-compile-command "make lock" requirements-dev.in -o requirements-dev.txt

clean:  ## remove .venv, caches and runs/
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis runs
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
