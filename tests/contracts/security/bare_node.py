"""A node with an empty chain, for what needs no pool but those that it plays itself; faster than the replica."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from keeper.replica.anvil import Anvil
from keeper.replica.rpc import Rpc
from tests.conftest import BackgroundLoop

TIMESTAMP = 1_750_000_000
FIRST_BLOCK = 1_000
"""Some blocks of a stream's last block are over, some are to come."""


@dataclass(frozen=True)
class BareNode:
    """Has no pools of the replica."""

    background: BackgroundLoop
    client: Rpc
    pools: list[dict[str, Any]]

    def rpc(self, method: str, *params: Any) -> Any:
        return self.background.run(self.client(method, *params))


@contextmanager
def bare_node() -> Iterator[BareNode]:
    background = BackgroundLoop()
    try:
        with tempfile.TemporaryDirectory() as logs:
            anvil = Anvil(log_dir=Path(logs), timestamp=TIMESTAMP, number=FIRST_BLOCK)
            background.run(anvil.start())
            client = Rpc(anvil.http_url)
            try:
                yield BareNode(background, client, [])
            finally:
                background.run(client.close())
                background.run(anvil.stop())
    finally:
        background.close()
