"""Fixtures that the whole suite shares: the built replica, and nodes that run on it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import pytest

from keeper.config import load_settings
from keeper.replica.build import ensure_state, start_anvil
from keeper.replica.rpc import Rpc
from keeper.replica.state import ReplicaState

Result = TypeVar("Result")
ANSWER_TIMEOUT = 300.0


class BackgroundLoop:
    """An event loop in a thread of its own, so that plain tests can use what is asynchronous."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="fixtures", daemon=True)
        self._thread.start()

    def run(self, work: Coroutine[Any, Any, Result]) -> Result:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(ANSWER_TIMEOUT)

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


@dataclass(frozen=True, slots=True)
class RunningReplica:
    """A node that runs on the replica's state; every sender is impersonated and each transaction is mined at once.

    Attributes:
        pools: the V2- and V3-type pools, as in the state's ``pools.json``.
        tokens: token by symbol, as in ``tokens.json``.
    """

    http_url: str
    ws_url: str
    state: ReplicaState
    pools: list[dict[str, Any]]
    tokens: dict[str, dict[str, Any]]
    background: BackgroundLoop
    client: Rpc

    def rpc(self, method: str, *params: Any) -> Any:
        """The result of one JSON-RPC request."""
        return self.background.run(self.client(method, *params))


@pytest.fixture(scope="session")
def background() -> Iterator[BackgroundLoop]:
    loop = BackgroundLoop()
    yield loop
    loop.close()


@pytest.fixture(scope="session")
def replica_state(background: BackgroundLoop) -> ReplicaState:
    """The replica's cached state; built on first use, which takes up to a minute."""
    return background.run(ensure_state(load_settings().home))


@contextmanager
def running_replica(state: ReplicaState, background: BackgroundLoop, log_dir: Path) -> Iterator[RunningReplica]:
    node = background.run(start_anvil(state, log_dir=log_dir))
    client = Rpc(node.http_url)
    try:
        tokens = {token["symbol"]: token for token in state.tokens()}
        yield RunningReplica(node.http_url, node.ws_url, state, state.pools(), tokens, background, client)
    finally:
        background.run(client.close())
        background.run(node.stop())


@pytest.fixture(scope="module")
def replica(
    replica_state: ReplicaState, background: BackgroundLoop, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RunningReplica]:
    """A node that the tests of one module share."""
    with running_replica(replica_state, background, tmp_path_factory.mktemp("replica")) as running:
        yield running


@pytest.fixture
def fresh_replica(replica_state: ReplicaState, background: BackgroundLoop, tmp_path: Path) -> Iterator[RunningReplica]:
    """A node of the test's own."""
    with running_replica(replica_state, background, tmp_path / "replica") as running:
        yield running
