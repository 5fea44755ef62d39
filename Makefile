# One command each; continuous integration calls the same ones.
#   make demo     photos -> fine-tuned network -> archive -> live server -> hot swap and back
#   make check    lint, format, types
#   make test     every test; make test-unit, test-integration and test-e2e run one kind
#   make test-tools    what the tests need besides Python: Chromium, nginx, Prometheus (by apt, as root)
#   make bench    headswap and its peers, measured in turn; writes docs/benchmarks.md's tables (needs wrk). One round of all,
#                 13 to 17 minutes; ROUNDS=3 for three, and calls add up. In two parts: make bench-serving, bench-training
#   make bench-capture    what capture costs a worker: a part of make bench-serving, two minutes
#   make install    what all of these need, Ray for headswap cluster too: here the extra needs no target of its own
#   make bench-cluster headswap on Ray Serve against a hand-written Ray app and TorchServe; make bench-folders: predict --out
#   make bench-gpu    on a GPU host: what only a GPU can show; make gpu-bundle packs what one without a network needs
#   make bench-tuning  what `headswap tune` picks against the best of the full grid; make bench-scale: docs/scale.md's
#   make image-test    the container image, built and run by podman: minutes and gigabytes

VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
UV_VERSION := 0.13.8

# The first Python of 3.11 or newer, whatever it is called.
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do \
	command -v $$p >/dev/null && $$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
	&& echo $$p && break; done)

.PHONY: install demo test test-tools test-unit test-integration test-e2e test-mutations image-test bench bench-serving bench-capture bench-training bench-cluster bench-folders bench-gpu gpu-archives gpu-bundle bench-tuning bench-scale check format lock lock-peers clean

install: $(READY)

$(READY): requirements.txt requirements-page.txt requirements-ray.txt requirements-tracking.txt requirements-dev.txt constraints.txt pyproject.toml
	@test -n "$(PYTHON)" || { echo "headswap needs Python 3.11 or newer with its venv module; none was found. Install one and run make again."; exit 2; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)
	$(BIN)/uv pip install --quiet --compile-bytecode --python $(BIN)/python \
		-r requirements.txt -r requirements-dev.txt -c constraints.txt
	$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --editable .
	$(BIN)/python -m serving.stubs
	@touch $@

demo: install
	$(BIN)/headswap demo $(if $(KEEP),--keep)

test: test-unit test-integration test-e2e

# One process a core. The others start servers and processes of their own, which need the cores.
test-unit: install
	$(BIN)/pytest tests/unit --numprocesses auto

test-integration test-e2e: test-%: install
	$(BIN)/pytest tests/$*

test-tools:
	tests/install_tools.sh

# 10,000 random mutations of each image format: about a minute.
test-mutations: install
	HEADSWAP_MUTATIONS=10000 $(BIN)/pytest tests/unit/handlers/images/test_broken_files.py -k mutations

image-test: install
	HEADSWAP_IMAGE_TEST=1 $(BIN)/pytest tests/image

PEERS := benchmarks/.peers
$(PEERS)/.ready: benchmarks/requirements-peers.txt benchmarks/constraints-peers.txt $(READY)
	$(PYTHON) -m venv --clear --without-pip $(PEERS)
	$(BIN)/uv pip install --quiet --compile-bytecode --python $(PEERS)/bin/python \
		-r benchmarks/requirements-peers.txt -c benchmarks/constraints-peers.txt
	@touch $@

# Of one call; they add up over calls.
ROUNDS ?= 1

bench: bench-serving bench-training
	$(BIN)/python -m benchmarks.headline

bench-serving: install $(PEERS)/.ready
	$(BIN)/python -m benchmarks.serving.speed --architecture resnet18 --photos 366x500 12mp mixed "1% broken" \
		--connections 1 8 32 --open-loads 0.5 0.8 --seconds 2 --rounds $(ROUNDS)
	$(BIN)/python -m benchmarks.serving.speed --architecture efficientnet_b0 --connections 1 8 --seconds 2 --rounds $(ROUNDS) \
		--only headswap stock-tuned fastapi litserve
	$(BIN)/python -m benchmarks.serving.speed --architecture resnet50 --seconds 2 --rounds $(ROUNDS) \
		--only headswap stock-tuned fastapi
	$(BIN)/python -m benchmarks.serving.transports
	$(BIN)/python -m benchmarks.serving.swaps
	$(BIN)/python -m benchmarks.serving.capture
	$(BIN)/python -m benchmarks.serving.tables

bench-capture: install
	$(BIN)/python -m benchmarks.serving.capture
	$(BIN)/python -m benchmarks.serving.tables

bench-training: install $(PEERS)/.ready
	$(BIN)/python -m benchmarks.training.speed --photos 366x500 --rounds $(ROUNDS)
	$(BIN)/python -m benchmarks.training.speed --photos 12mp --rounds $(ROUNDS)
	$(BIN)/python -m benchmarks.training.features --seeds $(ROUNDS)
	$(BIN)/python -m benchmarks.training.tables

bench-cluster: install $(PEERS)/.ready
	$(BIN)/python -m benchmarks.serving.speed --architecture resnet18 --photos 366x500 --connections 1 8 --seconds 4 \
		--rounds $(ROUNDS) --only headswap headswap-ray ray --results benchmarks/results/cluster.json

# 50,000 photos through a network that costs nothing: what is measured is everything else.
bench-folders: install
	$(BIN)/python -m benchmarks.cluster.folders

# On a GPU host, in at most nine minutes: agreement with the CPU, requests per second, memory, training.
bench-gpu: install gpu-archives
	$(BIN)/python -m benchmarks.gpu_check

gpu-archives: install
	$(BIN)/python -m benchmarks.gpu.networks

# What a GPU host without a network needs for it, in folders of at most 60 MB (needs wrk).
gpu-bundle: install
	$(BIN)/python -m benchmarks.gpu.bundle

# An archive of this host's headswap and photos to send, for the two benchmarks below.
ARCHIVE ?= model_store/clothing-1.0.mar
PHOTOS ?= sample_data/clothing/test

bench-tuning: install
	$(BIN)/python -m benchmarks.tuning $(ARCHIVE) --photos $(PHOTOS)

bench-scale: install
	$(BIN)/python -m benchmarks.scale.host $(ARCHIVE) --photos $(PHOTOS) --workers 2 --batch-size 4
	$(BIN)/python -m benchmarks.scale.host $(ARCHIVE) --photos $(PHOTOS) --workers 1 --batch-size 4
	$(BIN)/python -m benchmarks.scale.host $(ARCHIVE) --photos $(PHOTOS) --workers 2 --batch-size 1
	$(BIN)/python -m benchmarks.scale.host --table
	$(BIN)/python -m benchmarks.scale.fleet

check: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: install
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

lock: install
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --no-annotate --upgrade \
		--custom-compile-command "make lock" requirements.txt requirements-dev.txt -o constraints.txt

lock-peers: install
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --no-annotate --upgrade \
		--custom-compile-command "make lock-peers" benchmarks/requirements-peers.txt -o benchmarks/constraints-peers.txt

clean:
	rm -rf runs .headswap .mypy_cache .pytest_cache .ruff_cache .hypothesis
