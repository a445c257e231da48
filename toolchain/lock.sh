#!/usr/bin/env bash
# Rewrites the lock files from pyproject.toml, uv.requirements.lock and package.json. No file names a registry's host.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
. toolchain/env.sh
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

# The present pins are the starting point, so that only what pyproject.toml asks for moves; UPGRADE=1 moves everything.
uv pip compile --quiet --universal --generate-hashes --no-annotate --no-header --python-version 3.11 --group dev \
  ${UPGRADE:+--upgrade} --output-file toolchain/requirements.lock pyproject.toml

release=$(sed -n 's/^uv==\([^ ]*\).*/\1/p' toolchain/uv.requirements.lock)
printf 'uv==%s\n' "$release" >"$scratch/uv.in"
uv pip compile --quiet --universal --generate-hashes --no-annotate --no-header \
  --output-file toolchain/uv.requirements.lock "$scratch/uv.in"

(cd toolchain && ../.venv/bin/npm install --package-lock-only --silent)

if grep -nE '"resolved"|index-url|\.(tgz|whl)' toolchain/*.lock toolchain/package-lock.json; then
  printf 'A lock file names the host of a registry (above): do not commit it.\n' >&2
  exit 1
fi
