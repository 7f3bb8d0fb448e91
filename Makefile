# Every target sets itself up: `make setup` is idempotent and cheap when nothing changed.
SHELL := /bin/bash
PYTHON ?= python3
UV_VERSION := 0.13.8
BIN := .venv/bin
NO_PYTHON = 云会无法安装：没有找到 $(PYTHON)；需要 Python 3.11 或更新版本，Debian 上 'apt install python3 python3-venv python3-dev'。 \
yunhui cannot be set up: $(PYTHON) was not found; Python 3.11 or newer is needed, \
on Debian 'apt install python3 python3-venv python3-dev'.
# dozens of processes start in a test run: they read what one has compiled, whatever the environment says
unexport PYTHONDONTWRITEBYTECODE
PROTOS = $(shell cd proto && find yunhui -name '*.proto' | sort)

.PHONY: help setup up demo test test-all machine fuzz simulation stress notices attendance chaos rolling mutants bench pictures check format migration proto generated new-service recipes clean

help: ## show this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

setup: .venv/.installed ## create .venv and install everything from the lock

.venv/.installed: pyproject.toml uv.lock
	@command -v $(PYTHON) >/dev/null || { echo "$(NO_PYTHON)" >&2; exit 1; }
	@$(PYTHON) tools/preflight.py
	@test -x $(BIN)/pip || $(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)
	@$(BIN)/uv sync --locked --quiet --inexact --python $(BIN)/python
	@touch $@

up: setup ## start everything on this machine; Ctrl-C stops it
	@exec $(BIN)/yunhui up $(ARGS)

demo: setup ## play the tutorial as a story on real processes
	@$(BIN)/yunhui demo $(ARGS)

# the tests of one file stay together, since several share a running installation; they start in the order of tests/conftest.py:
# what takes longest first, so that none of it is left over at the end
PYTEST := $(BIN)/pytest -n 4 --dist loadfile --no-loadscope-reorder

test: setup ## run the tests: every rule and every promise; some minutes
	@$(PYTEST) -m "not long" $(ARGS)

test-all: setup ## run all tests: also the same in full size, on every page and in every look
	@$(PYTEST) $(ARGS)

machine: setup ## booking against its model: 500 new examples on each database, some minutes
	@MACHINE_EXAMPLES=$${MACHINE_EXAMPLES:-500} $(BIN)/pytest -n 2 -o faulthandler_timeout=7200 tests/booking/test_machine.py $(ARGS)

simulation: setup ## 1,000 histories of the whole system in one process, with everything going wrong by seed
	@$(BIN)/python -m tests.simulation.many $(ARGS)

fuzz: setup ## 10,000 hostile messages to every method and to the bus; some minutes
	@FUZZ_MESSAGES=$${FUZZ_MESSAGES:-10000} $(BIN)/pytest -s tests/system/test_fuzz.py $(ARGS)

stress: setup ## 20,000 requests and 200 rounds against every arrangement of bookings; about half an hour
	@$(BIN)/python -m tests.faults.stress $(ARGS)

notices: setup ## 3,000 reservations while programs are killed: nothing forgotten, nobody written to twice; some minutes
	@$(BIN)/python -m tests.faults.notices $(ARGS)

attendance: setup ## 1,000 meetings whose events are lost, doubled, late and forged: every no-show found, nobody wronged
	@$(BIN)/python -m tests.faults.attendance $(ARGS)

KILLS ?= 20
SEED ?= 7
RESERVATIONS ?= 0

chaos: setup ## everything fails at once, then every promise is checked: make chaos KILLS=20 SEED=7
	@$(BIN)/python -m tests.faults.chaos --kills $(KILLS) --seed $(SEED) --reservations $(RESERVATIONS) $(ARGS)

rolling: setup ## two of each program are restarted in good order under load, 20 rounds: no call may fail
	@$(BIN)/python -m tests.faults.rolling $(ARGS)

mutants: setup ## guards are taken away one by one, and the proofs must notice; some minutes
	@$(BIN)/python -m tests.faults.mutants $(ARGS)

bench: setup ## measure; a whole run takes about half an hour and 5 GB of disk
	@$(BIN)/python -m bench $(ARGS)

pictures: setup ## docs/portal.md anew: every page as a picture, what axe says, the story; some minutes, needs chromium
	@$(BIN)/python -m tests.portal.pages.screenshots $(ARGS)

check: setup ## ruff, mypy, import walls, buf, translations, freshness of generated files
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-logo
	@$(BIN)/deptry .
	@$(BIN)/buf lint proto
	@$(BIN)/buf format --diff --exit-code proto
	@$(BIN)/python -m tools.messages --check
	@$(BIN)/check-jsonschema --quiet --builtin-schema vendor.compose-spec compose.yaml
	@tools/stubs_fresh

format: setup ## let ruff and buf rewrite the sources
	@$(BIN)/ruff check --fix --quiet .
	@$(BIN)/ruff format --quiet .
	@$(BIN)/buf format -w proto

migration: setup ## draft the next migration: make migration SERVICE=booking MESSAGE="what is new"
	@$(BIN)/python -m tools.new_migration $(SERVICE) "$(MESSAGE)"

proto: setup ## regenerate the committed stubs in proto/gen
	@tools/generate_stubs proto/gen

generated: proto ## write anew all that follows from something else: stubs, rights, compose.yaml, pages of docs, translations
	@$(BIN)/python -m tools.generated

new-service: setup ## begin a program: make new-service NAME=library ENTITY=book
	@$(BIN)/python -m tools.new_service "$(NAME)" "$(ENTITY)"

recipes: setup ## play the recipes of CONTRIBUTING.md in copies of the sources
	@$(BIN)/pytest tests/recipes $(ARGS)

clean: ## remove the environment; the data in .yunhui stays
	rm -rf .venv
