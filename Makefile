# The two commands: `make run` and `make test`. Both set up all they need; Python >= 3.11 and make are enough.
PYTHON ?= python3
HOST ?= 127.0.0.1
PORT ?= 8000
BIN := .venv/bin
# The suite on three processes for two cores: tests wait for 40 % of their time. With more, those that judge by time suffer.
JOBS ?= 3
PYTEST = $(BIN)/python -m pytest -n $(JOBS) --dist worksteal
COMPILE := $(BIN)/uv pip compile -q --universal --python-version 3.11 --no-header --no-annotate --generate-hashes

.PHONY: setup run test test-fast coverage simulate simulate-mutants chaos foreign restart-proof check format lock bench bench-quick bench-profile clean

setup: .venv/.setup

.venv/.setup: requirements.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Python 3.11 or newer is needed; name it with PYTHON=python3.12"; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv || \
		{ echo "Python's venv module is needed (Debian: apt-get install python3-venv)"; exit 1; }
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

.venv/.setup-dev: .venv/.setup requirements-dev.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.txt
	@touch $@

run: setup
	@DEBUG=1 $(BIN)/python manage.py run_demo --host $(HOST) --port $(PORT)

test: .venv/.setup-dev
	@$(BIN)/python tests/prepare.py
	$(PYTEST) $(ARGS)

# While writing: the decisions, the wire, the hub and the JavaScript; no servers and no browser. Under a minute.
test-fast: .venv/.setup-dev
	$(PYTEST) -q tests/core tests/protocol tests/realtime tests/js $(ARGS)

# The tests that run the code in their own process or in servers of a test; not e2e, browser, simulation and smoke.
MEASURED := $(addprefix tests/,accounts chat client core defaults demo engine js ops protocol realtime server testing \
	smoke/test_environment.py)
coverage: .venv/.setup-dev
	rm -rf var/coverage
	$(BIN)/python -m coverage run -m pytest -n $(JOBS) --dist worksteal -q $(MEASURED)
	$(BIN)/python tests/floors.py

# Seeded worlds on a fake clock (tests/simulation/README.md); SEED=<seed> repeats one and shows its log.
WORLDS ?= 10000
simulate: .venv/.setup-dev
	$(BIN)/python -m tests.simulation $(if $(SEED),seed $(SEED),run --worlds $(WORLDS) --failed-seeds) $(ARGS)

simulate-mutants: .venv/.setup-dev
	$(BIN)/python -m tests.simulation mutants $(ARGS)

# Real servers on real brokers while these fail (tests/faults): ten minutes; SEED=<seed> repeats the order of the faults.
chaos: .venv/.setup-dev
	$(BIN)/python -m tests.faults $(if $(SEED),--seed $(SEED)) $(ARGS)

# The project made of the examples for newcomers, with the wheel, on every interpreter found and two Djangos.
foreign: .venv/.setup-dev
	$(BIN)/python -m tests.foreign $(ARGS)

# Two nodes behind the shipped nginx restarted under load, and one by SIGHUP: what clients saw (docs/operations.md).
restart-proof: .venv/.setup-dev
	$(BIN)/python -m tests.restarts $(ARGS)

check: .venv/.setup-dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy .
	$(BIN)/lint-imports
	$(BIN)/python tests/circles.py
	DEBUG=1 $(BIN)/python manage.py makemigrations --check --dry-run

format: .venv/.setup-dev
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

lock: .venv/.setup-dev
	$(COMPILE) --upgrade --all-extras --group site pyproject.toml -o requirements.txt
	$(COMPILE) --all-extras --group site --group dev -c requirements.txt pyproject.toml -o requirements-dev.txt

# Ours and its peers side by side (docs/performance.md): about half an hour, and under three minutes.
bench: .venv/.setup-dev bench/peers/node_modules
	$(BIN)/python -m bench.run $(ARGS)

bench-quick: .venv/.setup-dev bench/peers/node_modules
	$(BIN)/python -m bench.run --quick $(ARGS)

# Where the time of our server goes, as text in bench/results/profiles.
bench-profile: .venv/.setup-dev .venv-bench
	$(BIN)/python -m bench.run --profile --rounds 1 --peers none --output var/bench-profiled.json $(ARGS)

.venv-bench: bench/requirements.txt
	test -x $@/bin/python || $(BIN)/python -m venv $@
	$@/bin/python -m pip install --quiet --disable-pip-version-check -r $<
	@touch $@

# A peer that cannot be had is named in the table; that is no failure.
bench/peers/node_modules: bench/peers/package-lock.json
	cd bench/peers && PATH="$(CURDIR)/$(BIN):$$PATH" npm ci --ignore-scripts --silent && touch node_modules || true

clean:
	rm -rf .venv .venv-bench bench/peers/node_modules var .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
