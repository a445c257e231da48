"""Runs anvil, the local Ethereum node, as a child process."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path
from types import TracebackType
from typing import Self

from keeper.domain.errors import ComponentError
from keeper.embedded.process import ManagedProcess, free_port
from keeper.replica.rpc import Rpc

CHAIN_ID = 1
START_TIMEOUT = 60.0
ACCOUNTS = 20
ACCOUNT_BALANCE_ETHER = 1_000_000
BLOCK_GAS_LIMIT = 60_000_000
HARDFORK = "osaka"


def find_anvil() -> str:
    """Path of the native binary, beside this Python or on PATH."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
    found = shutil.which("anvil", path=path)
    if found is None:
        raise ComponentError("anvil", "it is neither in .venv nor on PATH", "Run `make setup`.")
    return found


class Anvil:
    """One node on loopback with chain id 1 that signs for every sender.

    Args:
        timestamp: Unix time of the first block; later ones follow the wall clock at that distance.
        number: number of the first block, for a chain without a state.
        load_state: state file to start from.
        automine: mine each transaction at once; otherwise nothing is mined before ``evm_mine``.
        block_time: mine every so many seconds instead; fractions are allowed.
        port: 0 takes a free one.
    """

    def __init__(
        self,
        *,
        log_dir: Path,
        timestamp: int,
        number: int | None = None,
        load_state: Path | None = None,
        automine: bool = True,
        block_time: float | None = None,
        port: int = 0,
        name: str = "anvil",
    ) -> None:
        self.port = port or free_port()
        argv = [
            find_anvil(),
            *("--host", "127.0.0.1", "--port", str(self.port), "--chain-id", str(CHAIN_ID)),
            *("--hardfork", HARDFORK, "--auto-impersonate", "--order", "fifo", "--timestamp", str(timestamp)),
            *("--accounts", str(ACCOUNTS), "--balance", str(ACCOUNT_BALANCE_ETHER)),
            *("--gas-limit", str(BLOCK_GAS_LIMIT)),
        ]
        if number is not None:
            argv += ["--number", str(number)]
        if load_state is not None:
            argv += ["--load-state", str(load_state)]
        if block_time is not None:
            argv += ["--block-time", f"{block_time:g}"]
        elif not automine:
            argv += ["--no-mining"]
        # anvil writes old states to disk, by default below the user's home, and leaves them there when it is killed
        self._states = log_dir / f"{name}-states-{self.port}"
        argv += ["--cache-path", str(self._states)]
        self._process = ManagedProcess(name, argv, log_dir=log_dir)

    @property
    def http_url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def ws_url(self) -> str:
        return f"ws://127.0.0.1:{self.port}"

    @property
    def process(self) -> ManagedProcess:
        return self._process

    async def start(self) -> None:
        """Start and wait until it answers; `ComponentError` with the end of its log when it does not."""
        await self._process.start()
        try:
            async with Rpc(self.http_url) as rpc:

                async def answers() -> bool:
                    try:
                        return int(await rpc("eth_chainId"), 16) == CHAIN_ID
                    except ComponentError:
                        return False

                await self._process.wait_ready(answers, START_TIMEOUT)
        except BaseException:
            await self._process.stop()
            raise

    async def stop(self) -> None:
        await self._process.stop()
        shutil.rmtree(self._states, ignore_errors=True)

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()
