# One word per task. `make train` and `make test` do all the set-up on a fresh machine; PYTHON chooses the interpreter.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin

ENV ?= HalfCheetah-v5
ALGO ?= rpp_sac
STEPS ?= 6000
SEED ?= 0
# Random steps before learning starts; the files' 10000 is meant for runs of a million steps.
LEARNING_STARTS ?= 1000

.PHONY: train test lint type format wheel docs-symmetries docs-paper docs-evidence docs-performance faults clean

train: $(VENV)/.train
	$(BIN)/rpp-rl train --algo $(ALGO) --env $(ENV) -n $(STEPS) --seed $(SEED) --progress \
		-params learning_starts:$(LEARNING_STARTS) $(ARGS)

# One thread for each of the two workers: more would fight over two cores.
test: $(VENV)/.dev
	OMP_NUM_THREADS=1 $(BIN)/pytest -n 2 $(ARGS)

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

format: $(VENV)/.dev
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

# Audits every declared symmetry and writes the table; never edit it by hand.
docs-symmetries: $(VENV)/.dev
	OMP_NUM_THREADS=1 $(BIN)/python docs/generate/symmetries.py docs/symmetries.md

# Writes docs/paper.md from the recorded trials; with rpp-rl reproduce and its --out docs/results/reproduce there are more.
docs-paper: $(VENV)/.dev
	$(BIN)/python docs/generate/paper.py docs/results/reproduce docs/paper.md

# Writes docs/evidence.md from the recorded comparisons.
docs-evidence: $(VENV)/.dev
	$(BIN)/python docs/generate/evidence.py docs/results/evidence docs/evidence.md

# Writes docs/performance.md from the recorded benchmarks.
docs-performance: $(VENV)/.dev
	$(BIN)/python docs/generate/performance.py docs/results docs/performance.md

# Does harm to runs in every way it knows, for about three quarters of an hour, and writes what was lost.
faults: $(VENV)/.dev
	OMP_NUM_THREADS=1 PYTHONPATH=tests $(BIN)/python -m faults --json docs/results/faults.json $(ARGS)
	$(BIN)/python docs/generate/reliability.py docs/results/faults.json docs/reliability.md

# The four folders are one package, so mypy is given them as one tree.
type: $(VENV)/.dev
	rm -rf build/typed && mkdir -p build/typed/rpp_rl
	ln -s $(CURDIR)/rpp_rl/* build/typed/rpp_rl/
	for part in agents envs scripts; do ln -s $(CURDIR)/$$part build/typed/rpp_rl/$$part; done
	cd build/typed && $(CURDIR)/$(BIN)/mypy --config-file $(CURDIR)/pyproject.toml -p rpp_rl

wheel: $(VENV)/.dev
	rm -rf build/lib build/bdist* dist
	$(BIN)/python -m build --wheel --outdir dist .

clean:
	rm -rf build dist $(VENV) *.egg-info

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.train: $(VENV)/bin/python pyproject.toml constraints.txt
	$(BIN)/python -m pip install -q -c constraints.txt -e .
	touch $@

$(VENV)/.dev: $(VENV)/bin/python pyproject.toml constraints.txt
	$(BIN)/python -m pip install -q -c constraints.txt -e '.[dev]'
	touch $@ $(VENV)/.train
