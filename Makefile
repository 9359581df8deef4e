# Everything runs in .venv. It is created from the lock files when it is first needed, so each target works as the first
# command in a fresh clone. .ci/install fills it in two stages: for the demo, then for checks and tests. To use another
# interpreter: PYTHON=python3.13 make install
PYTHON ?= python3
BIN := .venv/bin
INSTALL := @PYTHON=$(PYTHON) .ci/install
LOCK := .cache/uv/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-strip-extras --no-header --no-emit-index-url
VERSION = $(shell sed -n 's/^__version__ = "\(.*\)"/\1/p' secretsyncer/__init__.py)
SOURCE := .
SBOM := sbom.json
BUILDER = $(firstword $(foreach tool,podman buildah docker,$(shell command -v $(tool))))
NO_CLUSTER := make run: kubectl reaches no cluster. Start one (kind create cluster), choose one (kubectl config \
  use-context NAME), or use make sandbox, which needs none. kubectl:

.DEFAULT_GOAL := help
.PHONY: help install check test coverage chaos hostile bench demo run sandbox docs site envtest tools image release sbom audit lock

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-9s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

install: .venv/.installed ## create .venv from the lock files, with this project in it

.venv/.demo: requirements/demo.lock pyproject.toml hatch_build.py $(wildcard secretsyncer/gotemplate/go/*.go)
	$(INSTALL) demo
	@touch $@

.venv/.installed: .venv/.demo requirements/dev.lock
	$(INSTALL) dev
	@touch $@

check: .venv/.installed .cache/actionlint ## lint, format, types, import layers, workflows
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports
	.cache/actionlint -shellcheck= -pyflakes=

.cache/actionlint: .ci/actionlint/go.mod .ci/actionlint/go.sum | .venv/.installed
	cd .ci/actionlint && GOTOOLCHAIN=local $(abspath $(BIN))/go build -buildvcs=false -o $(abspath $@) github.com/rhysd/actionlint/cmd/actionlint

# Byte code is written even if the environment says not to: else each of hundreds of processes compiles what it imports.
test coverage: export PYTHONDONTWRITEBYTECODE :=
test: .venv/.installed ## run all tests that this machine can run (make envtest adds those on real servers; ARGS=tests/unit runs a part)
	$(BIN)/python -m pytest -n auto $(ARGS)

coverage: .venv/.installed ## run unit and integration tests, and fail if they cover less of a folder than they did
	$(BIN)/python -m pytest -n auto --cov --cov-report= --coverage-floors tests/unit tests/integration

chaos: .venv/.installed ## inject random faults for three minutes, on a real API server (ARGS='--seed 1 --seconds 60')
	$(BIN)/python -m tests.chaos $(ARGS)

hostile: .venv/.installed ## let hostile tenants, messages and answers work on honest ones (ARGS='--kind hints --seconds 20')
	$(BIN)/python -m tests.hostile $(ARGS)

bench: .venv/.installed ## run the benchmarks, after make envtest (ARGS='start 1000' runs only these)
	$(BIN)/python -m bench $(ARGS)

demo: .venv/.demo ## show the operator at work, without a cluster and without AWS
	@$(BIN)/python -m sandbox.demo

sandbox: .venv/.demo ## run Kubernetes, AWS and the operator on this machine, to try it by hand
	$(BIN)/python -m sandbox

run: .venv/.demo ## run the operator against the current kube context, with the local AWS credentials
	@said=$$(kubectl version --request-timeout=10s 2>&1) || { echo "$(NO_CLUSTER) $$(echo "$$said" | tail -n 1)" >&2; exit 1; }
	kubectl apply -f manifests/crd.yaml
	LOG_FORMAT=text $(BIN)/python -m secretsyncer run

docs: .venv/.installed ## generate the CRD, the JSON Schema, docs/reference and the files shown in pages
	$(BIN)/python -m generate

site: .cache/docs/.installed ## build the documentation as a site: build/site/html
	.cache/docs/bin/python docs/build_site.py

.cache/docs/.installed: requirements/docs.lock
	$(INSTALL) only .cache/docs $<
	@touch $@

envtest: ## build the Kubernetes servers for the tests and the demo (once, ten minutes)
	@.ci/envtest

tools: .venv/.installed ## get promtool, helm and kstatus for the tests of alerts, chart and conditions (once)
	@PYTHON=$(PYTHON) .ci/tools

image: ## build the image with podman, buildah or docker
	$(or $(BUILDER),$(error make image needs podman, buildah or docker)) build --file Containerfile --tag secretsyncer:$(VERSION) \
	  --build-arg VERSION=$(VERSION) --build-arg REVISION=$$(git rev-parse HEAD) \
	  --build-arg SOURCE_DATE_EPOCH=$$(git log -1 --format=%ct || date +%s) $(ARGS) .

release: .venv/.installed .cache/audit/.installed tools ## build a release from the last commit, in dist/
	.ci/release dist

sbom: .cache/audit/.installed ## list the packages of the operator with versions and licences: sbom.json (CycloneDX)
	$(INSTALL) only .cache/runtime $(SOURCE)/requirements/run.lock
	sed 's/^dynamic = \["version"\]/version = "$(VERSION)"/' $(SOURCE)/pyproject.toml >.cache/pyproject.toml
	.cache/audit/bin/cyclonedx-py environment --pyproject .cache/pyproject.toml --mc-type application --output-reproducible \
	  --output-file $(SBOM) .cache/runtime

audit: .cache/audit/.installed ## look for known vulnerabilities in the locked dependencies (needs PyPI itself)
	.cache/audit/bin/pip-audit --disable-pip --require-hashes --strict -r requirements/run.lock

.cache/audit/.installed: requirements/audit.lock
	$(INSTALL) only .cache/audit $<
	@touch $@

.cache/uv/uv.lock: requirements/uv.lock
	$(INSTALL) uv
	@touch $@

lock: .cache/uv/uv.lock ## lock the dependencies after a change of pyproject.toml (ARGS=--upgrade for the newest)
	$(LOCK) $(ARGS) --group installer --output-file requirements/uv.lock
	$(LOCK) $(ARGS) --group build --output-file requirements/build.lock
	$(LOCK) $(ARGS) --group audit --output-file requirements/audit.lock
	$(LOCK) $(ARGS) --group docs --output-file requirements/docs.lock
	$(LOCK) $(ARGS) pyproject.toml --output-file requirements/run.lock
	$(LOCK) $(ARGS) pyproject.toml --group sandbox --group build --constraint requirements/build.lock \
	  --constraint requirements/run.lock --output-file requirements/demo.lock
	$(LOCK) $(ARGS) pyproject.toml --group dev --constraint requirements/demo.lock --output-file requirements/dev.lock
