# The environment of every command of this project. Source it: `. toolchain/env.sh`. Nothing is installed here.
# shellcheck shell=bash
ORION_CHECKOUT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
export ORION_CHECKOUT
case ":$PATH:" in *":$ORION_CHECKOUT/.venv/bin:"*) ;; *) export PATH="$ORION_CHECKOUT/.venv/bin:$PATH" ;; esac

export SOLCX_BINARY_PATH="$ORION_CHECKOUT/.orion/solcx" # py-solc-x: compilers are found here, not downloaded
export APE_DATA_FOLDER="$ORION_CHECKOUT/.orion/ape"     # not ~/.ape: other projects' settings stay out
export NUMBA_CACHE_DIR="$ORION_CHECKOUT/.orion/cache/numba"
export GRADIO_ANALYTICS_ENABLED=False
export HF_HUB_DISABLE_TELEMETRY=1
if [ -z "${XDG_RUNTIME_DIR:-}" ]; then # platformdirs warns at every import without it
  export XDG_RUNTIME_DIR="$ORION_CHECKOUT/.orion/run"
fi
export UV_SYSTEM_CERTS=1 NODE_USE_SYSTEM_CA=1 # downloads trust what the machine trusts, a company's proxy for example
unset PYTHONPATH PYTHONHOME # the checkout is on the path of .venv; nothing else belongs there
