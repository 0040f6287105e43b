# Two commands: `make demo` shows Phonolake at work, `make test` proves it. Both set up what is missing.
PYTHON ?= python3
# FAISS and XGBoost for the processor; `make setup FAISS=gpu` takes those for CUDA instead. They share modules: never
# install both.
FAISS ?= cpu
BIN := .venv/bin
INSTALLED := .venv/installed-$(FAISS)

.PHONY: demo setup test long lint check bench chaos chaos-cluster chaos-writers studies

# The tagger (29 MB) is worth having and not needed.
demo: setup
	$(BIN)/phonolake models fetch musicnn-msd --format csv > /dev/null || echo "The demo goes on without a pretrained tagger."
	$(BIN)/phonolake demo demo

setup: $(INSTALLED)

# torch comes first and by its exact version: a range would fetch gigabytes of CUDA builds.
$(INSTALLED): pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --constraint constraints.txt "torch==2.13.0"
	$(if $(filter gpu,$(FAISS)),$(BIN)/python -m pip uninstall --quiet --yes faiss-cpu xgboost-cpu,$(BIN)/python -m pip uninstall --quiet --yes faiss-gpu xgboost)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable ".[$(FAISS),dev]"
	rm -f .venv/installed-*
	touch $@

# Dozens of processes start: Python keeps what it compiled, also where the environment says otherwise.
test long: export PYTHONDONTWRITEBYTECODE =
test: setup
	$(BIN)/pytest -n 2 --no-loadscope-reorder

# Whole stages, networks and pages: what `make test` leaves out to be done in minutes.
long: setup
	$(BIN)/pytest -n 2 --no-loadscope-reorder -m "long and not slow"

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# What a change has to pass; CI does the first two.
check: lint test long

bench: setup
	$(BIN)/python tests/bench/features.py --hours 3
	$(BIN)/python tests/bench/throughput.py
	$(BIN)/python tests/bench/throughput.py --features music-role-97
	$(BIN)/python tests/bench/ingest.py
	$(BIN)/python tests/bench/training.py --command
	$(BIN)/python tests/bench/cooccurrence.py --repeats 3
	$(BIN)/python tests/bench/duplicates.py
	$(BIN)/python tests/bench/two_million.py --tracks 20000
	$(BIN)/python -m pytest -q -s -m slow tests/dashboard/test_scale.py

# The middle version of the studies, planned for two hours of two cores; `make studies ESC10=DIR` takes real sounds.
studies: setup
	$(BIN)/python tests/bench/studies.py studies $(if $(ESC10),--esc10 $(ESC10))

chaos: setup
	$(BIN)/pytest -m slow

# Drivers, workers and parts of Ray are killed at two hundred random moments, over all stages in turn: some hours.
chaos-cluster: setup
	PHONOLAKE_KILLS=200 $(BIN)/pytest -s -m slow tests/chaos/test_stages.py

# Drivers that are stopped, killed and resubmitted anywhere: half of the sequences in each of two processes.
SEQUENCES ?= 2000
SEEDS ?= 1 2
chaos-writers: setup
	for seed in $(SEEDS); do \
		PHONOLAKE_SEQUENCES=$$(($(SEQUENCES) / $(words $(SEEDS)))) PHONOLAKE_SEED=$$seed \
		$(BIN)/pytest -q -m slow tests/stages/test_many_writers.py & started="$$started $$!"; \
	done; failed=0; for process in $$started; do wait $$process || failed=1; done; exit $$failed
