# What people and CI both call. `make run` and `make test` set up all they need in .venv.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
COMPILE = $(BIN)/uv pip compile pyproject.toml --universal --python-version 3.11 --all-extras \
	--group build --generate-hashes --no-emit-index-url --no-header --no-annotate --quiet

.PHONY: run demo test coverage check format crash simulate bench lock clean help

help: ## Show what there is
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 12

run: $(VENV)/.ready-to-run ## Set up and start the hub on 127.0.0.1:8080
	$(BIN)/gateway-hub serve

demo: $(VENV)/.ready-to-run ## Set up and show a hub, two simulated phones, a message each way
	$(BIN)/gateway-hub demo

test: $(VENV)/.ready-to-test ## Set up and run all tests
	$(BIN)/python -m pytest --numprocesses=auto --dist=worksteal

coverage: $(VENV)/.ready-to-test ## Run all tests and show which lines and branches none of them runs
	$(BIN)/python -m pytest --numprocesses=auto --dist=worksteal --cov --cov-report=term-missing:skip-covered

check: $(VENV)/.ready-to-test ## Format, lint, types, import rules, dependencies
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/deptry src

format: $(VENV)/.ready-to-test ## Format and mend what can be mended
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

crash: $(VENV)/.ready-to-test ## Kill the hub 20 times under load, on both databases, and count what is lost
	$(BIN)/python -m tests.crash.kill_hub --kills 20

simulate: $(VENV)/.ready-to-test ## Run 10,000 seeds of the simulation
	$(BIN)/python -m tests.simulation --seeds 10000

bench: $(VENV)/.ready-to-test ## Measure; writes benchmarks/RESULTS.md
	$(BIN)/python -m benchmarks all --record

lock: $(VENV)/.ready-to-test ## Resolve the dependencies anew
	$(PIP) install uv
	$(COMPILE) --upgrade -o requirements.txt
	$(COMPILE) --group test --group lint -c requirements.txt -o requirements-dev.txt

clean: ## Remove the environment and caches; never the data
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis .coverage

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.ready-to-run: requirements.txt pyproject.toml | $(VENV)/bin/python
	$(PIP) install --require-hashes -r requirements.txt
	$(PIP) install --no-deps --no-build-isolation --editable .
	touch $@

$(VENV)/.ready-to-test: requirements-dev.txt pyproject.toml | $(VENV)/bin/python
	$(PIP) install --require-hashes -r requirements-dev.txt
	$(PIP) install --no-deps --no-build-isolation --editable .
	touch $@
