# The front door: `make help`. ARGS goes through to the command: make run ARGS="--blocks 30 --seed 7 --json"
SHELL := bash
ENVIRONMENT := . toolchain/env.sh
.DEFAULT_GOAL := help
.PHONY: help setup run test lint bench-gas bench-loans mutants differential audit doctor kernels exact-search bench-search bench-book exactness lock clean

help: ## list the targets
	@printf 'make TARGET [ARGS="..."]\n\n'
	@while IFS= read -r line; do \
	  [[ $$line =~ ^([a-z-]+):.*'## '(.*)$$ ]] && printf '  %-12s %s\n' "$${BASH_REMATCH[1]}" "$${BASH_REMATCH[2]}"; \
	done < Makefile; true

setup: ## install everything into this checkout; quick when nothing changed, goes on where it was interrupted
	@bash toolchain/bootstrap.sh

run: setup ## run the keeper until Ctrl-C; ARGS="--help" lists its options
	@exec .venv/bin/keeper run $(ARGS)

test: setup ## run all checks and tests; ARGS goes to pytest
	@bash toolchain/browser.sh
	@bash toolchain/audit.sh || printf 'slither and halmos could not be installed: their tests will be skipped.\n' >&2
	@exec bash toolchain/test.sh $(ARGS)

lint: setup ## run only the checks of style, types and imports
	@exec bash toolchain/test.sh --lint-only

bench-gas: setup ## gas of the executor above the bare pool calls, beside others; ARGS="--renew" writes the snapshot anew
	@exec .venv/bin/python -m benchmarks.gas $(ARGS)

bench-loans: setup ## gas of every source of financing over the executor's own balance; ARGS="--json"
	@exec .venv/bin/python -m benchmarks.loans $(ARGS)

mutants: setup ## plant bugs in executor and adapter and list what notices each; fails if one survives
	@exec .venv/bin/python -m tests.contracts.hunt $(ARGS)

differential: setup ## run 100,000 random streams on the executor and compare with the codec; ARGS="--json --streams 5000"
	@exec .venv/bin/python -m tests.contracts.security.differential $(ARGS)

audit: setup ## slither and halmos on the executor, installed on first use; ARGS="--json"
	@exec .venv/bin/python -m tests.contracts.security.audit $(ARGS)

doctor: setup ## check every component and say how to mend what is wrong
	@exec .venv/bin/keeper doctor $(ARGS)

kernels: setup ## compile the search's kernels ahead of the first start
	@exec .venv/bin/python -m keeper.discovery.search.compiled

exact-search: setup ## ask the search's compiled integers and the pools' own 200,000 times; they must agree
	@ORION_EXACT_POOLS=4400 exec .venv/bin/python -m pytest -p no:ape_test -q tests/discovery/test_search_exact.py

bench-search: setup ## time the loop search beside others; ARGS="--json", ARGS="--help"
	@$(ENVIRONMENT) && exec .venv/bin/python -m benchmarks.search $(ARGS)

bench-book: setup ## memory, start and speed of the book with 100,000 pools; ARGS="--json", ARGS="--pools N"
	@$(ENVIRONMENT) && exec .venv/bin/python -m benchmarks.book $(ARGS)

exactness: setup ## compare many random swaps of each venue with the deployed contracts; ARGS="--swaps 1000", ARGS="--help"
	@$(ENVIRONMENT) && exec .venv/bin/python -m tests.market.long_exactness $(ARGS)

lock: setup ## resolve the dependencies anew; rewrites the lock files in toolchain/
	@bash toolchain/lock.sh

clean: ## remove what was installed and built; the ledger in .orion/state stays
	rm -rf .venv toolchain/node_modules .orion/cache .orion/ape .orion/solcx .orion/logs .orion/run .build \
	  .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
