# `make serve` and `make test` set up everything they need; `make help` lists the other targets.
SHELL := /bin/bash
.DEFAULT_GOAL := help
PYTHON ?= python3
BIN := .venv/bin
TOOLS := $(CURDIR)/.tools/bin
PIP := PIP_CONSTRAINT=$(CURDIR)/constraints.txt $(BIN)/python -m pip install --quiet --disable-pip-version-check
ARGS ?=
# Slow tests spend half their time waiting, so three processes suit two cores; fast ones wait for nothing, and each process takes ten
# seconds of CPU to collect. ARGS="-n 0" uses one.
# tests/conftest.py orders the modules: xdist would begin with those that have most tests, not with the slowest.
PYTEST := $(BIN)/python -m pytest --numprocesses=3 --dist=loadscope --no-loadscope-reorder

.PHONY: help
help: ## List the targets.
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sort | awk -F ':.*## ' '{printf "  %-14s %s\n", $$1, $$2}'

# What the README runs: Foretell with data frames and conversions, and the Python client.
.venv/runtime.stamp: pyproject.toml constraints.txt
	@echo "setting up .venv (once, about a minute)"
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@$(PIP) -e '.[fast,frames]' -e clients/python
	@touch $@

.venv/dev.stamp: .venv/runtime.stamp
	@echo "installing what the tests need"
	@$(PIP) -e '.[dev]'
	@touch $@

.venv/bench.stamp: .venv/runtime.stamp
	@echo "installing what the benchmark needs"
	@$(PIP) -e '.[bench]'
	@touch $@

build/iris: | .venv/runtime.stamp
	@$(BIN)/python examples/iris/train.py build/iris

models/iris: | build/iris
	@$(BIN)/foretell add build/iris/model.joblib --name iris --golden build/iris/golden.jsonl \
	  --columns sepal_length,sepal_width,petal_length,petal_width

build/iris_v2: | .venv/runtime.stamp
	@$(BIN)/python examples/iris_v2/train.py build/iris_v2

models/iris.v2: | build/iris_v2
	@$(BIN)/foretell add build/iris_v2/model.joblib --name iris.v2 --golden build/iris_v2/golden.jsonl \
	  --columns sepal_length_cm,sepal_width_cm,petal_length_cm,petal_width_cm

build/parcel: | .venv/runtime.stamp
	@$(BIN)/python examples/parcel/train.py build/parcel

models/parcel: | build/parcel
	@$(BIN)/foretell add build/parcel/model.joblib --name parcel --golden build/parcel/golden.jsonl

.PHONY: examples
examples: models/iris models/iris.v2 models/parcel ## Train and add the models of all contracts, for `make serve`.

.PHONY: serve
serve: .venv/runtime.stamp models/iris ## Set up, train the iris model if there is none, and serve it.
	@echo "in another terminal, first: source .venv/bin/activate"
	@exec $(BIN)/foretell serve $(ARGS)

.PHONY: tools
tools:
	@if command -v go >/dev/null; then test -x $(TOOLS)/grpcurl || { echo "installing grpcurl"; \
	  GOBIN=$(TOOLS) GOFLAGS=-mod=mod go install github.com/fullstorydev/grpcurl/cmd/grpcurl@v1.9.3 2>/dev/null; } ; \
	else echo "no Go toolchain: the tests with grpcurl are skipped"; fi
	@if ! command -v chromium >/dev/null && command -v apt-get >/dev/null && [ "$$(id -u)" = 0 ]; then \
	  echo "installing chromium"; { apt-get update -qq && apt-get install -y -qq --no-install-recommends chromium; } >/dev/null 2>&1 \
	  || echo "chromium cannot be installed: the browser test is skipped"; fi

.PHONY: test
test: .venv/dev.stamp tools ## Set up, then run the tests, but for those of `make test-long`.
	@PATH="$(TOOLS):$$PATH" $(PYTEST) -m "not long" $(ARGS)

.PHONY: test-fast
test-fast: .venv/dev.stamp ## Run the tests that are not marked slow, in about a minute.
	@$(PYTEST) --numprocesses=2 -m "not slow" $(ARGS)

.PHONY: test-long
test-long: .venv/dev.stamp tools ## Run what `make test` leaves out, such as the README in a fresh environment, the benchmarks, and 300 random tables.
	@HYPOTHESIS_PROFILE=check PATH="$(TOOLS):$$PATH" $(PYTEST) --dist=loadgroup -m long $(ARGS)

PYTHONS ?= 3.11 3.12 3.13 3.14

.PHONY: check-pythons
check-pythons: ## Run the fast tests, or those of ARGS, on each of PYTHONS (3.11 to 3.14) that this machine has.
	@for version in $(PYTHONS); do \
	  python=; for each in python$$version "$${PYENV_ROOT:-$$HOME/.pyenv}"/versions/$$version.*/bin/python$$version; do \
	    "$$each" -c "" 2>/dev/null && python=$$each && break; done; \
	  if [ -z "$$python" ]; then absent="$$absent $$version"; continue; fi; \
	  folder=.tools/pythons/$$version; echo "Python $$version: $$folder"; \
	  if { test -x $$folder/bin/python || "$$python" -m venv $$folder; } \
	    && PIP_CONSTRAINT=$(CURDIR)/constraints.txt $$folder/bin/python -m pip install --quiet --disable-pip-version-check -e '.[dev]' \
	    && PATH="$(TOOLS):$$PATH" $(PYTEST:$(BIN)/%=$$folder/bin/%) $(or $(ARGS),-m "not slow"); \
	  then passed="$$passed $$version"; else failed="$$failed $$version"; fi; \
	done; echo "passed:$${passed:- none}; failed:$${failed:- none}; not on this machine:$${absent:- none}"; test -z "$$failed"

.PHONY: h2load
h2load:
	@if ! command -v h2load >/dev/null && command -v apt-get >/dev/null && [ "$$(id -u)" = 0 ]; then \
	  echo "installing h2load"; { apt-get update -qq && apt-get install -y -qq --no-install-recommends nghttp2-client; } >/dev/null 2>&1 \
	  || true; fi

build/grpc_echo: benchmarks/baselines/grpc_echo.cc
	@if ! pkg-config --exists grpc++ 2>/dev/null && command -v apt-get >/dev/null && [ "$$(id -u)" = 0 ]; then \
	  echo "installing gRPC's C++ library"; { apt-get update -qq \
	  && apt-get install -y -qq --no-install-recommends g++ pkg-config libgrpc++-dev; } >/dev/null 2>&1 || true; fi
	@mkdir -p build
	@g++ -O2 $< -o $@ $$(pkg-config --cflags --libs grpc++) 2>/dev/null \
	  || echo "the gRPC echo in C++ is not measured: g++, pkg-config or libgrpc++-dev is missing"

.PHONY: bench
bench: .venv/bench.stamp h2load build/grpc_echo ## Measure against the baselines; writes benchmarks/RESULTS.md.
	@$(BIN)/python -m benchmarks $(ARGS)

.PHONY: bench-rollouts
bench-rollouts: .venv/bench.stamp h2load ## Measure the cost of rollouts to callers; writes benchmarks/ROLLOUTS.md.
	@$(BIN)/python -m benchmarks.rollouts $(ARGS)

PEERS := $(patsubst benchmarks/peers/%.txt,.tools/peers/%.stamp,$(wildcard benchmarks/peers/*.txt))

.tools/peers/%.stamp: benchmarks/peers/%.txt
	@echo "installing $*"
	@{ $(PYTHON) -m venv --clear .tools/peers/$* && .tools/peers/$*/bin/python -m pip install --quiet --disable-pip-version-check -r $< \
	  && touch $@; } || echo "$* cannot be installed: it is left out"

.PHONY: bench-peers
bench-peers: .venv/bench.stamp h2load $(PEERS) ## Measure other model servers beside Foretell; writes benchmarks/PEERS.md.
	@$(BIN)/python -m benchmarks.peers $(ARGS)

.PHONY: check
check: format-check lint types contracts test test-long generate-check audit ## All that CI runs: format, lint, types, contracts, tests, stubs, audit.

.PHONY: format
format: .venv/dev.stamp ## Format code and contracts.
	@$(BIN)/ruff check --quiet --fix . ; $(BIN)/ruff format --quiet .
	@$(BIN)/buf format -w --exclude-path protos/buf --exclude-path protos/google

.PHONY: format-check
format-check: .venv/dev.stamp
	@$(BIN)/ruff format --quiet --check .
	@$(BIN)/buf format -d --exit-code --exclude-path protos/buf --exclude-path protos/google

.PHONY: lint
lint: .venv/dev.stamp ## Lint code and import layers.
	@$(BIN)/ruff check --quiet .
	@$(BIN)/lint-imports >.import_linter.log 2>&1 || { cat .import_linter.log; exit 1; }

.PHONY: types
types: .venv/dev.stamp ## Check types, strictly.
	@$(BIN)/mypy --no-error-summary

.PHONY: contracts
contracts: .venv/dev.stamp ## Lint the contracts, and compare them with the last commit.
	@$(BIN)/buf lint
	@if git diff --quiet HEAD -- protos 2>/dev/null; then base=HEAD~1; else base=HEAD; fi; \
	if git cat-file -e "$$base:buf.yaml" 2>/dev/null; then \
	  $(BIN)/buf breaking --against ".git#ref=$$base" && $(BIN)/foretell diff "$$base" protos; \
	else echo "buf breaking: skipped, there is no earlier commit to compare with"; fi

.PHONY: generate
generate: .venv/dev.stamp ## Generate the Python client's stubs from the contracts.
	@$(BIN)/python clients/generate.py

.PHONY: generate-check
generate-check: .venv/dev.stamp
	@$(BIN)/python clients/generate.py --check

.PHONY: audit
audit: .venv/dev.stamp ## Look for known vulnerabilities in the pinned packages; skipped where their database is out of reach.
	@report=$$($(BIN)/pip-audit --strict --disable-pip --no-deps --progress-spinner=off --timeout=5 -r constraints.txt 2>&1) && exit 0; \
	if grep -q '^Found .* known vulnerabilit' <<<"$$report"; then echo "$$report"; exit 1; fi; \
	echo "audit: skipped, $$(tail -n 1 <<<"$$report" | cut -c1-200)"

.PHONY: docs
docs: .venv/dev.stamp tools ## Test the pages: run their blocks, check links and tables.
	@PATH="$(TOOLS):$$PATH" $(PYTEST) tests/docs $(ARGS)

.PHONY: wheels
wheels: .venv/dev.stamp ## Build the wheels of Foretell and its client into dist/.
	@$(BIN)/hatchling build -t wheel -d $(CURDIR)/dist
	@cd clients/python && $(CURDIR)/$(BIN)/hatchling build -t wheel -d $(CURDIR)/dist

.PHONY: clean
clean: ## Delete everything that the other targets made, trained models included.
	rm -rf .venv .tools build dist models .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache .import_linter.log .schemathesis
