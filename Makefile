# One word per task. Each task installs what it needs on a fresh machine; PYTHON chooses the interpreter.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin

ENV ?= HalfCheetah-v5
ALGO ?= rpp_sac
STEPS ?= 40000
SEED ?= 0
# Random steps before learning starts; the hyperparameter files' 10000 is meant for runs of a million steps.
LEARNING_STARTS ?= 1000

# Tests that train for long, start many processes, a Ray cluster or a browser.
LONG := slow or ray or browser
# One thread for each of the two workers: more would compete for two cores.
PYTEST := OMP_NUM_THREADS=1 $(BIN)/pytest -n 2

.PHONY: train test test-all lint type format wheel docs-symmetries docs-paper docs-evidence docs-performance faults clean

train: $(VENV)/.train
	@$(BIN)/rpp-rl train --algo $(ALGO) --env $(ENV) -n $(STEPS) --seed $(SEED) --eval-episodes 5 \
		-params learning_starts:$(LEARNING_STARTS) $(ARGS)

# Everything but the long tests, in a few minutes.
test: $(VENV)/.dev
	$(PYTEST) -m "not ($(LONG))" $(ARGS)

# Everything.
test-all: test
	$(PYTEST) -m "$(LONG)" $(ARGS)

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/python -m tools.words

format: $(VENV)/.dev
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

# Audit every declared symmetry and write the table; never edit it by hand.
docs-symmetries: $(VENV)/.dev
	OMP_NUM_THREADS=1 $(BIN)/python docs/generate/symmetries.py docs/symmetries.md

# Write docs/paper.md from the recorded trials; `rpp-rl reproduce --out docs/results/reproduce` adds trials.
docs-paper: $(VENV)/.dev
	$(BIN)/python docs/generate/paper.py docs/results/reproduce docs/paper.md

# Write docs/evidence.md from the recorded comparisons.
docs-evidence: $(VENV)/.dev
	$(BIN)/python docs/generate/evidence.py docs/results/evidence docs/evidence.md

# Write docs/performance.md from the recorded benchmarks.
docs-performance: $(VENV)/.dev
	$(BIN)/python docs/generate/performance.py docs/results docs/performance.md

# Kill runs, fill their disks, break their files and environments for about 45 minutes; write what was lost.
faults: $(VENV)/.dev
	OMP_NUM_THREADS=1 PYTHONPATH=tests $(BIN)/python -m faults --json docs/results/faults.json $(ARGS)
	$(BIN)/python docs/generate/reliability.py docs/results/faults.json docs/reliability.md

type: $(VENV)/.dev
	$(BIN)/mypy -p rpp_rl

wheel: $(VENV)/.dev
	rm -rf build/lib build/bdist* dist
	$(BIN)/python -m build --wheel --outdir dist .

clean:
	rm -rf build dist $(VENV) *.egg-info

$(VENV)/bin/python:
	@$(PYTHON) -m venv $(VENV)

# pip's output is shown only if it fails.
define install
	@echo "installing into $(VENV)"
	@$(BIN)/python -m pip install -c constraints.txt -e $(1) >$(VENV)/pip.log 2>&1 || { cat $(VENV)/pip.log >&2; exit 1; }
endef

$(VENV)/.train: $(VENV)/bin/python pyproject.toml constraints.txt
	$(call install,.)
	@touch $@

$(VENV)/.dev: $(VENV)/bin/python pyproject.toml constraints.txt
	$(call install,'.[dev]')
	@touch $@ $(VENV)/.train
