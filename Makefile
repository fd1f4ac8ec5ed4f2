# make reproduce   the environment, then every table, figure and the report of the suite
# make test        the environment, then lint, unit tests and the micro suite through both engines
# make env         only the environment, in .venv, from requirements.lock
# make own         write a suite for the images of a folder into params.yaml and choose it; IMAGES=<folder>
# make status      say of each job whether its results are of the params, code and inputs of now
# make doctor      look whether this machine can run the suite: data, disk, GPUs, weights, time; one table
# make plan        say what is to be run, and its GPU hours and disk, before it is sent to a cluster
# make ledger      say what the jobs of the suite have cost so far: time, GPUs, energy, memory, retries
# make commit      let DVC take over what Snakemake has made; Snakemake takes over DVC's work by itself
# make keep        keep results of code that was edited since, e.g. WHY="an error message" STAGES="sample evaluate"
# make continue    let runs that ask go on from a state that other code has trained; RUN=<run> for one of them
# make anew        let them start at step 0 instead; the other state is kept aside
# make tables      the tables of whatever has run so far; the rest, and what other params made, is shown as not run
# make docs        copy the results into docs/, draw the figure of the method, run the notebook, say in README.md
#                  what is reproduced
# make bench       measure the speed of everything this machine can run; OFFICIAL=<folder> also that of
#                  the authors' code, in a checkout of github.com/forever208/DCTdiff
# make bench-docs  copy these numbers into docs/benchmarks.md and docs/bench
# make lock        resolve requirements.lock anew from pyproject.toml

PYTHON ?= python3
CORES ?= $(shell nproc 2>/dev/null || sysctl -n hw.ncpu)
export PATH := $(CURDIR)/.venv/bin:$(PATH)
.PHONY: reproduce own test env status doctor ledger plan commit keep continue anew tables docs bench bench-docs lock lint

reproduce: env
	snakemake --cores $(CORES)
	@echo "Open results/report/index.html; the tables are in results/tables."

test: lint
	python -m pytest -n $(CORES) --dist loadfile

lint: env
	ruff check .
	ruff format --check .
	snakefmt --check Snakefile workflow

env: .venv/installed

.venv/installed: requirements.lock pyproject.toml
	$(PYTHON) -c "import sys; sys.exit(sys.version_info < (3, 11) and 'error: Python 3.11 or newer is needed, found ' + sys.version.split()[0] + '; run make PYTHON=python3.11')"
	@echo "Installing the pinned environment into .venv; this takes some minutes."
	$(PYTHON) -m venv .venv
	.venv/bin/python -m pip install --quiet --disable-pip-version-check -r requirements.lock
	.venv/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --editable .
	touch $@

own: export IMAGES := $(value IMAGES)
own: env
	@python -m dctdiff.commands.own "$$IMAGES"

status: env
	@python -m dctdiff.commands.status

ledger: env
	@python -m dctdiff.commands.ledger

doctor: env
	@python -m dctdiff.commands.doctor

plan: env
	@python -m dctdiff.commands.plan

commit: env
	snakemake --cores 1 --dry-run 2>&1 | grep -q "Nothing to be done" || { echo "error: Snakemake's outputs are not up to date; run make reproduce first"; exit 1; }
	python -m dctdiff.stages.validate --params params.yaml --published data/published.yaml \
	  --out_valid results/params.valid --out_record results/records/validate.json
	python -m dctdiff.stages.code --params params.yaml --out_code results/code
	python -m dctdiff.stages.sources --params params.yaml --out_sources results/sources
	python -m dctdiff.commands.commit

keep: export WHY := $(value WHY)
keep: env
	python -m dctdiff.commands.keep --stages $(STAGES) --why "$$WHY"
	if [ -f dvc.lock ]; then dvc repro --quiet code; fi

continue anew: env
	python -m dctdiff.commands.answer $@ $(if $(RUN),--run $(RUN))

tables: env
	@python -m dctdiff.commands.tables

docs: env
	python workflow/docs.py
	python workflow/notebook.py docs/tour.ipynb

bench: env
	python -m dctdiff.bench $(if $(OFFICIAL),--official $(OFFICIAL))
	@echo "The numbers are in results/bench."

bench-docs: env
	python workflow/docs.py --bench

# Resolved on a machine of any kind; torch's own wheel brings the CUDA packages that it needs.
lock:
	rm -rf .venv-lock
	$(PYTHON) -m venv .venv-lock
	.venv-lock/bin/python -m pip install --quiet --disable-pip-version-check ".[dev]"
	( echo "# Written by make lock from pyproject.toml. No CUDA package: torch's wheel brings its own."; \
	  .venv-lock/bin/python -m pip freeze --exclude dctdiff --exclude setuptools \
	  | sed 's/+cpu$$//' | grep -viE '^(nvidia-([^m]|m[^l])|cuda|triton)' ) > requirements.lock
	rm -rf .venv-lock
