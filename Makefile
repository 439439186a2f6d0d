# labkit: every verb does what it needs first. `make lab` on a bare Debian or Ubuntu is enough.
#
# The environment is .venv. Python packages come from requirements.txt, each with its hash, and
# their build tools from .ci/build-requirements.txt, so that nothing unpinned is ever run.
# System packages are listed in .ci/setup. Stamps in .venv say what is done.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
WEEK ?= week00_start
PAGES ?= $(wildcard notebooks/*.ipynb)
FUZZ_SECONDS ?= 600
FUZZ := .venv-fuzz
# What must not run beside other tests: what a late processor would spoil.
ALONE := live or sound or net

.DEFAULT_GOAL := help
.PHONY: help lab demo test pages book links style types bench siege engines netem-kernel fuzz dist lock clean

help: ## this list
	@echo "labkit: real-time networking by ear"
	@echo
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' Makefile | expand -t 20
	@echo
	@echo "PYTHON=python3.12 chooses the Python, WEEK=… the notebook of 'lab', PAGES=… those of 'pages', FUZZ_SECONDS=… how long 'fuzz' runs."

lab: $(VENV)/.system-lab $(VENV)/.installed ## open the labs in JupyterLab
	$(BIN)/jupyter lab $(if $(filter 0,$(shell id -u)),--allow-root) notebooks/$(WEEK).ipynb

demo: $(VENV)/.system-lab $(VENV)/.installed ## hear a bad network, with a naive and a good receiver
	$(BIN)/labkit demo

test: $(VENV)/.system-test style types ## everything a change must pass
	$(BIN)/python -m pytest -m "not ($(ALONE))" -n logical
	$(BIN)/python -m pytest -m "$(ALONE)"

style: $(VENV)/.installed ## format and lint, changing nothing
	$(BIN)/ruff format --check
	$(BIN)/ruff check

types: $(VENV)/.installed ## mypy, strict
	$(BIN)/mypy

pages: $(VENV)/.system-test $(VENV)/.installed ## every notebook as JupyterLab shows it, in pictures
	$(BIN)/python tests/pages.py --into build/pages $(PAGES)

book: $(VENV)/.system-lab $(VENV)/.installed ## run all labs; a site in build/book to read before installing
	$(BIN)/python docs/book/run.py
	$(BIN)/python -m sphinx -q -W --keep-going -c docs/book -d build/book-tree . build/book

links: $(VENV)/.installed ## try every address elsewhere that a page names (asks the network)
	$(BIN)/python tests/links.py

bench: $(VENV)/.installed ## every benchmark, with its peers, as ratios
	@for bench in $(filter-out benchmarks/gstreamer_% %_picture.py benchmarks/siege.py,$(wildcard benchmarks/*.py)); do echo "== $$bench"; $(BIN)/python $$bench || exit 1; done

siege: $(VENV)/.installed ## ten minutes of attacks on every transport; who listens must hear all of it
	$(BIN)/python benchmarks/siege.py

engines: $(VENV)/.system-test $(VENV)/.installed ## the relay and the lab network against the simulation, with many packets
	PYTHONPATH=tests $(BIN)/python -m engines.report relay network

netem-kernel: $(VENV)/.system-test $(VENV)/.installed ## real tc netem against the simulation, in a kernel of its own
	tests/netem/uml.sh $$(mktemp -d) $(BIN)/python -m pytest -q -p no:cacheprovider --basetemp=/run/pytest tests/netem/test_scripts.py -k "not shellcheck"
	PYTHONPATH=tests $(BIN)/python -m engines.report kernel

fuzz: $(FUZZ)/.installed ## throw mutated bytes at every parser
	PYTHONPATH=. $(FUZZ)/bin/python tests/fuzz/fuzz_wire.py -max_total_time=$(FUZZ_SECONDS) -artifact_prefix=$(FUZZ)/

# The build tools first: one dependency has no wheel, and they must be the pinned ones.
$(VENV)/.installed: requirements.txt .ci/build-requirements.txt pyproject.toml | $(VENV)/.system-lab
	$(PYTHON) -m venv $(VENV)
	$(PIP) install --require-hashes --only-binary :all: -r .ci/build-requirements.txt
	$(PIP) install --require-hashes --no-build-isolation -r requirements.txt
	$(PIP) install --no-deps --no-build-isolation --editable .
	@touch $@

$(FUZZ)/.installed: .ci/fuzz-requirements.txt | $(VENV)/.system-lab
	$(PYTHON) -m venv $(FUZZ)
	$(FUZZ)/bin/python -m pip install --quiet --require-hashes --only-binary :all: -r .ci/fuzz-requirements.txt
	@touch $@

# Exit code 3: something is missing that the rest can do without, so there is no stamp, and the
# line that says what to run comes again next time.
$(VENV)/.system-lab $(VENV)/.system-test: $(VENV)/.system-%: .ci/setup
	@mkdir -p $(VENV)
	@PYTHON=$(PYTHON) .ci/setup $*; code=$$?; \
	  if [ $$code = 0 ]; then touch $@; elif [ $$code != 3 ]; then exit $$code; fi

# Each in an environment of its own, with nothing of this tree within reach: what people get.
dist: $(VENV)/.installed ## wheel and sdist in dist/, each tried from a clean environment
	rm -rf dist
	$(BIN)/python -m hatchling build -d dist
	@for built in dist/*.whl dist/*.tar.gz; do .ci/try-dist "$$built" "$(PYTHON)" || exit 1; done

COMPILE := uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-annotate \
           --custom-compile-command "make lock"

lock: ## pin every dependency again (needs uv); LOCK=--upgrade takes newer ones
	$(COMPILE) $(LOCK) --group pyproject.toml:build -o .ci/build-requirements.txt
	$(COMPILE) $(LOCK) --group pyproject.toml:fuzz -o .ci/fuzz-requirements.txt
	$(COMPILE) $(LOCK) --all-extras -c .ci/build-requirements.txt pyproject.toml -o requirements.txt

clean: ## remove what the verbs made, but for the environment (rm -rf .venv)
	rm -rf demo dist build .mypy_cache .ruff_cache .pytest_cache .hypothesis $(FUZZ)
	find labkit tests benchmarks -name __pycache__ -prune -exec rm -rf {} +
