#!/usr/bin/env bash
# All checks and tests in turn, quick ones first; stops at the first failure and says how to see it again.
# Arguments go to the unit tests: `make test ARGS="-k treasury"`.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
. toolchain/env.sh

UNIT=(.venv/bin/python -m pytest -p no:ape_test --ignore=tests/fork --ignore=tests/browser --durations=10)
# apart from the others: Playwright keeps an event loop running in the thread of the tests
BROWSER=(.venv/bin/python -m pytest -p no:ape_test tests/browser)
FORK=(.venv/bin/python -m tests.fork)
summary=()

stage() { # NAME COMMAND...
  local name=$1 started=$SECONDS status
  shift
  printf '\n== %s\n' "$name"
  "$@"
  status=$?
  if [ "$status" -ne 0 ]; then
    printf '\n%s failed (status %d, %d s). To see it again:\n  . toolchain/env.sh && %s\n' \
      "$name" "$status" $((SECONDS - started)) "$*" >&2
    exit "$status"
  fi
  summary+=("$(printf '%5d s  %s' $((SECONDS - started)) "$name")")
}

stage "ruff: rules" .venv/bin/ruff check .
stage "ruff: format" .venv/bin/ruff format --check .
stage "mypy" .venv/bin/mypy
stage "import-linter" .venv/bin/lint-imports
[ "${1:-}" = --lint-only ] && exit
stage "pytest" "${UNIT[@]}" "$@"
stage "pytest in the browser" "${BROWSER[@]}" "$@"
if [ -d tests/fork ]; then stage "ape test" "${FORK[@]}"; fi
printf '\nAll passed:\n'
printf '%s\n' "${summary[@]}"
