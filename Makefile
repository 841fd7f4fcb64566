# What a contributor needs. `make` alone lists the targets.
#
# PYTHON, or else the activated environment, is used as it is where it holds contrapose, pytest and pytest-xdist. Otherwise, and
# always where VENV says so, the targets first make an environment in VENV (.venv), with PYTHON if that is given.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

ifeq ($(origin VENV),undefined)
  CANDIDATE := $(if $(PYTHON),$(PYTHON),$(if $(VIRTUAL_ENV),$(VIRTUAL_ENV)/bin/python))
  HOLDS := import sys, importlib.util as u; print(sys.executable if all(map(u.find_spec, ("contrapose", "pytest", "xdist"))) else "")
  GIVEN := $(if $(CANDIDATE),$(shell $(CANDIDATE) -c '$(HOLDS)' 2>/dev/null))
endif
VENV ?= .venv
ifneq ($(GIVEN),)
  RUN := $(GIVEN)
  READY :=
  READY_DEMO :=
else
  RUN := $(abspath $(VENV))/bin/python
  READY := $(VENV)/.installed-dev
  # A contributor's environment serves the demo too; without one, the demo installs no more than a user would.
  READY_DEMO := $(if $(wildcard $(READY)),$(READY),$(VENV)/.installed-demo)
endif

DISTRIBUTIONS := $(patsubst %/pyproject.toml,%,$(wildcard core/pyproject.toml plugins/*/pyproject.toml))
MANIFESTS := pyproject.toml constraints.txt $(addsuffix /pyproject.toml,$(DISTRIBUTIONS))
USED_BY_DEMO := core plugins/pointcloud plugins/image plugins/text plugins/tabular
DEMO_FILES := $(shell find $(USED_BY_DEMO) -path '*/src/*' \( -name '*.py' -o -name '*.yaml' \))
# Each file's tests run in one process, as its fixtures train runs that they share. JOBS=0 is this process alone, as for a debugger.
JOBS ?= 2
PYTEST := -m pytest -n $(JOBS) --dist loadfile --no-loadscope-reorder
PIP_INSTALL := -m pip --disable-pip-version-check --no-input install -q -c constraints.txt

.PHONY: help venv system demo test test-all lint format docs methods-table tabular-scarf vizdoom audio-runs bench bench-gpu release-check clean

help: ## list these targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-13s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

venv: $(READY) ## make the contributor's environment: core and plugins editable, tools, reference peers
	@$(RUN) -c 'import sys; print("contrapose: ready in", sys.prefix)'

system: ## install what open3d needs of the system, and the browser that tests open reports in (through apt, as root)
	@bash .ci/system-libraries
	@bash .ci/browser

demo: $(READY_DEMO) ## pretrain on real furniture, evaluate, and draw pictures (about 10 minutes on 2 cores)
	@$(RUN) examples/demo.py

test: $(READY) ## everything that must hold, in less than 10 minutes on 2 cores (JOBS=8 has more)
	@$(RUN) $(PYTEST) -m "not slow" --durations=10

test-all: $(READY) ## the slow tests too
	@$(RUN) $(PYTEST) --durations=20

lint: $(READY) ## ruff, mypy, and the direction of imports
	@$(RUN) -m ruff check .
	@$(RUN) -m ruff format --check .
	@$(RUN) -m mypy $(addsuffix /src,$(DISTRIBUTIONS)) tests/benchmarks
	@$(dir $(RUN))lint-imports

format: $(READY) ## let ruff put the code into its form
	@$(RUN) -m ruff check --fix .
	@$(RUN) -m ruff format .

docs: $(READY) ## write docs/methods.md, docs/hooks.md and docs/gallery.md from what is offered; check the documents' links and code
	@$(RUN) docs/methods.py
	@$(RUN) docs/hooks.py
	@$(RUN) docs/gallery.py
	@$(RUN) -m pytest -q tests/core/test_documents.py

methods-table: $(READY) ## train every preset on CIFAR-10 under one budget (an hour on 2 cores; what is there stays); writes docs/methods-table.md
	@$(RUN) examples/methods_table/run.py
	@$(RUN) examples/methods_table/render.py --collect

tabular-scarf: $(READY) ## SCARF's protocol on the tables that are there, 24 of packages and Madelon (five hours on a core; what has run stays); writes docs/tabular-scarf.md
	@$(RUN) examples/tabular_scarf/protocol.py
	@$(RUN) examples/tabular_scarf/scarf_page.py --collect

vizdoom: $(READY) ## tell a camera's motion from rendered clips (half an hour on a core; what is there stays); writes docs/vizdoom.md
	@$(RUN) examples/vizdoom/motions.py
	@$(RUN) examples/vizdoom/motions_page.py --collect

audio-runs: $(READY) ## COLA on notes, prompts and samples (a quarter of an hour on a core; what is there stays); writes docs/audio-runs.md
	@$(RUN) examples/audio_runs/audio_run.py
	@$(RUN) examples/audio_runs/audio_page.py --collect

bench: $(READY) ## measure against peers and floors on the CPU; writes bench-results/ and docs/benchmarks.md
	@$(RUN) tests/benchmarks/run.py

bench-gpu: $(READY) ## the same on one CUDA device
	@$(RUN) tests/benchmarks/run.py --gpu

release-check: ## build every distribution, check it, and try it without the repository on each Python from 3.11 on (5 GB and minutes each)
	@bash .ci/release-check

clean: ## remove what builds and tools leave behind (.venv and runs/ stay)
	@rm -rf build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	@find $(DISTRIBUTIONS) -type d \( -name build -o -name '*.egg-info' \) -prune -exec rm -rf {} +
	@find . -path ./.venv -prune -o -type d -name __pycache__ -exec rm -rf {} +

$(VENV)/bin/python:
	@PYTHON="$(PYTHON)" bash .ci/make-venv "$(VENV)"

$(VENV)/.installed-dev: $(MANIFESTS) | $(VENV)/bin/python
	@echo "contrapose: installing core, plugins and tools into $(VENV) (some minutes, mostly torch)"
	@$(RUN) $(PIP_INSTALL) $(addprefix -e ./,$(DISTRIBUTIONS)) '.[dev,reference]' \
	  || { echo "contrapose: pip could not install into $(VENV): see its last lines above" >&2; exit 1; }
	@touch $@

$(VENV)/.installed-demo: $(MANIFESTS) $(DEMO_FILES) | $(VENV)/bin/python
	@echo "contrapose: installing $(USED_BY_DEMO) into $(VENV) (some minutes the first time, mostly torch)"
	@rm -rf $(addsuffix /build,$(USED_BY_DEMO))
	@$(RUN) $(PIP_INSTALL) $(addprefix ./,$(USED_BY_DEMO)) \
	  || { echo "contrapose: pip could not install into $(VENV): see its last lines above" >&2; exit 1; }
	@touch $@
