"""A stand-in for a node with a chain of its own: HTTP and websocket over real sockets, branches, lies and outages."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import orjson
from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from tests.market.chain import block_hash
from tests.market.json_rpc_server import Refusal, json_rpc_server

POOL = "0x00000000000000000000000000000000000000aa"


def raw_block(number: int, branch: str = "", parent: str = "", *, with_log: bool = True) -> dict[str, Any]:
    """Block ``number`` of ``branch`` on its predecessor of branch ``parent``, as a node words it."""
    return {
        "number": hex(number),
        "hash": block_hash(number, branch),
        "parentHash": block_hash(number - 1, parent),
        "timestamp": hex(1_700_000_000 + 12 * number),
        "baseFeePerGas": "0x3b9aca00",
        "gasLimit": "0x1c9c380",
        "gasUsed": "0xe4e1c0",
        "miner": POOL,
        "logsBloom": "0x01" if with_log else "0x00",
    }


@dataclass
class FakeNode:
    """The node's chain, and what it gets wrong.

    Attributes:
        blocks: every block that it knows, displaced ones too, by hash.
        chain: hashes of its canonical chain by number.
        withheld_logs: how many more times it claims that a block has no logs.
        failing: how many more HTTP requests it refuses; -1 for all.
        refused_sockets: how many more websocket subscriptions it refuses; -1 for all.
        subscribed: set while a websocket listens to heads.
    """

    blocks: dict[str, dict[str, Any]] = field(default_factory=dict)
    chain: dict[int, str] = field(default_factory=dict)
    withheld_logs: int = 0
    failing: int = 0
    refused_sockets: int = 0
    subscriptions: int = 0
    requests: list[tuple[str, list[Any]]] = field(default_factory=list)
    subscribed: asyncio.Event = field(default_factory=asyncio.Event)
    sockets: set[ServerConnection] = field(default_factory=set)
    http_url: str = ""
    ws_url: str = ""

    def add(self, *blocks: dict[str, Any]) -> None:
        """Make these the newest blocks of the canonical chain, from the first one's height on."""
        for block in blocks:
            number = int(block["number"], 16)
            self.blocks[block["hash"]] = block
            self.chain = {at: known for at, known in self.chain.items() if at < number}
            self.chain[number] = block["hash"]

    async def announce(self, *blocks: object) -> None:
        """Tell every listener about these heads; anything else than a block is sent as it is."""
        for block in blocks:
            message = block
            if isinstance(block, dict) and "number" in block:
                params = {"subscription": "0x1", "result": block}
                message = {"jsonrpc": "2.0", "method": "eth_subscription", "params": params}
            text = message if isinstance(message, str) else orjson.dumps(message).decode()
            for socket in list(self.sockets):
                await socket.send(text)

    async def mine(self, *blocks: dict[str, Any]) -> None:
        self.add(*blocks)
        await self.announce(*blocks)

    async def drop_sockets(self) -> None:
        self.subscribed.clear()
        for socket in list(self.sockets):
            await socket.close(code=1011)

    async def answer(self, method: str, params: list[Any]) -> object:
        self.requests.append((method, params))
        if self.failing:
            self.failing -= self.failing > 0
            raise Refusal(-32000, "the node is unwell")
        if method == "eth_getBlockByHash":
            return self.blocks.get(params[0])
        if method == "eth_getBlockByNumber":
            number = max(self.chain) if params[0] == "latest" else int(params[0], 16)
            return self.blocks.get(self.chain.get(number, ""))
        if method == "eth_getLogs":
            return self._logs(params[0]["blockHash"])
        raise Refusal(-32601, "method not found")

    def _logs(self, wanted: str) -> list[dict[str, Any]]:
        block = self.blocks.get(wanted)
        if block is None:
            raise Refusal(-32000, "unknown block")
        if self.withheld_logs or block["logsBloom"] == "0x00":
            self.withheld_logs -= self.withheld_logs > 0
            return []
        return [
            {
                "address": POOL,
                "topics": [wanted],
                "data": "0x",
                "blockNumber": block["number"],
                "blockHash": wanted,
                "transactionHash": wanted,
                "transactionIndex": "0x0",
                "logIndex": "0x0",
                "removed": False,
            }
        ]

    async def listen(self, socket: ServerConnection) -> None:
        try:
            request = orjson.loads(await socket.recv())
            assert request["method"] == "eth_subscribe"
            assert request["params"] == ["newHeads"]
            self.subscriptions += 1
            if self.refused_sockets:
                self.refused_sockets -= self.refused_sockets > 0
                error = {"code": -32601, "message": "no subscriptions here"}
                await socket.send(orjson.dumps({"jsonrpc": "2.0", "id": request["id"], "error": error}).decode())
                return
            self.sockets.add(socket)
            await socket.send(orjson.dumps({"jsonrpc": "2.0", "id": request["id"], "result": "0x1"}).decode())
            self.subscribed.set()
            await socket.wait_closed()
        except ConnectionClosed:
            return
        finally:
            self.sockets.discard(socket)


@asynccontextmanager
async def fake_node(first: int = 100) -> AsyncIterator[FakeNode]:
    """A node whose chain holds the one block ``first``."""
    node = FakeNode()
    node.add(raw_block(first))
    server: Server
    async with json_rpc_server(node.answer) as url, serve(node.listen, "127.0.0.1", 0) as server:
        node.http_url = url
        port = next(iter(server.sockets)).getsockname()[1]
        node.ws_url = f"ws://127.0.0.1:{port}/secret-key"
        yield node
        await node.drop_sockets()
