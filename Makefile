# Every verb of this project is one word. `make help` lists them.

PYTHON ?= $(shell for each in python3.13 python3.12 python3.11 python3.14 python3 python; do \
	$$each -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$each && break; done)
BIN := .venv/bin
# The Python that is asked for by name; else the one that .venv has, where there is one.
ASKED := $(if $(filter file undefined,$(origin PYTHON)),$(or $(wildcard $(BIN)/python),$(PYTHON)),$(PYTHON))
VERSION = import sys; sys.version_info >= (3, 11) and print("%d.%d.%d" % sys.version_info[:3])
FOUND := $(shell $(ASKED) -c '$(VERSION)' 2>/dev/null)
VENV := .venv/.python-$(or $(FOUND),none)
, := ,
CONSTRAINED := --constraint constraints.txt

.DEFAULT_GOAL := help
.PHONY: help demo test lint bench torture web docs clean

help: ## List the verbs
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## /\1|/' | while IFS='|' read -r verb does; do \
		printf '  make %-8s %s\n' "$$verb" "$$does"; done

demo: .venv/.embedded ## Serve sample events of three customers; ONCE=1 runs it once and checks the books
	@$(BIN)/metriclake demo $(if $(ONCE),--once)

test: .venv/.dev ## Run the whole test suite
	$(BIN)/pytest -n 2 --dist loadscope

lint: .venv/.dev ## Check style and types of source, tests and benchmarks
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

bench: .venv/.embedded ## Measure the main job, rules, inputs, the store, tiers, questions, rollups, exports, deliveries and charts; figures also go to benchmarks/results/
	$(BIN)/python benchmarks/main_job.py
	$(BIN)/python benchmarks/rules.py
	$(BIN)/python benchmarks/inputs.py
	$(BIN)/python benchmarks/store_shape.py
	$(BIN)/python benchmarks/tiers.py
	$(BIN)/python benchmarks/questions.py
	$(BIN)/python benchmarks/rollups.py
	$(BIN)/python benchmarks/exports.py --rows 1000000
	$(BIN)/python benchmarks/destinations.py
	$(BIN)/python benchmarks/charts.py

torture: .venv/.dev ## Kill servers, cut their power, fill their disk; hostile bytes at every door, hostile patterns
	METRICLAKE_TORTURE_KILLS=40 METRICLAKE_TORTURE_CUTS=40 \
	METRICLAKE_TORTURE_BYTES=10000000 METRICLAKE_TORTURE_MATCHES=100000 METRICLAKE_TORTURE_SECONDS=900 \
	METRICLAKE_TORTURE_DELIVERIES=100000 METRICLAKE_TORTURE_DELIVERY_KILLS=50 METRICLAKE_TORTURE_WAITING=1000000 \
	$(BIN)/pytest -s tests/crash tests/app/test_hostile.py tests/rules/test_hostile_rules.py

web: ## Build the web components that are committed from their sources in web/ (needs Node.js and npm)
	@command -v npm >/dev/null || { echo 'make web needs Node.js 20 or newer with npm' >&2; exit 1; }
	cd web && npm ci --no-audit --no-fund --ignore-scripts && npm run build

docs: .venv/.dev ## Check that the documentation names what there is, and that its links lead somewhere
	$(BIN)/pytest tests/test_docs.py

clean: ## Remove what the verbs have made, but no data directory
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis benchmarks/results

$(VENV):
	@test -n "$(FOUND)" || { \
		echo 'metriclake needs Python 3.11 or newer, $(or $(ASKED),nothing) is none: name it with PYTHON=...' >&2; exit 1; }
	@if [ "$$($(BIN)/python -c '$(VERSION)' 2>/dev/null)" != '$(FOUND)' ]; then \
		echo 'making .venv for Python $(FOUND)'; rm -rf .venv; \
		if command -v uv >/dev/null; then uv venv --quiet --python $(ASKED) .venv; else $(ASKED) -m venv .venv; fi; \
	fi
	@rm -f .venv/.python-* && touch $@

# uv resolves in seconds what takes pip minutes; where it is not there, pip does.
define install
	@echo 'installing metriclake and what it needs into .venv (once)'
	@if command -v uv >/dev/null; then \
		uv pip install --quiet --python $(BIN)/python $(CONSTRAINED) --editable '.[$(1)]'; \
	else \
		$(BIN)/python -m pip install --quiet --disable-pip-version-check $(CONSTRAINED) --editable '.[$(1)]'; \
	fi
	@touch $@
endef

.venv/.embedded: $(VENV) pyproject.toml constraints.txt
	$(call install,embedded)

.venv/.dev: $(VENV) pyproject.toml constraints.txt
	$(call install,embedded$(,)dev)
	@touch .venv/.embedded
