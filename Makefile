# The commands of the project. `make help` lists them.
PYTHON := .venv/bin/python
PYTEST := .venv/bin/pytest
PORTS ?= fixed
MODE ?= world
# Most tests wait for timers and media rather than compute: more of them than cores run side by side.
WORKERS ?= 4
SUITES ?= bookworm
# Load under which faults strike, and length of the soak.
CALLS ?= 50
RATE ?= 20
HOURS ?= 1
CALLS_PER_SECOND ?= 2
SECONDS ?= 600
MUTANTS ?= 20000
SEED ?= 1
SDK := webapp_api/sdk
# Whether a switch is on: 0 is off.
on = $(filter-out 0,$(1))
KSR_STUB := kemi/typings/KSR.pyi

.DEFAULT_GOAL := help
.PHONY: help setup run test checks test-faults test-provision soak unit style types audit bench bench-page counts sdk oidc clients docs images ksr-api fuzz mutants release wheelhouse clean

help: ## list the commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: ## install Debian packages and Python environment (again: less than a second)
	@bash .ci/install

run: sdk ## start the whole world, prove a call, keep it until Ctrl-C (ONCE=1: stop at once; MODE=ims: core only; MODE=standalone: no core; PORTS=free; SIPP=1: with the trunks of tests/sipp)
	$(PYTHON) -m tests.lab run --ports $(PORTS) --mode $(MODE) $(if $(call on,$(ONCE)),--once) $(if $(call on,$(SIPP)),--sipp)

test: ## every check and every test (WORKERS=0: one after the other)
	@$(MAKE) --no-print-directory --jobs=3 checks
	$(PYTEST) --numprocesses=$(WORKERS)

checks: sdk oidc clients style types audit ## all but the tests

test-provision: sdk ## boot an empty Debian 12, provision it with the playbooks, call through it, upgrade it (as root; minutes; SUITES="bookworm trixie": Debian 13, too)
	GATEWAY_SUITES="$(SUITES)" $(PYTEST) tests/provision -m provision

test-faults: sdk ## kill, stop and starve every part under 50 calls and 20 new ones a second, as root (minutes; CALLS=20 RATE=5: less)
	FAULT_CALLS=$(CALLS) FAULT_RATE=$(RATE) $(PYTEST) tests/faults -m faults --capture=no

soak: sdk ## mixed calls for HOURS=1: none may fail, nothing may grow or be left
	$(PYTHON) -m tests.bench.soak --hours $(HOURS) --rate $(CALLS_PER_SECOND) --strict

unit: setup ## the tests without any daemon, in seconds (fewer random examples than `make test`)
	$(PYTEST) tests/unit --hypothesis-profile=quick

style: setup ## lint and formatting
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	cd ansible && PATH="$(CURDIR)/.venv/bin:$$PATH" ansible-lint --offline -q

types: setup ## strict type check
	.venv/bin/mypy

audit: setup ## known holes and licences of what is used, secrets in the tree, bandit; says what it could not look at
	PATH="$(CURDIR)/.venv/bin:$$PATH" $(PYTHON) -m tests.audit

bench: sdk ## measure everything, one table, JSON in build/bench (QUICK=1: minutes, and no figures to quote; ONLY=calls,ladder: these; STRICT=1: a bar that is missed or not measured is an error)
	@bash .ci/install .ci/bench-packages.txt
	$(PYTHON) -m tests.bench.suite $(if $(call on,$(QUICK)),--short) $(if $(ONLY),--only $(ONLY)) $(if $(call on,$(STRICT)),--strict)

bench-page: setup ## put what `make bench` measured into docs/performance.md and its pictures
	$(PYTHON) -m tests.bench.page $(wildcard build/bench/performance.json)

counts: setup ## machine instructions of the hot functions under valgrind, against the committed ones (a minute)
	@bash .ci/install .ci/bench-packages.txt
	$(PYTHON) -m tests.bench.instructions

fuzz: setup ## coverage-guided fuzzing of everything that reads what others write (SECONDS=600 for all targets together)
	$(PYTHON) -m pip install --quiet --constraint constraints.txt --editable ".[fuzz]"
	$(PYTHON) -m tests.fuzz --seconds $(SECONDS)

mutants: sdk ## send mutants of running calls to the gateway, from every side (MUTANTS=20000 SEED=1)
	$(PYTHON) -m tests.hostile --mutants $(MUTANTS) --seed $(SEED) --rounds 10

# What npm and the SDK's build produce, remade only when their sources are newer.
NPM_IN := PATH="$(CURDIR)/.venv/bin:$$PATH" npm --no-audit --no-fund --prefix
NPM := $(NPM_IN) $(SDK)
SDK_SOURCES := $(SDK)/build.ts $(SDK)/package-lock.json $(wildcard $(SDK)/src/*.ts $(SDK)/src/*/*.ts webapp_api/softphone/* webapp_api/console/*)
SDK_INSTALLED := $(SDK)/node_modules/.package-lock.json
SDK_BUILT := webapp_api/static/dist/manifest.json

$(SDK_INSTALLED): $(SDK)/package-lock.json $(SDK)/package.json | setup
	$(NPM) ci
	@touch $@

$(SDK_BUILT): $(SDK_SOURCES) $(SDK_INSTALLED)
	$(NPM) run build
	@touch $@

sdk: setup $(SDK_BUILT) ## build the browser SDK, the softphone and the console

OIDC := tests/oidc
OIDC_INSTALLED := $(OIDC)/node_modules/.package-lock.json

$(OIDC_INSTALLED): $(OIDC)/package-lock.json $(OIDC)/package.json | setup
	$(NPM_IN) $(OIDC) ci
	@touch $@

oidc: $(OIDC_INSTALLED)

CLIENTS := tests/browser/matrix
CLIENTS_INSTALLED := $(CLIENTS)/node_modules/.package-lock.json

$(CLIENTS_INSTALLED): $(CLIENTS)/package-lock.json $(CLIENTS)/package.json | setup
	$(NPM_IN) $(CLIENTS) ci
	@touch $@

clients: $(CLIENTS_INSTALLED)

docs: setup ## write what is made from code: the state diagrams of docs/flow.md, docs/conformance.md, clients.md, explain.md, licences.md, performance.md
	$(PYTHON) -m tests.diagrams
	$(PYTHON) -m tests.conformance
	$(PYTHON) -m tests.browser.matrix
	$(PYTHON) -m tests.verdicts_page
	$(PYTHON) -m tests.audit.licences
	$(PYTHON) -m tests.bench.page

images: sdk ## take the README's pictures of the softphone and the console, on the whole lab
	PAGE_IMAGES=1 $(PYTEST) tests/browser/test_softphone_screens.py tests/browser/test_console.py

ksr-api: setup ## write the typing stub of Kamailio's functions from a running Kamailio
	$(PYTHON) -m tests.contract.kamailio.api_list | $(PYTHON) -m kemi.typings.make_ksr > $(KSR_STUB).new
	mv $(KSR_STUB).new $(KSR_STUB)

release: sdk ## pack this commit for the Ansible role `common`: build/release/webrtc-ims-gateway-VERSION.tar.gz
	ansible/make_release

wheelhouse: setup ## fetch the Python packages of a release as wheels for Debian 12 and 13, for machines without a network: build/wheelhouse
	PYTHON=$(PYTHON) ansible/make_wheelhouse build/wheelhouse 3.11 3.13

clean: ## remove what the commands above made, except the Python environment
	rm -rf build lab-run webapp_api/static/dist .mypy_cache .ruff_cache .pytest_cache .hypothesis
