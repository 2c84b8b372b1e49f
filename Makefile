# Everything happens in a virtual environment of its own, .venv; PYTHON chooses the interpreter that makes it.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
RESULTS ?= results
TRAIN ?= $(firstword $(wildcard $(DATA)/fsdd_train.h5 $(DATA)/*_train.h5))
TEST ?= $(patsubst %_train.h5,%_test.h5,$(TRAIN))

.PHONY: help train files-are-there test test-long test-cuda test-matrix sanitize genn-log device-table benchmarks docs docs-smoke examples linkcheck lint types clean

help:
	@echo "make train               train LIF and QIF on the synthetic digits of the package, results in results/"
	@echo "make train DATA=folder   the same on NAME_train.h5 and NAME_test.h5 in a folder"
	@echo "make test                the test suite (BRIAN_QIF_DATA=folder adds the tests on recordings)"
	@echo "make test-long           the studies of many minutes that make test leaves out (BRIAN_QIF_DATA=folder)"
	@echo "make test-cuda           compile the arithmetic of single neurons for CUDA (fetches nvcc, 300 MB; no GPU needed)"
	@echo "make sanitize            tests of generated code under the sanitizers of g++"
	@echo "make genn-log            check the device genn against runtime mode and print a log (Python 3.11, GENN_PATH set)"
	@echo "make device-table        run every feature of the clock-driven solver on every device, and write the table of the docs"
	@echo "make benchmarks          time a gradient here and in other packages (fetches them), and write docs/benchmarks.md"
	@echo "make docs                build the documentation, executing its pages and examples, into docs/_build/html"
	@echo "make docs-smoke          the same, but executing the pages that take seconds only"
	@echo "make examples            execute the examples of the docstrings and count them"
	@echo "make linkcheck           ask every external link of the documentation (needs a network)"
	@echo "make test-matrix         the test suite on every Python and Brian2 that are supported together (those that are here)"
	@echo "make lint                check style"
	@echo "make types               check the types of the installed wheel"
	@echo "make clean               remove the virtual environment and everything built"

# A stamp for each set of extras, renewed when the metadata changes.
$(VENV)/installed-%: setup.cfg pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --editable ".[$*]"
	touch $@

# Without DATA or TRAIN the synthetic digits that come with the package.
FILES = $(if $(strip $(DATA)$(TRAIN)),--train "$(TRAIN)" --test "$(TEST)")

train: files-are-there $(VENV)/installed-run
	$(BIN)/brian-qif train --neuron lif $(FILES) --out $(RESULTS)/lif
	$(BIN)/brian-qif train --neuron qif $(FILES) --out $(RESULTS)/qif
	$(BIN)/brian-qif compare $(RESULTS)/lif $(RESULTS)/qif --out $(RESULTS)/comparison.png

# Said before anything is installed.
files-are-there:
	@test -z "$(strip $(DATA))" || test -n "$(TRAIN)" || { echo "There is no file NAME_train.h5 in $(DATA)."; exit 2; }

# On all cores; PYTEST_WORKERS=0 runs one test after the other.
PYTEST_WORKERS ?= auto

test: $(VENV)/installed-test
	$(BIN)/python -m pytest -n $(PYTEST_WORKERS)

# Studies of many minutes, which make test leaves out: the accuracy of trained networks on the recordings.
test-long: $(VENV)/installed-test
	$(BIN)/python -m pytest -m long -s

# Python and Brian2 that live together, each pair in an environment of its own; a Python that is not here is named and
# passed over. TESTS=path runs a part of the suite.
MATRIX ?= 3.11-2.5.4 3.11-2.9.0 3.12-2.10.1 3.13-2.11.0
EXTRA_OF_2.5.4 = ,brian2-2-5
TESTS ?=

test-matrix: $(addprefix matrix-,$(MATRIX))

matrix-%:
	@python=python$(word 1,$(subst -, ,$*)); brian2=$(word 2,$(subst -, ,$*)); venv=.venv-matrix-$*; \
	if ! $$python --version >/dev/null 2>&1; then echo "$$python is not here: Brian2 $$brian2 was not tested."; exit 0; fi; \
	test -x $$venv/bin/python || $$python -m venv $$venv; \
	$$venv/bin/python -m pip install --quiet --editable ".[test$(EXTRA_OF_$(word 2,$(subst -, ,$*)))]" "brian2==$$brian2" && \
	$$venv/bin/python -c "import sys, brian2; print('Python', sys.version.split()[0], 'Brian2', brian2.__version__)" && \
	$$venv/bin/python -m pytest -n $(PYTEST_WORKERS) $(TESTS)

test-cuda: $(VENV)/installed-test,nvcc
	$(BIN)/python -m pytest tests/codegen/test_cuda_source.py

# Generated code under AddressSanitizer and UndefinedBehaviorSanitizer (g++). Python itself is not checked for leaks.
sanitize: $(VENV)/installed-test
	BRIAN_QIF_SANITIZE=1 ASAN_OPTIONS=detect_leaks=0 \
	  LD_PRELOAD="$$(g++ -print-file-name=libasan.so) $$(g++ -print-file-name=libubsan.so)" \
	  $(BIN)/python -m pytest tests/codegen tests/solvers tests/gradients

# brian2genn needs an older Brian2 and with it Python 3.11, so it has an environment of its own.
genn-log:
	@$(MAKE) --no-print-directory VENV=.venv-genn .venv-genn/installed-genn
	@.venv-genn/bin/python -m tests.genn_log

device-table: $(VENV)/installed-test
	$(BIN)/python -m tests.device_table

# The other packages have an environment of their own. SPIKEGD_PATH=folder adds spikegd, of which a checkout is needed;
# mlGeNN, which pip cannot find either, is measured once GeNN 5 and it are installed there from checkouts.
benchmarks:
	@$(MAKE) --no-print-directory VENV=.venv-benchmarks .venv-benchmarks/installed-peers
	@.venv-benchmarks/bin/python -m tests.benchmarks.peers --out docs/benchmarks.md

# Warnings are errors, and a link to a page or heading that is not there is a warning.
SPHINX = $(BIN)/python -m sphinx -W --keep-going

docs: $(VENV)/installed-docs examples
	$(SPHINX) -b html docs docs/_build/html

docs-smoke: $(VENV)/installed-docs
	BRIAN_QIF_DOCS=smoke $(SPHINX) -b html docs docs/_build/smoke

examples: $(VENV)/installed-docs
	$(BIN)/python -m tests.docstrings

linkcheck: $(VENV)/installed-docs
	BRIAN_QIF_DOCS=smoke $(SPHINX) -b linkcheck docs docs/_build/linkcheck

lint: $(VENV)/installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

# On an installed wheel, from a folder without the sources: what users' type checkers see.
types:
	test -x .venv-types/bin/python || $(PYTHON) -m venv .venv-types
	rm -rf build
	.venv-types/bin/python -m pip install --quiet ".[types]"
	mkdir -p build/types && cp pyproject.toml tests/typing/public_use.py build/types
	cd build/types && ../../.venv-types/bin/mypy --package brian_qif
	cd build/types && ../../.venv-types/bin/mypy --strict public_use.py

clean:
	rm -rf $(VENV) .venv-* build dist docs/_build *.egg-info .pytest_cache .ruff_cache
