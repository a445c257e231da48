"""A node on the replica's state, for commands that are no tests."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from keeper.config import load_settings
from keeper.replica.build import ensure_state, start_anvil
from keeper.replica.rpc import Rpc
from tests.conftest import BackgroundLoop, RunningReplica


@contextmanager
def running_replica() -> Iterator[RunningReplica]:
    """Build or load the state, run a node on it, and stop the node at the end."""
    background = BackgroundLoop()
    try:
        state = background.run(ensure_state(load_settings().home))
        with tempfile.TemporaryDirectory() as logs:
            anvil = background.run(start_anvil(state, log_dir=Path(logs)))
            client = Rpc(anvil.http_url)
            try:
                tokens = {token["symbol"]: token for token in state.tokens()}
                yield RunningReplica(anvil.http_url, anvil.ws_url, state, state.pools(), tokens, background, client)
            finally:
                background.run(client.close())
                background.run(anvil.stop())
    finally:
        background.close()
