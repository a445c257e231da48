"""Paper trading on a network that is not the replica: plans are proven and recorded, nothing is signed or sent."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from keeper.config import load_settings
from keeper.replica.build import start_anvil
from keeper.replica.rpc import Rpc
from keeper.replica.session import ensure_deployed
from tests.conftest import BackgroundLoop, RunningReplica
from tests.contracts.site import WETH, Site
from tests.fault.keeper_process import KeeperProcess
from tests.fault.test_runs import read_ledger
from tests.homes import open_home


@pytest.fixture
def chain(background: BackgroundLoop, tmp_path: Path) -> Any:
    """A node that knows nothing of the keeper, with the executor on it and a block every second."""
    deployed, deployment = background.run(ensure_deployed(load_settings().home))
    node = background.run(start_anvil(deployed, log_dir=tmp_path, block_time=1))
    client = Rpc(node.http_url)
    tokens = {token["symbol"]: token for token in deployed.tokens()}
    try:
        yield (
            RunningReplica(node.http_url, node.ws_url, deployed, deployed.pools(), tokens, background, client),
            deployment,
        )
    finally:
        background.run(client.close())
        background.run(node.stop())


def test_nothing_is_sent_and_everything_is_recorded(chain: Any, background: BackgroundLoop) -> None:
    node, deployment = chain
    site = Site(node, deployment.executor)
    moved = next(pool for pool in node.pools if pool["dex"] == "sushiswap" and pool["token1"] == WETH)
    site.cheapen(moved, WETH, site.balance(WETH, moved["address"]) // 20)
    before = node.rpc("eth_getTransactionCount", deployment.operator, "latest"), site.balance(WETH, deployment.executor)

    with open_home() as home:
        with KeeperProcess(
            home,
            *("--network", "ethereum:mainnet", "--blocks", "2"),
            ORION_RPC_URL=node.http_url,
            ORION_WS_URL=node.ws_url,
            ORION_EXECUTOR=deployment.executor,
            ORION_POOLS_FILE=str(node.state.pools_path),
        ) as keeper:
            status, summary = keeper.finish()
            assert status == 0, "\n".join(keeper.lines)
        fates = dict(read_ledger(home, background, "SELECT reason, count(*) FROM opportunity_fates GROUP BY reason"))
        trades = read_ledger(home, background, "SELECT count(*) FROM trades")

    assert summary is not None
    assert summary["opportunities"] > 0
    assert (summary["submitted"], summary["landed"]) == (0, 0)
    assert fates["paper_mode"] > 0
    assert trades == [(0,)]
    after = node.rpc("eth_getTransactionCount", deployment.operator, "latest"), site.balance(WETH, deployment.executor)
    assert after == before
    assert node.rpc("txpool_status") == {"pending": "0x0", "queued": "0x0"}
