# monai_xr: every command a person needs. Each works on a fresh clone with python3 (3.11), pip and make alone.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt
export MPLBACKEND := Agg

.PHONY: setup demo test check fix bench bench-intake controls prove image-test intake-test clean

setup: $(VENV)/dev.done          ## install with all extras

demo: $(VENV)/base.done          ## phantoms -> read -> AIIN -> train -> sample -> measure -> report
	$(BIN)/monai-xr demo

test: check                      ## the checks, then all tests
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --dist loadfile

check: $(VENV)/dev.done          ## lint, types, import rules
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

fix: $(VENV)/dev.done            ## mend what can be mended by tools
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(VENV)/dev.done          ## speed ratios, side by side
	OMP_NUM_THREADS=1 $(BIN)/python tests/bench

bench-intake: $(VENV)/dev.done   ## receivers of DICOM side by side: rate, and what is on the disk when they answer
	OMP_NUM_THREADS=1 $(BIN)/python tests/bench/intake

controls: $(VENV)/dev.done       ## verdicts on 100 of each set whose quality is known, as a table
	OMP_NUM_THREADS=1 $(BIN)/python tests/prove/controls.py
	OMP_NUM_THREADS=1 $(BIN)/python tests/prove/controls.py --space own
	OMP_NUM_THREADS=1 $(BIN)/python tests/prove/controls.py --space exposed --times 20

prove: $(VENV)/dev.done          ## the long counts: 50 trainings and receivers killed, 10,000 fuzzed peers, 100 of each control of verdicts
	MONAI_XR_KILLS=50 MONAI_XR_CONTROLS=100 MONAI_XR_INTAKE_FUZZ=10000 MONAI_XR_EXAMPLES=all OMP_NUM_THREADS=1 \
		$(BIN)/python -m pytest -v -rP tests/prove tests/pacs/test_receiver_hostile_peers.py \
		tests/dicom/test_reading_properties.py tests/dicom/test_reading_encodings.py \
		tests/dicom/deidentification/test_data_set.py

image-test: $(VENV)/dev.done     ## the CPU image of an app (APP=DIR of monai-xr export) built and run in podman, confined
	test -n "$(APP)" || { rm -rf build/small_app && $(BIN)/python tests/small_app.py build/small_app; }
	PYTHON=$(BIN)/python docker/image_test.sh $(or $(APP),build/small_app)

intake-test: $(VENV)/dev.done    ## Orthanc and the intake of docker/compose.yaml, built, started and tried
	PYTHON=$(BIN)/python docker/intake_test.sh

clean:                           ## what `make` made; results in runs/ stay
	rm -rf $(VENV) build dist

$(BIN)/python:
	$(PYTHON) -m venv $(VENV) || { $(PYTHON) -m venv --without-pip $(VENV) && $(PYTHON) -m pip --python $(BIN)/python install --quiet pip; }

$(VENV)/base.done: pyproject.toml constraints.txt | $(BIN)/python
	@echo "installing what it needs, about 9 GB: some minutes without a word ..."
	@$(PIP) --editable .
	touch $@

$(VENV)/dev.done: pyproject.toml constraints.txt | $(BIN)/python
	@echo "installing what it needs and what its tests need, about 9 GB: some minutes without a word ..."
	@$(PIP) --editable '.[dev]'
	touch $@ $(VENV)/base.done
