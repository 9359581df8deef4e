# Everything runs in .venv, which is made from the lock file when it is first needed: each target works as the very
# first command in a fresh clone. PYTHON=python3.13 make install chooses another interpreter.
PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/pip --disable-pip-version-check -qq
LOCK := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-strip-extras --no-header --no-emit-index-url
VERSION = $(shell sed -n 's/^__version__ = "\(.*\)"/\1/p' secretsyncer/__init__.py)
BUILDER = $(firstword $(foreach tool,podman buildah docker,$(shell command -v $(tool))))
NO_CLUSTER := make run: kubectl reaches no cluster. Start one (kind create cluster), choose one (kubectl config \
  use-context NAME), or use make sandbox, which needs none. kubectl says:

.DEFAULT_GOAL := help
.PHONY: help install check test chaos bench demo run sandbox docs site envtest tools image sbom audit lock

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-9s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

install: .venv/.installed ## make .venv from the lock file, and put this project into it

.venv/.installed: requirements/dev.lock pyproject.toml hatch_build.py $(wildcard secretsyncer/gotemplate/go/*.go)
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "make: Python 3.11 or later is needed, and $(PYTHON) is older")'
	$(PYTHON) -m venv .venv
	$(PIP) install --require-hashes -r requirements/dev.lock
	$(PIP) install --no-deps --no-build-isolation --editable .
	@touch $@

check: .venv/.installed ## lint, format, types and the direction of imports
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports

test: .venv/.installed ## all tests that this machine can run (make envtest adds those on a real API server)
	$(BIN)/python -m pytest $(ARGS)

chaos: .venv/.installed ## three minutes of random faults on a real API server (ARGS='--seed 1 --seconds 60')
	$(BIN)/python -m tests.chaos $(ARGS)

bench: .venv/.installed ## measure against limits of the same run (ARGS='start 1000' for some works alone)
	$(BIN)/python -m bench $(ARGS)

demo: .venv/.installed ## see it work in a minute, without a cluster and without AWS
	$(BIN)/python -m sandbox.demo

sandbox: .venv/.installed ## a Kubernetes API and an AWS with the operator between them, to try it by hand
	$(BIN)/python -m sandbox

run: .venv/.installed ## run against the current kube context with the local AWS credentials
	@said=$$(kubectl version --request-timeout=10s 2>&1) || { echo "$(NO_CLUSTER) $$(echo "$$said" | tail -n 1)" >&2; exit 1; }
	kubectl apply -f manifests/crd.yaml
	LOG_FORMAT=text $(BIN)/python -m secretsyncer run

docs: .venv/.installed ## generate the CRD, the JSON Schema, docs/reference and the files shown in pages
	$(BIN)/python -m generate

site: .cache/docs/.installed ## build the documentation as a site: build/site/html
	.cache/docs/bin/python docs/build_site.py

.cache/docs/.installed: requirements/docs.lock .venv/.installed
	$(PYTHON) -m venv --clear --without-pip .cache/docs
	$(PIP) --python .cache/docs/bin/python install --require-hashes -r requirements/docs.lock
	@touch $@

envtest: ## get kube-apiserver and etcd for the tests and the demo (once)
	@.ci/envtest

tools: .venv/.installed ## get promtool and helm for the tests of the alerts and the chart (once)
	@PYTHON=$(abspath $(BIN))/python .ci/tools

image: ## build the image with podman, buildah or docker, whichever is there
	$(or $(BUILDER),$(error make image needs podman, buildah or docker)) build --file Containerfile --tag secretsyncer:$(VERSION) \
	  --build-arg VERSION=$(VERSION) --build-arg SOURCE_DATE_EPOCH=$$(git log -1 --format=%ct || date +%s) $(ARGS) .

sbom: .cache/audit/.installed ## list what the operator runs on, with versions and licences: sbom.json (CycloneDX)
	$(PYTHON) -m venv --clear --without-pip .cache/runtime
	$(PIP) --python .cache/runtime/bin/python install --require-hashes -r requirements/run.lock
	.cache/audit/bin/cyclonedx-py environment --pyproject pyproject.toml --mc-type application --output-reproducible \
	  --output-file sbom.json .cache/runtime

audit: .cache/audit/.installed ## look up the locked dependencies among the known vulnerabilities (needs pypi.org)
	.cache/audit/bin/pip-audit --disable-pip --require-hashes --strict -r requirements/run.lock

.cache/audit/.installed: requirements/audit.lock .venv/.installed
	$(PYTHON) -m venv --clear --without-pip .cache/audit
	$(PIP) --python .cache/audit/bin/python install --require-hashes -r requirements/audit.lock
	@touch $@

lock: .venv/.installed ## lock the dependencies again after a change of pyproject.toml (ARGS=--upgrade for the newest)
	$(PIP) install uv
	$(LOCK) $(ARGS) --group build --output-file requirements/build.lock
	$(LOCK) $(ARGS) --group audit --output-file requirements/audit.lock
	$(LOCK) $(ARGS) --group docs --output-file requirements/docs.lock
	$(LOCK) $(ARGS) pyproject.toml --output-file requirements/run.lock
	$(LOCK) $(ARGS) pyproject.toml --group dev --constraint requirements/build.lock \
	  --constraint requirements/run.lock --output-file requirements/dev.lock
