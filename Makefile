# Everything a developer runs. Each target makes its own .venv from a bare python3; PYTHON=python3.12 chooses another.

MAKEFLAGS += --no-print-directory
.DEFAULT_GOAL := help

export PYTHON
export UV_PYTHON_DOWNLOADS := never
# Services start hundreds of times here: what is compiled once is kept, or each start takes half as long again.
unexport PYTHONDONTWRITEBYTECODE
# Trust what the system trusts, as pip does, where the system says what that is: behind some proxies nothing else works.
CERTIFICATES := $(wildcard /etc/ssl/certs/ca-certificates.crt /etc/pki/tls/certs/ca-bundle.crt /etc/ssl/cert.pem)
export UV_SYSTEM_CERTS ?= $(if $(CERTIFICATES),1,0)

BIN := .venv/bin
INSTALLED := .venv/.installed
# As many as the cores that the time of `make test` is held to: with more of them tests that measure time get too little.
WORKERS := 2
SOURCES := shared/src shared/scripts services/screening/src services/routing/src services/referral/src \
	services/measurement/src tests
# More for pytest: make test ARGS="-k safety -x"
ARGS ?=

.PHONY: help run test rows check chaos fuzz lint types imports openapi site migrate bench lock clean

help: ## show this list
	@echo "make TARGET, where TARGET is one of"
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-11s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: $(INSTALLED) ## start the four services on an embedded PostgreSQL and play one patient's journey
	@$(BIN)/stepwell run || [ $$? -eq 130 ]

test: lint types imports ## everything that needs only pip packages, on real PostgreSQL
	@$(BIN)/pytest -q -n $(WORKERS) --ignore tests/external $(ARGS)

rows: $(INSTALLED) ## the FHIR checklist as a table with its tests; ROWS=owasp, asvs, threats or hazards for another
	@$(BIN)/python -m pytest -q -n $(WORKERS) -p tests.support.rows --ignore tests/external $(ARGS)

check: $(INSTALLED) ## what needs npm, Maven or Debian packages: clients, browsers, databases, images, manifests, conformance
	@$(BIN)/python -m tests.external

clients: $(INSTALLED) ## FHIR clients of npm and PyPI at the four services, and their validators on what we emit
	@$(BIN)/python -m tests.external clients opinions

browser: $(INSTALLED) ## forms, worklist, dashboards and reference in headless Chromium, held to WCAG by axe; BROWSER_PICTURES=folder
	@$(BIN)/python -m tests.external browser worklist dashboards reference

conformance: $(INSTALLED) ## the HL7 validator on everything that we define or emit
	@$(BIN)/python -m tests.external conformance

chaos: $(INSTALLED) ## 10,000 submissions while everything is killed, CHAOS_SUBMISSIONS=10000, CHAOS_SEED=1, CHAOS_KILLS=0
	@$(BIN)/python -m tests.chaos
	@OVERLOAD_SCALE=$${OVERLOAD_SCALE:-1} $(BIN)/pytest -q -s tests/overload

fuzz: $(INSTALLED) ## requests made up from the OpenAPI documents, FUZZ_SECONDS=600 for each service, FUZZ_SEED=1
	@FUZZ_SECONDS=$${FUZZ_SECONDS:-600} $(BIN)/pytest -q tests/schema $(ARGS)

lint: $(INSTALLED) ## style and formatting
	@$(BIN)/ruff check --quiet .
	@$(BIN)/ruff format --quiet --check . || { echo "Run $(BIN)/ruff format ." >&2; exit 1; }

types: $(INSTALLED) ## mypy --strict
	@$(BIN)/mypy --no-error-summary $(SOURCES)

imports: $(INSTALLED) ## the import directions of .importlinter
	@$(BIN)/lint-imports --no-logo >.venv/imports.log 2>&1 || { cat .venv/imports.log; exit 1; }

openapi: $(INSTALLED) ## write openapi/<service>.yaml and openapi/collections from the code
	@$(BIN)/stepwell openapi

site: $(INSTALLED) ## the documentation as pages for a browser, in build/site
	@$(BIN)/mkdocs build --quiet

migrate: $(INSTALLED) ## bring the databases to the newest schema
	@$(BIN)/stepwell migrate

bench: $(INSTALLED) ## ratios to the PostgreSQL floor; BENCH=engine, locks, telemetry, job, events, all or measures, BENCH_ROWS=1000000
	@$(BIN)/python -m tests.bench

lock: $(INSTALLED) ## pin the newest versions of all dependencies, with hashes, in requirements.lock
	@$(BIN)/uv pip compile --quiet --upgrade --universal --generate-hashes --no-header --no-annotate \
		--python-version 3.11 --no-emit-package stepwell-shared --no-emit-package stepwell-screening \
		--no-emit-package stepwell-routing --no-emit-package stepwell-referral \
		--no-emit-package stepwell-measurement pyproject.toml --group dev --output-file requirements.lock
	@$(BIN)/uv pip compile --quiet --upgrade --universal --generate-hashes --no-header --no-annotate \
		--python-version 3.11 tests/clients/python/requirements.in --output-file tests/clients/python/requirements.lock
	@$(BIN)/uv pip compile --quiet --upgrade --universal --generate-hashes --no-header --no-annotate \
		--python-version 3.11 tests/external/spark/requirements.in --output-file tests/external/spark/requirements.lock
	@$(BIN)/uv pip compile --quiet --upgrade --universal --generate-hashes --no-header --no-annotate \
		--python-version 3.11 tests/external/supply/requirements.in --output-file tests/external/supply/requirements.lock
	@$(BIN)/uv pip compile --quiet --upgrade --universal --generate-hashes --no-header --no-annotate \
		--python-version 3.11 tests/external/kubernetes/requirements.in \
		--output-file tests/external/kubernetes/requirements.lock
	@$(BIN)/uv pip compile --quiet --upgrade --universal --generate-hashes --no-header --no-annotate \
		--python-version 3.11 tests/external/cluster/requirements.in --output-file tests/external/cluster/requirements.lock
	@$(BIN)/uv pip compile --quiet --upgrade --universal --generate-hashes --no-header --no-annotate \
		--python-version 3.11 tests/external/patroni/requirements.in \
		--output-file tests/external/patroni/requirements.lock
	@$(MAKE) $(INSTALLED)

clean: ## remove the virtual environment, caches and build output; data in .stepwell stays
	@rm -rf .venv build .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis .schemathesis
	@rm -rf tests/external/hl7-validator/target tests/clients/node/node_modules tests/browser/node/node_modules
	@rm -rf tests/external/postgresql/node_modules
	@find shared services tests -name __pycache__ -type d -prune -exec rm -rf {} +

$(INSTALLED): requirements.lock pyproject.toml shared/pyproject.toml $(wildcard services/*/pyproject.toml) \
		shared/scripts/bootstrap.sh shared/scripts/uv.txt
	@shared/scripts/bootstrap.sh
	@touch $@
