SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

# The environment of every program that is started here.
# R finds Python in .venv and the R package in .r-library.
export RETICULATE_PYTHON := $(CURDIR)/.venv/bin/python
export R_LIBS := $(CURDIR)/.r-library$(if $(R_LIBS),:$(R_LIBS))
export KERAS_BACKEND := tensorflow
# As little from TensorFlow's C++ side as it can be told to print.
export TF_CPP_MIN_LOG_LEVEL := 3
# A bare system has no UTF-8 locale by default; R reads and prints text in the locale's encoding.
export LC_ALL := C.UTF-8
# Without compiled files, each of the many processes would compile TensorFlow's modules again.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help setup demo vignettes site test bench truth lint r-package check clean

help: ## List the targets.
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/make \1\t\2/p' Makefile | expand -t 16

setup: ## Get everything that the other targets need (.venv, .r-library, system packages).
	@.ci/setup

demo: setup ## Run the demonstration: one story, told by Python and R together.
	@.venv/bin/python vignettes/demo/demo.py

vignettes: setup ## Run the documents with R and Python side by side, into build/vignettes.
	@Rscript vignettes/render.R vignettes/*.Rmd
	@ls build/vignettes/*.html

# Documents that run for long are taken from build/vignettes, where they are newer than their source.
site: ## Write the documentation site of both languages into build/site; QUICK=1: no document runs.
	@.ci/setup site
	@.venv/bin/python docs/build.py $(if $(QUICK),--quick)

test: ## Test Python and R, alone and in one process, under every backend; FULL=1: leave nothing out.
	@.ci/setup backends
	@.ci/test

# The peers are in a folder of their own, which only this target looks into.
bench: ## Measure speed beside the peers, into build/bench; QUICK=1: in five minutes; QUIET=1: tables only.
	@.ci/setup bench
	@PYTHONPATH=build/bench/peers .venv/bin/python benchmarks/bench.py $(if $(QUICK),--quick) $(if $(QUIET),--quiet)

truth: ## Score 20 splits of two data sets beside published results, into build/truth; QUIET=1: tables only.
	@.ci/setup truth
	@.venv/bin/python benchmarks/truth.py $(if $(QUIET),--quiet)

lint: setup ## Check style and types: ruff, mypy, lintr.
	@.ci/lint

r-package: setup ## Write the R package's generated code and help pages again.
	@.venv/bin/python r-package/tools/generate.py
	@Rscript -e 'roxygen2::roxygenise("r-package")'

check: setup ## Build the R package and run R CMD check on it, in build/check; QUICK=1: no examples.
	@.ci/check $(if $(QUICK),--quick)

clean: ## Remove everything that make made.
	@rm -rf .venv .r-library build layer_api.egg-info .pytest_cache .hypothesis .ruff_cache .mypy_cache
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
