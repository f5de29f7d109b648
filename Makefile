# Headstart: `make quickstart` shows what it does, `make test` proves it, `make check` is what CI runs.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PACKAGES := client server tests benchmarks examples helm docker

# Every process imports torch, which takes three times as long where no bytecode may be kept.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help setup quickstart page test test-models fuzz faults soak damage outages test-exports test-values test-families test-ray test-page test-deepspeed test-sinks test-kserve test-stubs test-languages check lint types imports contract freeze protos chart docs test-chart test-prometheus test-cluster bench gpu-check clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Headstart needs Python 3.11 or later; set PYTHON=/path/to/python3.11"; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.quickstart: pyproject.toml | $(VENV)/bin/python
	$(BIN)/pip install --quiet --disable-pip-version-check --no-compile -e '.[quickstart]'
	@touch $@

$(VENV)/.dev: pyproject.toml | $(VENV)/bin/python
	$(BIN)/pip install --quiet --disable-pip-version-check --no-compile -e '.[dev]'
	@touch $@ $(VENV)/.quickstart

setup: $(VENV)/.dev ## install everything into .venv

quickstart: $(VENV)/.quickstart ## start a server, train on real weights, predict, export, stop
	@$(BIN)/python -m examples.quickstart.run

page: $(VENV)/.quickstart ## serve what the quickstart made, with its page at http://localhost:8080/, until Ctrl-C
	$(BIN)/headstart serve --state-dir .headstart/quickstart

test: $(VENV)/.dev ## run the tests
	$(BIN)/python -m pytest -n auto --maxprocesses 4 --dist loadfile --no-loadscope-reorder

test-models: $(VENV)/.dev ## check every model of torchvision, for hours; may be stopped and continued; writes docs/models.md
	nice -n 19 $(BIN)/python -m tests.models.run

fuzz: $(VENV)/.dev ## send random and mutated messages of every RPC, and specs, to a server; COUNT=100000 SEED=1 of each
	$(BIN)/python -m tests.fuzz.run --count $(or $(COUNT),100000) --seed $(or $(SEED),1)

faults: $(VENV)/.dev ## kill, stop and restart servers and workers, and check what clients saw; COUNT=1000 SEED=1
	$(BIN)/python -m tests.faults.run --count $(or $(COUNT),1000) --seed $(or $(SEED),1)

soak: $(VENV)/.dev ## mixed traffic for MINUTES=30 after 10: memory, descriptors and threads must not grow
	$(BIN)/python -m tests.soak.run --minutes $(or $(MINUTES),30)

damage: $(VENV)/.dev ## flip bits of and cut every kind of stored file; COUNT=100 per kind
	$(BIN)/python -m tests.damage.run --per-kind $(or $(COUNT),100)

outages: $(VENV)/.dev ## fill the disk at every kind of write, and take database and bucket away for half a minute
	$(BIN)/python -m pytest tests/outages --timeout 900

test-exports: $(VENV)/.dev ## Predict while 20 models of MODEL_ROOT are exported
	$(BIN)/python -m tests.exports.run --model-root $(MODEL_ROOT)

test-values: $(VENV)/.dev ## print what becomes of every kind of value on every path
	$(BIN)/python -m tests.matrix.run

test-families: $(VENV)/.dev ## check every text family of transformers, for two hours; writes docs/encoders.md
	nice -n 19 $(BIN)/python -m tests.families.run --exports --fresh

test-ray: $(VENV)/.dev ## the long tests of jobs on a Ray cluster
	$(BIN)/python -m pytest tests/ray --timeout 600

AXE := build/axe-core/package/axe.min.js

$(AXE):
	@mkdir -p build/axe-core
	cd build/axe-core && npm pack --silent axe-core@4.14.1 && tar xzf axe-core-4.14.1.tgz

test-page: $(VENV)/.dev $(AXE) ## the page in a browser; needs npm and Chromium (CHROMIUM=/path/to/it)
	@test -n "$$CHROMIUM" || command -v chromium chromium-browser google-chrome >/dev/null || \
		{ echo "Chromium is needed: install your system's package (Debian: apt-get install chromium), or set CHROMIUM=/path/to/it"; exit 1; }
	$(BIN)/pip install --quiet --disable-pip-version-check --no-compile -e '.[dev,page-tests]'
	$(BIN)/python -m pytest tests/page --timeout 900

test-deepspeed: $(VENV)/.dev ## install DeepSpeed, and run what needs it
	$(BIN)/pip install --quiet --disable-pip-version-check --no-build-isolation -e '.[dev,deepspeed]'
	$(BIN)/python -m pytest tests/unit/server/training/test_deepspeed.py tests/ray/test_workers.py -k 'not fsdp' --timeout 600

build/sinks/.installed: pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -m venv build/sinks
	build/sinks/bin/pip install --quiet --disable-pip-version-check --no-compile \
		-e '.[tensorboard,mlflow,wandb]' alembic sqlalchemy pytest pytest-asyncio pytest-timeout
	@touch $@

test-sinks: build/sinks/.installed ## install MLflow and W&B apart from everything else, and read back what sinks write with them
	build/sinks/bin/python -m pytest --noconftest -o filterwarnings=default tests/sinks tests/unit/client/sinks/test_tensorboard.py

build/kserve/.installed: pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -m venv build/kserve
	build/kserve/bin/pip install --quiet --disable-pip-version-check --no-compile 'kserve>=0.15'
	@touch $@

test-kserve: $(VENV)/.dev build/kserve/.installed ## install KServe's client apart from everything else, and have it call a server
	$(BIN)/python -m pytest tests/integration/test_kserve_client.py

check: lint types imports contract build/kserve/.installed test ## all that CI runs

lint: $(VENV)/.dev ## style
	$(BIN)/ruff check $(PACKAGES)
	$(BIN)/ruff format --check $(PACKAGES)

types: $(VENV)/.dev ## static types
	$(BIN)/mypy

imports: $(VENV)/.dev ## the layers of the house
	$(BIN)/lint-imports --no-cache

FROZEN := protos/headstart.binpb

contract: $(VENV)/.dev ## buf lint, buf breaking against what `make freeze` wrote, and AIP rules where Go is installed
	$(BIN)/buf lint protos
	@test -f $(FROZEN) || echo "$(FROZEN) is not there: nothing to break"
	@test ! -f $(FROZEN) || $(BIN)/buf breaking protos --against $(FROZEN)
	$(BIN)/python -m pytest tests/languages/test_aip.py --quiet

freeze: $(VENV)/.dev ## write the contract as it is into protos/headstart.binpb: nobody may break it from then on
	$(BIN)/buf lint protos
	$(BIN)/buf build protos --exclude-source-info --output $(FROZEN)

test-stubs: $(VENV)/.dev ## generate and compile stubs in Go, Java, TypeScript and Rust, of those that are installed
	$(BIN)/python -m pytest tests/languages/test_stubs.py

test-languages: $(VENV)/.dev ## have the examples in Go, Java and Node call a server; COUNT=1000 bad requests of each kind
	HEADSTART_REFUSALS=$(or $(COUNT),1000) $(BIN)/python -m pytest tests/languages

protos: $(VENV)/.dev ## generate the Python stubs
	$(BIN)/python -m grpc_tools.protoc -Iprotos --python_out=client --pyi_out=client --grpc_python_out=client \
		protos/headstart/v1/*.proto
	$(BIN)/python -m tests.contract.inference

chart: $(VENV)/.dev ## generate the chart's schema, README and dashboard
	$(BIN)/python -m helm.generate
	$(BIN)/python -m helm.dashboard

docs: $(VENV)/.dev ## generate docs/errors.md, docs/metrics.md and the table of docs/security.md
	$(BIN)/python -m tests.contract.reasons
	$(BIN)/python -m tests.contract.metrics
	$(BIN)/python -m tests.contract.access

test-chart: $(VENV)/.dev ## build helm 3, helm 4, kubeconform and promtool with Go, and test the chart and its alerts with them
	PYTHON=$(BIN)/python helm/test.sh

test-prometheus: $(VENV)/.dev ## build Prometheus with Go, and have it scrape a server that works: alerts and panels find what they ask for
	PYTHON=$(BIN)/python tests/prometheus/run.sh

test-cluster: $(VENV)/.dev ## build etcd and Kubernetes with Go, install the chart into them, and run its pod in namespaces (root)
	PYTHON=$(BIN)/python helm/cluster.sh

bench: $(VENV)/.dev ## measure against peers; tables and pictures in benchmarks/out
	$(BIN)/python -m benchmarks.run

gpu-check: ## on a machine with a GPU: cached, trainable with AMP and compile, embedding pass; writes a table
	$(if $(wildcard $(BIN)/python),$(BIN)/python,$(PYTHON)) -m benchmarks.gpu_check

clean: ## remove what was built
	rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis .headstart benchmarks/out
