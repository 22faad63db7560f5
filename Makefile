# Everything from a fresh clone: `make demo` and `make test` set up what they need.
PYTHON ?= python3
# The CPU build of torch is enough for all of it; choose another build or index here if a GPU is to be used.
TORCH ?= torch==2.13.0
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
TYPES := build/types
export OMP_NUM_THREADS ?= 1

.PHONY: help env demo test lint laid-out types bench fuzz model model-fine tutorial clean

help:
	@echo 'make env    the virtual environment $(VENV)'
	@echo 'make demo   simulate a measurement, deconvolve and classify it, draw before / after / truth'
	@echo 'make test   style, types, tests and doctests'
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

test: lint types
	$(BIN)/python -m pytest

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

bench: env
	$(BIN)/python benchmarks/run_all.py

# Ten thousand damaged files for each reader, and as many hostile models; minutes.
fuzz: env
	$(BIN)/python -m tests.fuzz.fuzz_readers
	$(BIN)/python -m tests.fuzz.fuzz_bundles

# Every step goes on where it was stopped. The results are runs/pcsmo-maps and runs/pcsmo-maps-3d, -1d-energy and -1d-q;
# the shipped ones lie in mantid_exp2sim/models.
RECIPES := training/recipes
SEEDS := 0 1 2
# $(call train,gan or duq,recipe,folder,more options)
train = $(BIN)/exp2sim train $(1) $(RECIPES)/$(2).toml --out $(3) $(4) $$(test -f $(3)/config.json && echo --resume)
ABOUT := Pr(Ca,Sr)2Mn2O7 on MAPS, c along the beam
comma := ,
# $(call finished,name,runs,data set,description,noise,spectra,those of the errors): a model of runs, its reference,
# errors and figures
define finished
$(BIN)/exp2sim bundle runs/pcsmo-maps-$(1) --gan $(2:%=runs/%) --dataset data/$(3) --overwrite --description '$(ABOUT): $(4)'
	$(BIN)/exp2sim domain runs/pcsmo-maps-$(1) data/$(3)
	$(BIN)/exp2sim calibrate runs/pcsmo-maps-$(1) data/$(3) $(5) $(if $(7),--limit $(7) --test $(7))
	$(BIN)/exp2sim evaluate runs/pcsmo-maps-$(1) data/$(3) $(5) --limit $(6) --foreign 0 --report runs/pcsmo-maps-$(1)-evaluation --on-card
endef
FINE := --noise 4
members = $(1)-0$(comma)$(1)-1$(comma)$(1)-2
model: env
	$(BIN)/exp2sim simulate dataset $(RECIPES)/pcsmo-maps.toml
	$(BIN)/exp2sim simulate dataset $(RECIPES)/pcsmo-maps-more.toml
	for seed in $(SEEDS); do \
	  $(call train,duq,duq-integrated,runs/duq-integrated-$$seed,--seed $$seed) && \
	  $(call train,duq,duq-more,runs/duq-more-$$seed,--seed $$seed) && \
	  $(call train,duq,duq-foreign,runs/duq-foreign-$$seed,--seed $$seed) && \
	  $(call train,duq,duq-lattices,runs/duq-lattices-$$seed,--seed $$seed) && \
	  $(call train,duq,duq-magnets,runs/duq-magnets-$$seed,--seed $$seed) && \
	  $(call train,duq,duq-cell-magnets,runs/duq-cell-magnets-$$seed,--seed $$seed) && \
	  $(call train,duq,duq-cell-longer,runs/duq-cell-longer-$$seed,--seed $$seed) && \
	  $(call train,duq,duq-convolved,runs/duq-convolved-$$seed,--seed $$seed) && \
	  $(call train,duq,duq-convolved-foreign,runs/duq-convolved-foreign-$$seed,--seed $$seed) && \
	  $(call train,duq,duq-convolved-magnets,runs/duq-convolved-magnets-$$seed,--seed $$seed) && \
	  $(call train,gan,gan-volumes,runs/gan-volumes-$$seed,--seed $$seed) && \
	  $(call train,gan,gan-volumes-refined,runs/gan-volumes-refined-$$seed,--seed $$seed) && \
	  $(call train,gan,gan-volumes-noisy,runs/gan-volumes-noisy-$$seed,--seed $$seed) && \
	  $(call train,gan,gan-volumes-mean,runs/gan-volumes-mean-$$seed,--seed $$seed) && \
	  $(call train,gan,gan-volumes-longer,runs/gan-volumes-longer-$$seed,--seed $$seed) || exit 1; done
	$(BIN)/exp2sim bundle runs/pcsmo-maps --gan $(SEEDS:%=runs/gan-volumes-longer-%) \
	  --classifier integrated=$(call members,runs/duq-cell-longer) \
	  --classifier convolved=$(call members,runs/duq-convolved-magnets) \
	  --description '$(ABOUT): mosaics of six incident energies (25 to 140 meV, 40 x 40 x 10 bins), Dimer or Goodenough' \
	  --dataset data/pcsmo-maps --overwrite
	$(BIN)/exp2sim domain runs/pcsmo-maps data/pcsmo-maps
	$(BIN)/exp2sim calibrate runs/pcsmo-maps data/pcsmo-maps
	$(BIN)/exp2sim evaluate runs/pcsmo-maps data/pcsmo-maps --paired runs/gan-volumes-longer-0 --report runs/evaluation --on-card

model-fine: env
	$(BIN)/exp2sim simulate dataset $(RECIPES)/pcsmo-maps.toml
	$(BIN)/exp2sim simulate dataset $(RECIPES)/pcsmo-maps-3d.toml
	for seed in $(SEEDS); do \
	  $(call train,gan,gan-3d,runs/gan-3d-$$seed,--seed $$seed) && \
	  $(call train,gan,gan-3d-refined,runs/gan-3d-refined-$$seed,--seed $$seed) && \
	  $(call train,gan,gan-3d-longer,runs/gan-3d-longer-$$seed,--seed $$seed) && \
	  $(call train,gan,gan-1d-energy,runs/gan-1d-energy-$$seed,--seed $$seed) && \
	  $(call train,gan,gan-1d-window,runs/gan-1d-window-$$seed,--seed $$seed) || exit 1; done
	$(call finished,3d,$(SEEDS:%=gan-3d-longer-%),pcsmo-maps-3d,volumes (h$(comma) k$(comma) E) of fine energy bins$(comma) 1 % of Ei,$(FINE),20 --classical 10,5)
	$(call finished,1d-energy,$(SEEDS:%=gan-1d-energy-%),pcsmo-maps-3d,cuts along the energy at constant Q$(comma) bins of 1 % of Ei,$(FINE),20 --classical 10,20)
	$(call finished,1d-q,$(SEEDS:%=gan-1d-window-%),pcsmo-maps,cuts along h or k at constant energy$(comma) over 6 % of Ei,,200 --classical 20)

# The commands of docs/tutorial.md, and the time of each. A second run needs another folder, or none of this name.
tutorial: env
	$(BIN)/python examples/tutorial/run.py tutorial-run

clean:
	rm -rf $(VENV) build dist demo *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
