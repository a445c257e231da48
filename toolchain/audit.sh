#!/usr/bin/env bash
# Installs slither and halmos into .orion/tools/audit unless they are there already; quick when nothing changed.
# To move their pins: edit audit.requirements.in and run this with `--lock`.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
. toolchain/env.sh
LOCK=toolchain/audit.requirements.lock
FOLDER=.orion/tools/audit

if [ "${1:-}" = --lock ]; then
  uv pip compile --quiet --universal --generate-hashes --no-annotate --no-header --python-version 3.11 \
    --output-file "$LOCK" toolchain/audit.requirements.in
fi

key=$(cksum <"$LOCK")
if [ -x "$FOLDER/bin/halmos" ] && [ -f "$FOLDER/.stamp" ] && [ "$(<"$FOLDER/.stamp")" = "$key" ]; then exit 0; fi
started=$SECONDS
printf 'Installing slither and halmos (240 MB) ...\n' >&2
mkdir -p "$(dirname "$FOLDER")"
rm -f "$FOLDER/.stamp"
uv venv --quiet --clear --python .venv/bin/python "$FOLDER"
UV_HTTP_TIMEOUT="${UV_HTTP_TIMEOUT:-120}" uv pip install --quiet --python "$FOLDER/bin/python" --no-deps \
  --require-hashes -r "$LOCK"
printf '%s\n' "$key" >"$FOLDER/.stamp"
printf 'slither and halmos installed in %d s\n' $((SECONDS - started)) >&2
