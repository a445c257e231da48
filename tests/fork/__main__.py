"""Runs the fork tests in one command: `python -m tests.fork [arguments of ape test]`.

The fork's upstream is the operator's node when ORION_FORK_RPC names one, else a replica that is started for it.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from keeper.config import CHECKOUT, load_settings
from keeper.replica.build import ensure_state, start_anvil

COMMAND = (
    *("test", "tests/fork", "--network", "ethereum:mainnet-fork:foundry"),
    # ape imports itself before pytest can, and leaves sockets to the garbage collector; other warnings are errors
    *("-W", "ignore:Module already imported so cannot be rewritten:pytest.PytestAssertRewriteWarning"),
    *("-W", "ignore:Exception ignored in:pytest.PytestUnraisableExceptionWarning"),
)


def ape_test(arguments: list[str], environment: Mapping[str, str]) -> int:
    ape = Path(sys.executable).with_name("ape")
    return subprocess.run([str(ape), *COMMAND, *arguments], cwd=CHECKOUT, env=environment, check=False).returncode


async def on_replica(arguments: list[str]) -> int:
    home = load_settings().home
    node = await start_anvil(await ensure_state(home), log_dir=home / "logs", name=f"anvil-fork-{os.getpid()}")
    try:
        environment = {**os.environ, "ORION_FORK_RPC": node.http_url}
        return await asyncio.to_thread(ape_test, arguments, environment)
    finally:
        await node.stop()


def main() -> int:
    arguments = sys.argv[1:]
    if os.environ.get("ORION_FORK_RPC"):
        return ape_test(arguments, os.environ)
    return asyncio.run(on_replica(arguments))


if __name__ == "__main__":
    sys.exit(main())
