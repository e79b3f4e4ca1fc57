# `make run` searches, `make test` checks; both set up what they need on first use and never again.
PYTHON ?= python3
VENV := .venv
STAMP := $(VENV)/.installed
ARGS ?=
CONFIG ?= configs/cifar10.yaml
CIFAR10 ?= runs/cifar10
FIDELITY ?=
METHODS := static edanas nachos aebnas aebnas-bo
ATTACK_SCALE ?= 1
SEED ?= 0

.PHONY: run test test-fast coverage attack cifar10 cifar10-reduced format clean

run: $(STAMP)
	$(VENV)/bin/python -m aebnas_bo.run --budget 200 $(ARGS)

test: $(STAMP)
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy
	$(VENV)/bin/mypy tests/integration/test_front_door.py  # as a user's code
	$(VENV)/bin/python -m pytest -q -n 2 --dist worksteal $(ARGS)

# The tests again, with the covered lines and branches of every package; fails below the limits in tests/check_coverage.py.
coverage: $(STAMP)
	$(VENV)/bin/python -m pytest -q -n 2 --dist worksteal --cov --cov-report= $(ARGS)
	$(VENV)/bin/python -m tests.check_coverage

# While working: ruff and the unit tests that are not marked slow.
test-fast: $(STAMP)
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/python -m pytest -q -n 2 --dist worksteal -m "not slow" tests/unit $(ARGS)

# Random mistakes and accidents, about three minutes on two idle cores: `make attack ATTACK_SCALE=20 SEED=$$RANDOM` for a night.
# These are the cases of each campaign at scale 1; `make attack-kills` runs one.
attack-configuration: CASES := 700
attack-databases: CASES := 40
attack-files: CASES := 60
attack-full_disk: CASES := 3
attack-kills: CASES := 7
CAMPAIGNS := attack-configuration attack-databases attack-files attack-full_disk attack-kills

attack: $(STAMP)
	@echo "seed $(SEED), scale $(ATTACK_SCALE)"
	@$(MAKE) --no-print-directory --keep-going --jobs 2 --output-sync $(CAMPAIGNS)

attack-%: $(STAMP)
	OMP_NUM_THREADS=1 $(VENV)/bin/python -m tests.attack.$* --count $$(($(CASES) * $(ATTACK_SCALE))) --seed $(SEED)

# docs/results.md from the beginning; what was stopped goes on from there with the same command. ARGS: `--set` options.
cifar10: $(STAMP)
	$(VENV)/bin/aebnas-bo compare $(CONFIG) --methods aebnas-bo --max-average-macs 2.44 --out $(CIFAR10) $(ARGS)
	$(VENV)/bin/python -m benchmarks.narrowed_supernet $(CIFAR10)/aebnas-bo-seed0 --config $(CONFIG) \
	  --methods static aebnas --cache $(CIFAR10)/cache $(ARGS)
	AEBNAS_BO_CACHE=$(CIFAR10)/cache \
	  $(VENV)/bin/aebnas-bo compare $(CONFIG) --max-average-macs 2.44 --out $(CIFAR10) $(ARGS)
	$(VENV)/bin/aebnas-bo run --config $(CONFIG) --out $(CIFAR10)/free-seed0 --resume-or-start $(ARGS)
	for method in $(METHODS); do \
	  $(VENV)/bin/aebnas-bo train $(CIFAR10)/$$method-seed0 --select 'macs<=2.44' --seeds 0-2 || exit 1; \
	done
	for limit in 1.2 5; do \
	  $(VENV)/bin/aebnas-bo train $(CIFAR10)/free-seed0 --select "macs<=$$limit" --seeds 0-2 || exit 1; \
	done
	for activation in relu hardswish; do \
	  $(VENV)/bin/python -m benchmarks.hand_made $(CIFAR10)/aebnas-bo-seed0 --activation $$activation --seeds 0 1 2 \
	    --out $(CIFAR10)/hand-made.csv || exit 1; \
	done
	$(VENV)/bin/aebnas-bo fidelity $(CONFIG) $(FIDELITY) --out $(CIFAR10)/fidelity --resume-or-start $(ARGS)
	$(VENV)/bin/python -m benchmarks.final_table $(addprefix $(CIFAR10)/,$(addsuffix -seed0,$(METHODS) free)) \
	  --hand-made $(CIFAR10)/hand-made.csv --budget 2.44 --out $(CIFAR10)/results

# The same with fewer epochs and evaluations, for machines without a GPU.
cifar10-reduced:
	$(MAKE) cifar10 CONFIG=configs/cifar10-reduced.yaml CIFAR10=runs/cifar10-reduced \
	  FIDELITY='--num-architectures 12 --set final_training.epochs=8'

format: $(STAMP)
	$(VENV)/bin/ruff check --fix .
	$(VENV)/bin/ruff format .

# The stamp is written last, so that an interrupted installation starts over.
$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	touch $(STAMP)

clean:
	rm -rf $(VENV) build *.egg-info .pytest_cache .mypy_cache .ruff_cache .coverage
