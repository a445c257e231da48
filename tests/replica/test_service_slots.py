"""The slot loop: repeatable, paced by the keeper, with public transactions in sight before they are mined."""

from __future__ import annotations

import asyncio
import json
import stat
import sys
from pathlib import Path

import httpx
import pytest
import websockets

from keeper.domain.errors import ComponentError, InputError
from keeper.embedded.process import ManagedProcess
from keeper.replica.build import start_anvil
from keeper.replica.control import ReplicaControl
from keeper.replica.pool_state import load_market, tradable_pools
from keeper.replica.state import ReplicaState
from tests.replica.live_setup import Live, live
from tests.replica.relay_setup import ALICE, tx

BOUND = 30.0


async def _mined(here: Live, number: int) -> None:
    async with asyncio.timeout(BOUND), websockets.connect(here.anvil.ws_url) as socket:
        await socket.send(json.dumps({"jsonrpc": "2.0", "id": 1, "method": "eth_subscribe", "params": ["newHeads"]}))
        while await here.head() < number:
            await socket.recv()


async def test_same_seed_same_blocks(replica_state: ReplicaState, tmp_path: Path) -> None:
    chains = []
    for run, seed in enumerate((7, 7, 8)):
        async with live(replica_state, tmp_path / str(run), seed=seed, rival=True) as here:
            first = await here.head() + 1
            await here.service.run(5)
            chains.append(await here.hashes(first, 5))
    assert chains[0] == chains[1]
    assert len(set(chains[0])) == 5
    assert chains[0][0] != chains[2][0]


async def test_paced_blocks_wait_for_the_keeper(replica_state: ReplicaState, tmp_path: Path) -> None:
    """Public transactions are announced first, land in the block that follows, and no block comes unasked."""
    announced: set[str] = set()

    async def listen(socket: websockets.ClientConnection) -> None:
        async for message in socket:
            announced.add(json.loads(message)["params"]["result"])

    async with live(replica_state, tmp_path, paced=True) as here, websockets.connect(here.anvil.ws_url) as socket:
        request = {"jsonrpc": "2.0", "id": 1, "method": "eth_subscribe", "params": ["newPendingTransactions"]}
        await socket.send(json.dumps(request))
        await socket.recv()
        listening = asyncio.create_task(listen(socket))
        start = await here.head()
        running = asyncio.create_task(here.service.run(3))
        for parent in range(start, start + 3):
            async with asyncio.timeout(BOUND):
                while not (seen := await _pool(here) & announced):
                    pass
            assert await here.head() == parent
            await here.control.advance(parent)
            await _mined(here, parent + 1)
            block = await here.rpc("eth_getBlockByNumber", hex(parent + 1), False)
            assert seen <= set(block["transactions"])
            assert len(block["transactions"]) > len(seen)  # private order flow and filler came on top
        await asyncio.wait_for(running, BOUND)
        listening.cancel()


async def _pool(here: Live) -> set[str]:
    content = await here.rpc("txpool_content")
    return {tx["hash"] for by_nonce in content["pending"].values() for tx in by_nonce.values()}


async def test_a_silent_keeper_ends_a_paced_run_with_a_clear_error(replica_state: ReplicaState, tmp_path: Path) -> None:
    async with live(replica_state, tmp_path, paced=True, pace_timeout=0.2) as here:
        start = await here.head()
        with pytest.raises(ComponentError, match=f"did not finish with block {start} within 0.2 s"):
            await here.service.run()
        status = await here.control.status()
        assert status.phase == "failed"
        assert str(start) in status.problem
        assert await here.head() == start


async def test_set_up_phase_mines_what_is_sent_and_nothing_else(replica_state: ReplicaState, tmp_path: Path) -> None:
    async with live(replica_state, tmp_path, setup=True, paced=True) as here:
        start = await here.head()
        running = asyncio.create_task(here.service.run(1))
        for step in range(2):
            sent = await here.rpc("eth_sendTransaction", {"from": ALICE.address, "data": "0x6001600055"})
            await _mined(here, start + step + 1)
            assert (await here.rpc("eth_getTransactionReceipt", sent))["status"] == "0x1"
        assert (await here.control.status()).phase == "setup"
        await here.control.resume()
        await here.control.advance(start + 2)
        await asyncio.wait_for(running, BOUND)
        status = await here.control.status()
        assert (status.phase, status.block) == ("running", start + 3)
        assert status.traffic_sent > 0


async def test_paused_replica_keeps_what_is_sent_for_the_next_block(
    replica_state: ReplicaState, tmp_path: Path
) -> None:
    async with live(replica_state, tmp_path) as here:
        await here.service.run(1)
        await here.control.pause()
        running = asyncio.create_task(here.service.run(1))
        sent = tx(ALICE, int(await here.rpc("eth_getTransactionCount", ALICE.address, "latest"), 16), ALICE.address)
        await here.rpc("eth_sendRawTransaction", sent.raw_hex)
        head = await here.head()
        assert (await here.control.status()).phase == "paused"
        await here.control.resume()
        await asyncio.wait_for(running, BOUND)
        receipt = await here.rpc("eth_getTransactionReceipt", sent.hash)
        assert int(receipt["blockNumber"], 16) == head + 1


async def test_private_transactions_land_without_having_been_public(
    replica_state: ReplicaState, tmp_path: Path
) -> None:
    async with live(replica_state, tmp_path) as here:
        nonce = int(await here.rpc("eth_getTransactionCount", ALICE.address, "latest"), 16)
        sent = tx(ALICE, nonce, ALICE.address)
        here.service.take_private(sent, None)
        assert (await here.rpc("txpool_status"))["pending"] == "0x0"
        await here.service.run(1)
        assert (await here.rpc("eth_getTransactionReceipt", sent.hash))["status"] == "0x1"


async def test_control_needs_its_token_and_sensible_blocks(replica_state: ReplicaState, tmp_path: Path) -> None:
    async with live(replica_state, tmp_path, seed=3, rival=True) as here:
        async with ReplicaControl(here.service.control_url, "guess") as stranger:
            with pytest.raises(ComponentError, match="token"):
                await stranger.status()
        async with httpx.AsyncClient(trust_env=False) as http:
            bare = await http.post(here.service.control_url, json={"method": "pause"})
        assert bare.status_code == 401
        head = await here.head()
        with pytest.raises(ComponentError, match=f"newest block is {head}"):
            await here.control.advance(head + 2)
        with pytest.raises(ComponentError, match="params"):
            await here.control.advance("7")  # type: ignore[arg-type]
        status = await here.control.status()
        assert (status.seed, status.rival, status.block, status.phase) == (3, True, head, "running")


async def test_a_dead_node_is_one_clear_error(replica_state: ReplicaState, tmp_path: Path) -> None:
    async with live(replica_state, tmp_path) as here:
        await here.anvil.stop()
        with pytest.raises(ComponentError, match="node"):
            await here.service.run()
        assert (await here.control.status()).phase == "failed"


async def test_as_a_process(replica_state: ReplicaState, tmp_path: Path) -> None:
    anvil = await start_anvil(replica_state, log_dir=tmp_path, automine=False)
    ready = tmp_path / "run" / "replica.json"
    argv = [sys.executable, "-m", "keeper.replica.service", "--rpc-url", anvil.http_url, "--seed", "7"]
    argv += ["--pools", str(replica_state.pools_path), "--tokens", str(replica_state.tokens_path)]
    argv += ["--block-time", "0", "--ready-file", str(ready), "--paced"]
    process = ManagedProcess("service", argv, log_dir=tmp_path)
    try:
        await process.start()

        async def written() -> bool:
            return ready.exists()

        await process.wait_ready(written, BOUND)
        assert stat.S_IMODE(ready.stat().st_mode) == 0o600
        found = json.loads(ready.read_bytes())
        async with ReplicaControl(found["control_url"], found["token"]) as control:
            status = await control.status()
            await control.advance(status.block)
            async with asyncio.timeout(BOUND):
                while (await control.status()).block == status.block:
                    pass
        assert found["relay_url"].startswith("http://127.0.0.1:")
        assert found["token"] not in process.log_tail(200)
        await process.stop()
        assert process.returncode == 0
        assert not ready.exists()
    finally:
        await process.stop()
        await anvil.stop()


def test_damaged_lists_are_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"pools\[0\].fee_pips"):
        tradable_pools([{"address": "0x", "venue": "uniswap_v2", "dex": "x", "token0": "0x", "token1": "0x"}])
    broken = tmp_path / "pools.json"
    broken.write_text("{")
    with pytest.raises(InputError, match=r"pools\.json"):
        load_market(broken, broken)
