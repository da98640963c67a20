# Two commands on a fresh machine: `make quickstart`, `make test`.
VENV ?= .venv
PYTHON ?= python3
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed

.PHONY: quickstart ablations test test-slow test-newest lint bench docs lock wheel clean help

help:  ## List the targets.
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 14

quickstart: $(INSTALLED)  ## Run the embedded benchmark to runs/quickstart/report/index.html.
	$(BIN)/clapstick quickstart --out runs/quickstart

ablations: $(INSTALLED)  ## Sweep bins and label smoothing on small synthetic data: runs/ablations/*/index.html.
	test -d runs/ablations/data || $(BIN)/clapstick data synth --out runs/ablations/data --videos 72 --duration 4
	$(BIN)/clapstick ablate bins --data runs/ablations/data --out runs/ablations \
	  --grid video2rms.classes=16,64,256,continuous --set rms2sound-tiny.steps=5 --set no-rms.steps=5
	$(BIN)/clapstick ablate smoothing --data runs/ablations/data --out runs/ablations \
	  --grid train.smoothing_width=0,2,5,15

test: lint  ## Lint, check types and imports, run the tests.
	$(BIN)/pytest -n auto --dist loadfile -m "not slow and not benchmark" -q

test-slow: $(INSTALLED)  ## Run the tests that take longer.
	$(BIN)/pytest -m "slow and not benchmark" -q

lint: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(INSTALLED)  ## Measure speed and memory as ratios.
	$(BIN)/python -m uv pip install -q -p $(BIN)/python --no-deps -r tests/benchmarks/requirements.txt
	$(BIN)/pytest -m benchmark -q -s

test-newest:  ## Run the tests of the core with the newest versions of everything.
	$(PYTHON) -m venv .venv-newest
	.venv-newest/bin/pip install -q uv
	.venv-newest/bin/uv pip install -q -p .venv-newest/bin/python -e . --group dev
	.venv-newest/bin/pytest -m "not slow and not benchmark" -q

docs: $(INSTALLED)  ## Write the generated pages of docs/ anew.
	$(BIN)/clapstick metrics --markdown > docs/metrics.md

lock: $(INSTALLED)  ## Resolve requirements.lock anew; no address is written into it.
	$(BIN)/uv pip compile -q pyproject.toml --extra official --group dev --python-version 3.11 \
	  --no-header --no-annotate --no-emit-index-url --no-emit-find-links -o requirements.lock

wheel: $(INSTALLED)  ## Build sdist and wheel into dist/.
	$(BIN)/python -m build --installer uv

clean:  ## Delete the environment and the runs.
	rm -rf $(VENV) .venv-newest runs dist

$(INSTALLED): requirements.lock pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m uv --version >/dev/null 2>&1 || $(BIN)/python -m pip install -q uv
	$(BIN)/python -m uv pip install -q --compile-bytecode -p $(BIN)/python -r requirements.lock
	$(BIN)/python -m uv pip install -q -p $(BIN)/python --no-deps -e .
	touch $@
