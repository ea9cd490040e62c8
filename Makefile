# Needs make, a network, and Python 3.11 or later. Everything goes into .venv; `make clean` undoes it.
.DEFAULT_GOAL := help
.PHONY: help demo test lint torture bench clean
.DELETE_ON_ERROR:

VENV := .venv
BIN := $(VENV)/bin
# The first that is new enough; another with `make PYTHON=/path/to/python ...`.
CANDIDATES := python3 python3.14 python3.13 python3.12 python3.11
NEW_ENOUGH := import sys; sys.exit(sys.version_info < (3, 11))
PYTHON ?= $(or $(shell for p in $(CANDIDATES); do "$$p" -c '$(NEW_ENOUGH)' 2>/dev/null && echo "$$p" && break; done),python3)

export DO_NOT_TRACK := 1
export PREFECT_SERVER_ANALYTICS_ENABLED := false
# The environment's own interpreter and folder, whatever the shell has set.
export UV_PROJECT_ENVIRONMENT := $(VENV)
export UV_PYTHON := $(VENV)/bin/python
export UV_PYTHON_DOWNLOADS := never
export UV_NO_PROGRESS := 1
unexport VIRTUAL_ENV PYTHONHOME PYTHONPATH

# Tests wait for servers as much as they compute: on few cores, two a core.
WORKERS := $(shell cores=$$(nproc); [ $$cores -le 4 ] && echo $$((cores * 2)) || echo $$cores)

# Extraneous packages stay: the demo's environment is a part of the tests'.
SYNC = $(BIN)/uv sync --frozen --inexact --quiet

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-7s %s\n", $$1, $$2}' Makefile
	@echo "  PYTHON=/path/to/python names the interpreter of a new .venv; ARGS='...' is handed on (demo, test, torture, bench)"

demo: $(VENV)/.demo ## Archive, prove and purge a real table: 336,776 flights, a minute (ARGS=shop: the rest of the lake)
	@$(BIN)/tidegate demo $(ARGS)

test: $(VENV)/.dev ## Run all tests, on a real PostgreSQL, S3 and Prefect server
	$(BIN)/pytest --numprocesses=$(WORKERS) --dist=loadfile --no-loadscope-reorder $(ARGS)

lint: $(VENV)/.dev ## Check style and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

torture: $(VENV)/.dev ## Kill 500 runs at random and play 2,000 schedules of 60 steps; an hour or more
	$(BIN)/python tests/faults/torture.py $(ARGS)

bench: $(VENV)/.dev ## Measure against COPY, DuckDB, the usual delete loop, pt-archiver and dlt
	$(BIN)/python benchmarks/archive.py $(ARGS)
	$(BIN)/python benchmarks/purge.py
	$(BIN)/python benchmarks/ingest.py

clean: ## Remove the environment, the demo's folder and all caches
	rm -rf $(VENV) demo dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV)/.uv: .ci/create_venv.py
	@command -v "$(PYTHON)" >/dev/null || { echo "There is no $(PYTHON) on PATH. Tidegate needs Python 3.11 or later: make PYTHON=/path/to/python ..." >&2; exit 1; }
	@echo "Creating $(VENV)"
	@"$(PYTHON)" .ci/create_venv.py $(VENV)
	@touch $@

$(VENV)/.demo: $(VENV)/.uv pyproject.toml uv.lock
	@echo "Installing what the demo needs, as locked in uv.lock (the first time it downloads some 400 MB)"
	@$(SYNC) --no-default-groups --group demo
	@touch $@

$(VENV)/.dev: $(VENV)/.uv pyproject.toml uv.lock
	@echo "Installing what the tests need, as locked in uv.lock (the first time it downloads some 600 MB)"
	@$(SYNC)
	@touch $@ $(VENV)/.demo
