# Everything one does with a checkout. Each target makes the environment it needs.

PYTHON ?= $(firstword $(foreach name,python3.14 python3.13 python3.12 python3.11 python3 python,\
	$(shell $(name) -c 'import sys; print("$(name)") if sys.version_info >= (3, 11) else None' 2>/dev/null)))
PIP = -m pip install --disable-pip-version-check --quiet

# One BLAS thread, and idle ones that sleep: on few cores anything else is slower.
app test demos bench paper study: export OPENBLAS_NUM_THREADS = 1
app test demos bench paper study: export OMP_WAIT_POLICY = PASSIVE
demos bench paper study: export PYTHONPATH = $(CURDIR)

.DEFAULT_GOAL := help
.PHONY: help app test check bench demos fuzz paper study

help: ## print this list
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  make \1|\2/p' Makefile | awk -F'|' '{printf "%-14s %s\n", $$1, $$2}'

app: .venv/.app ## run the web app (PORT=8502 for another port, ARGS=… for more options of Streamlit)
	.venv/bin/streamlit run app.py --server.headless false --server.showEmailPrompt false $(if $(PORT),--server.port $(PORT)) $(ARGS)

test: .venv/.dev ## run all tests (PYTEST_ARGS="-k spectrum" for some of them)
	.venv/bin/python -m pytest $(PYTEST_ARGS)

check: .venv/.dev ## lint, format, types, import directions
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy
	.venv/bin/python -m pytest --quiet tests/test_architecture.py

fuzz: .venv/.dev ## read mutated files of every format (ARGS="--count 10000 --seed 1")
	.venv/bin/python -m tests.hostile.fuzz $(ARGS)

bench: .venv-bench/.bench ## run the benchmarks, in an environment of their own
	@for file in $(filter-out benchmarks/study.py,$(wildcard benchmarks/*.py)); do echo "$$file"; .venv-bench/bin/python "$$file" || exit 1; done

paper: .venv/.app ## reproduce the paper's tables (an hour on two cores) and write docs/paper.md
	sed 's/#.*//' benchmarks/paper/all.txt | xargs -I{} -P 2 sh -c '.venv/bin/python benchmarks/paper/{} || exit 255'
	.venv/bin/python scripts/paper_page.py

study: .venv/.app ## find where cuts help and where they don't (eight minutes) and write docs/study.md
	.venv/bin/python benchmarks/study.py --write

demos: .venv/.app ## train the demo networks again and analyse them
	.venv/bin/python scripts/demos.py

.venv/bin/python .venv-bench/bin/python:
	@test -n "$(PYTHON)" || { echo "No Python 3.11 or newer is on the PATH. Install one, or name it: make PYTHON=/path/to/python"; exit 1; }
	$(PYTHON) -m venv $(@:/bin/python=) || { rm -rf $(@:/bin/python=); exit 1; }

.venv/.app: requirements.txt | .venv/bin/python
	.venv/bin/python $(PIP) -r requirements.txt
	@touch $@

.venv/.dev: requirements-dev.txt .venv/.app
	.venv/bin/python $(PIP) -r requirements-dev.txt
	@touch $@

.venv-bench/.bench: benchmarks/requirements.txt | .venv-bench/bin/python
	.venv-bench/bin/python $(PIP) -r benchmarks/requirements.txt
	@touch $@
