# Every command sets up what it needs: Debian packages (packages.txt), .venv with the locked dependencies.
.DEFAULT_GOAL := help
.PHONY: agent-packages help demo test check lint fmt docs lock migration clean environment
RUN := .venv/bin

help: ## This list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-15s %s\n", $$1, $$2 }' Makefile

environment:
	@.ci/environment

demo: ## Start the platform and the eight business systems on this machine
	@.ci/packages demo
	@.ci/environment
	@exec $(RUN)/python -m demo

test: ## Every test, on SQLite and PostgreSQL, and the story in a browser
	@.ci/packages test
	@.ci/environment
	@exec $(RUN)/pytest -n auto --dist worksteal

check: lint ## Style, types, import contracts and the quick tests on SQLite, in less than a minute
	@exec $(RUN)/pytest -n auto -m "not slow and not browser" -k "not postgresql"

lint: environment ## The part of `check` without tests
	@$(RUN)/ruff check --output-format concise .
	@$(RUN)/ruff format --check --quiet .
	@$(RUN)/mypy
	@$(RUN)/lint-imports --no-logo

fmt: environment ## Format and mend what ruff can
	@$(RUN)/ruff format .
	@$(RUN)/ruff check --fix --output-format concise .

docs: environment ## Write the generated pages of docs/ again: settings, compliance, audit events
	@for page in settings compliance audit_events; do $(RUN)/python -m docs.make_$$page || exit 1; done

LOCK = .state/uv/bin/uv pip compile --quiet --generate-hashes --no-header --no-annotate --no-emit-index-url $(UPGRADE) pyproject.toml
lock: environment ## Lock the dependencies again; UPGRADE=--upgrade takes newer ones where pyproject.toml allows
	@test -x .state/uv/bin/uv || $(RUN)/python -m venv .state/uv
	@.state/uv/bin/pip install -q --disable-pip-version-check --require-hashes -r requirements/uv.txt
	@for extra in agent clients server; do $(LOCK) --extra $$extra -o requirements/$$extra.txt || exit 1; done
	@$(LOCK) --extra server --extra agent --extra clients --extra dev -o requirements/dev.txt
	@$(LOCK) --extra packaging -o requirements/packaging.txt
	@$(LOCK) --extra packaging --extra agent --python-platform windows -o packaging/windows/requirements.txt

# an empty database at the newest revision is compared with the models; its secret opens nothing
SCRATCH = IDP_DATA_DIR=.state/migration IDP_DATABASE_URL= IDP_SECRET_KEY=$$($(RUN)/python -c 'import secrets; print(secrets.token_urlsafe(32))')
migration: environment ## Write a revision for what the models changed; m="what it does"
	@test -n "$(m)" || { echo 'usage: make migration m="what it does"'; exit 2; }
	@rm -rf .state/migration
	@$(SCRATCH) $(RUN)/idp db upgrade
	@$(SCRATCH) $(RUN)/idp db migrate -m "$(m)" --rev-id $$(printf %04d $$(($$(ls idp/migrations/versions | grep -c '\.py$$') + 1)))
	@$(RUN)/ruff format --quiet idp/migrations/versions

agent-packages: environment ## The e-key driver for this kind of Linux, into dist/; ORIGINS="https://sso.example.cn"
	@packaging/build

clean: ## Remove .venv, the demo's data and everything made by tools
	@rm -rf .venv .state artefacts build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
