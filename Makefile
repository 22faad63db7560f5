# Everything from a fresh clone: `make demo` and `make test` set up what they need.
PYTHON ?= python3
# The CPU build of torch is enough for all of it; choose another build or index here if a GPU is to be used.
TORCH ?= torch==2.13.0
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
TYPES := build/types
export OMP_NUM_THREADS ?= 1

.PHONY: help env demo test test-minimum lint laid-out types docs package bench fuzz model model-fine tutorial clean

help:
	@echo 'make env    the virtual environment $(VENV)'
	@echo 'make demo   simulate a measurement, deconvolve and classify it, draw before / after / truth'
	@echo 'make test   style, types, tests and doctests'
	@echo 'make test-minimum  a part of the tests with the oldest libraries that are allowed'
	@echo 'make docs   the site, in build/site'
	@echo 'make package  wheel and sdist in dist/, checked, and used in an empty environment'
	@echo 'make bench  one table of timings and memory; the figures of the simulator'
	@echo 'make fuzz   10 000 damaged files for each reader, and hostile models'
	@echo 'make model  simulate, train and evaluate the shipped model anew (hours on two cores; restart it at will)'
	@echo 'make model-fine  the same for the models of volumes of fine energy bins and of cuts'
	@echo 'make tutorial  docs/tutorial.md from nothing to a model of Rb2MnF4, in tutorial-run'
	@echo 'make clean  remove what was built'

env: $(STAMP)

$(STAMP): pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet '$(TORCH)' -c constraints.txt
	$(BIN)/python -m pip install --quiet -e '.[train,dev]' -c constraints.txt
	touch $@

demo: env
	$(BIN)/exp2sim demo

# Two processes: the suite takes half of the time on two cores.
JOBS ?= 2
test: lint types
	$(BIN)/python -m pytest -n $(JOBS)

lint: env laid-out
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	cd $(TYPES) && $(abspath $(BIN))/lint-imports --no-logo --no-cache $(abspath pyproject.toml)

# mypy and import-linter do not follow the mapping of training/ to mantid_exp2sim.training: lay the package out as it
# is installed.
laid-out:
	rm -rf $(TYPES)
	mkdir -p $(TYPES)/mantid_exp2sim
	ln -s $(abspath mantid_exp2sim)/* $(TYPES)/mantid_exp2sim/
	ln -s $(abspath training) $(TYPES)/mantid_exp2sim/training

types: env laid-out
	MYPYPATH=$(TYPES) $(BIN)/mypy -p mantid_exp2sim
	MYPYPATH=$(TYPES) $(BIN)/mypy algorithms/*.py
	MYPYPATH=$(TYPES):. $(BIN)/mypy tests

# The lower bounds of pyproject.toml, in an environment of their own; what old libraries warn of is their matter.
MINIMUM := build/minimum
MINIMUM_TESTS := tests/histogram tests/io tests/storage tests/networks tests/inference tests/domain tests/model
$(MINIMUM)/.installed: pyproject.toml constraints-min.txt
	test -x $(MINIMUM)/bin/python || $(PYTHON) -m venv $(MINIMUM)
	$(MINIMUM)/bin/python -m pip install --quiet -e . pytest hypothesis -c constraints-min.txt
	touch $@

test-minimum: $(MINIMUM)/.installed
	$(MINIMUM)/bin/python -m pytest -W default $(MINIMUM_TESTS)

# Warnings are errors. Links within the documents are checked here and by tests/docs; nothing is fetched.
docs: env
	$(BIN)/python -m pip install --quiet -e '.[docs]' -c constraints.txt
	rm -rf build/site docs/api
	$(BIN)/python -m sphinx -W --keep-going -b html docs build/site
	@echo "$$(find build/site -name '*.html' | wc -l) pages in build/site"

# The wheel is built from the sdist, so that both are whole.
package: env
	$(BIN)/python -m pip install --quiet -e '.[package]' -c constraints.txt
	rm -rf dist build/lib
	$(BIN)/python -m build --outdir dist .
	$(BIN)/python -m twine check --strict dist/*
	$(BIN)/python -m tests.package.try_wheel dist/*.whl '$(TORCH)'
	sha256sum dist/*
	du -h dist/*

bench: env
	$(BIN)/python benchmarks/run_all.py

# Ten thousand damaged files for each reader, and as many hostile models; minutes.
fuzz: env
	$(BIN)/python -m tests.fuzz.fuzz_readers
	$(BIN)/python -m tests.fuzz.fuzz_bundles

# Every step goes on where it was stopped. The results are runs/pcsmo-maps and runs/pcsmo-maps-3d, -1d-energy and -1d-q;
# the shipped ones lie in mantid_exp2sim/models.
EXP2SIM := $(BIN)/exp2sim
RECIPES := training/recipes
SEEDS := 0 1 2
ABOUT := Pr(Ca,Sr)2Mn2O7 on MAPS, c along the beam
comma := ,
# $(call train,recipe): a run of each seed; $(call runs,recipe): their folders
train = $(foreach seed,$(SEEDS),$(EXP2SIM) train $(RECIPES)/$(1).toml --seed $(seed) --out runs/$(1)-$(seed) &&) true
runs = $(SEEDS:%=runs/$(1)-%)
model: env
	$(EXP2SIM) simulate dataset $(RECIPES)/pcsmo-maps.toml
	$(EXP2SIM) simulate dataset $(RECIPES)/pcsmo-maps-more.toml
	$(call train,translator-mosaic)
	$(call train,classifier-integrated)
	$(call train,classifier-convolved)
	$(EXP2SIM) bundle runs/pcsmo-maps --translator $(call runs,translator-mosaic) --dataset data/pcsmo-maps --overwrite \
	  $(foreach kind,integrated convolved,--classifier $(kind)=$(subst $() ,$(comma),$(call runs,classifier-$(kind)))) \
	  --description '$(ABOUT): mosaics of six incident energies (25 to 140 meV, 40 x 40 x 10 bins), Dimer or Goodenough'
	$(EXP2SIM) domain runs/pcsmo-maps data/pcsmo-maps --foretell 110
	$(EXP2SIM) calibrate runs/pcsmo-maps data/pcsmo-maps
	$(EXP2SIM) evaluate runs/pcsmo-maps data/pcsmo-maps --report runs/evaluation --on-card

# $(call fine,name,data set,description,options,spectra,those of the errors): the model of a translator
define fine
$(call train,translator-$(1))
	$(EXP2SIM) bundle runs/pcsmo-maps-$(1) --translator $(call runs,translator-$(1)) --dataset data/$(2) --overwrite \
	  --description '$(ABOUT): $(3)'
	$(EXP2SIM) domain runs/pcsmo-maps-$(1) data/$(2)
	$(EXP2SIM) calibrate runs/pcsmo-maps-$(1) data/$(2) $(4) $(if $(6),--limit $(6) --test $(6))
	$(EXP2SIM) evaluate runs/pcsmo-maps-$(1) data/$(2) $(4) --limit $(5) --foreign 0 --report runs/pcsmo-maps-$(1)-evaluation --on-card
endef
model-fine: env
	$(EXP2SIM) simulate dataset $(RECIPES)/pcsmo-maps.toml
	$(EXP2SIM) simulate dataset $(RECIPES)/pcsmo-maps-3d.toml
	$(call fine,3d,pcsmo-maps-3d,volumes (h$(comma) k$(comma) E) of fine energy bins$(comma) 1 % of Ei,--noise 4,20 --classical 10,5)
	$(call fine,1d-energy,pcsmo-maps-3d,cuts along the energy at constant Q$(comma) bins of 1 % of Ei,--noise 4,20 --classical 10,20)
	$(call fine,1d-q,pcsmo-maps,cuts along h or k at constant energy$(comma) over 6 % of Ei,,200 --classical 20)

# The commands of docs/tutorial.md, and the time of each. A second run needs another folder, or none of this name.
tutorial: env
	$(BIN)/python examples/tutorial/run.py tutorial-run

clean:
	rm -rf $(VENV) build dist demo docs/api *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
