# The GAN book. Needs python >= 3.11 with venv, make and git; every target sets up .venv by itself on first use.
# To use an environment of your own instead, conda's for example: make book ENV=$CONDA_PREFIX
SHELL := /bin/sh
PYTHON ?= python3
SCALE ?= cpu
ENV ?= .venv
BIN := $(ENV)/bin
ifeq ($(ENV),.venv)
STAMP := .venv/.installed-$(shell cat requirements.lock pyproject.toml | cksum | cut -d' ' -f1)
endif
# $(call batch,TARGET): the runs tell of themselves; PROFILE=profiles/slurm sends them to a cluster, ONLY=TAG chooses
batch = $(BIN)/python -m book.tools.batch $(1) $(SCALE) $(if $(PROFILE),--profile $(PROFILE)) $(if $(ONLY),only=$(ONLY))
PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest

# Some hundred Python processes begin with importing PyTorch: compiled once, or by each of them (Docker images set this).
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help book pdf epub slides test lab experiments notebooks check lock clean

help: ## list the targets
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  make \1\t\2/p' Makefile | expand -t 20
	@echo "Next: make book"

book: $(STAMP) ## run the notebooks at SCALE=cpu and build book/_build/html
	@$(call batch,book)
	@$(BIN)/python -m book.tools.build report $(SCALE)

pdf: book ## the whole book as book/_build/ganbook.pdf, printed by Chromium
	@$(BIN)/python -m book.tools.pdf $(SCALE)

epub: book ## the whole book for e-readers, book/_build/ganbook.epub
	@$(BIN)/python -m book.tools.epub $(SCALE)

slides: book ## slides of the theory part for lecturers, book/_build/html/slides
	@$(BIN)/python -m book.tools.slides $(SCALE)

test: $(STAMP) ## unit tests, claims of the notebooks, a walk over the pages in Chromium (LONG=1: all of it)
	@$(BIN)/python -m book.tools.batch book smoke
	@$(PYTEST) -n 2 --dist loadgroup $(if $(LONG),,-m "not long") tests
	@echo "All tests passed. Next: make check"

lab: $(STAMP) ## open the notebooks in JupyterLab, paired with their scripts
	@echo "JupyterLab opens in your browser; stop it with Ctrl-C here. Afterwards: make notebooks"
	@$(BIN)/jupyter lab notebooks

experiments: $(STAMP) ## run what notebooks/experiments.yml declares for SCALE (cpu, cpu-long, gpu)
	@$(call batch,runs)
	@echo "Runs of scale $(SCALE) are in runs/$(SCALE). Next: make book, or ganbook results"

notebooks: $(STAMP) ## write the .ipynb of each pair from its .py, claims from fresh runs
	@$(call batch,book)
	@$(BIN)/python -m book.tools.pairs write
	@echo "The pairs are in sync. Next: git diff notebooks"

check: $(STAMP) ## format, lint, types, import direction, notebook pairs, file sizes, spelling
	@$(BIN)/ruff format --check --quiet . || { echo "Mend with: $(BIN)/ruff format ."; exit 1; }
	@$(BIN)/ruff check --quiet .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-logo
	@$(BIN)/python -m book.tools.pairs check
	@git ls-files -z -- . ':!book/_vendor' ':!data' ':!*.ipynb' ':!*.lock' | xargs -0 $(BIN)/codespell
	@echo "All checks passed. Next: git commit"

lock: $(STAMP) ## renew requirements.lock from pyproject.toml
	@$(BIN)/pip-compile --quiet --upgrade --all-extras --strip-extras --allow-unsafe --no-header --no-annotate \
		--no-emit-options --no-emit-index-url --no-emit-find-links --no-emit-trusted-host \
		--output-file requirements.lock pyproject.toml
	@sed -i.orig -E 's/^(torch|torchvision)(==[0-9.]+)\+.*/\1\2/' requirements.lock && rm requirements.lock.orig
	@echo "requirements.lock is renewed. Next: make test"

clean: ## remove what make has built and run, but not .venv
	@rm -rf book/_build runs/cpu runs/smoke runs/theory .snakemake .pytest_cache .mypy_cache .ruff_cache .import_linter_cache
	@echo "Clean; runs of other scales are kept. Next: make book"

.venv/.installed-%: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "The book needs Python 3.11 or newer: make $(MAKECMDGOALS) PYTHON=python3.12"; exit 1; }
	@test -x $(BIN)/python && echo "Updating .venv ..." || echo "Setting up .venv (once; one to three minutes) ..."
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv \
		|| { echo "Cannot make .venv. On Debian and Ubuntu: apt install python3-venv"; rm -rf .venv; exit 1; }
	@mkdir -p .venv/log
	@$(BIN)/python -m pip install --no-compile --disable-pip-version-check -q -r requirements.lock > .venv/log/install 2>&1 \
		&& $(BIN)/python -m pip install --disable-pip-version-check -q --no-deps --no-build-isolation -e . >> .venv/log/install 2>&1 \
		|| { tail -n 20 .venv/log/install; echo "Installing failed; all of it: .venv/log/install"; exit 1; }
	@rm -f .venv/.installed-* && touch $@
