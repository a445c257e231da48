#!/usr/bin/env bash
# Installs Chromium for the browser tests where that is possible, and says why not where it is not. Never fails.
set -uo pipefail

skip() {
  printf 'Browser tests will be skipped: %s\n' "$1" >&2
  exit 0
}

for name in chromium chromium-browser google-chrome google-chrome-stable; do
  if command -v "$name" >/dev/null; then exit 0; fi
done
[ "$(uname -s)" = Linux ] && command -v apt-get >/dev/null ||
  skip "no Chromium on PATH, and no apt-get to install it with. Install Chromium by hand."
[ "$(id -u)" -eq 0 ] ||
  skip "no Chromium on PATH, and only root can install it. Run as root: apt-get install --no-install-recommends chromium"

log=$(mktemp) || skip "no room for a temporary file."
trap 'rm -f "$log"' EXIT
started=$SECONDS
printf 'Installing Chromium for the browser tests (200 MB, under a minute) ...\n' >&2
export DEBIAN_FRONTEND=noninteractive
options=(-o DPkg::Lock::Timeout=120 -o Acquire::Retries=2 -o Acquire::http::Timeout=30 -o Acquire::https::Timeout=30)
if ! { apt-get "${options[@]}" update && apt-get "${options[@]}" install -y --no-install-recommends chromium; } >"$log" 2>&1; then
  tail -n 5 "$log" >&2
  skip "apt-get could not install Chromium (its last lines are above)."
fi
printf 'Chromium installed in %d s\n' $((SECONDS - started)) >&2
