"""The node client against a server that answers well, badly, or not at all."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from aiohttp import web

from keeper.domain.errors import ComponentError, InputError
from keeper.market.node import Node, RpcError
from tests.market.chain import block_hash
from tests.market.json_rpc_server import Refusal, json_rpc_server

HEADER = {
    "number": "0x10",
    "hash": block_hash(16),
    "parentHash": block_hash(15),
    "timestamp": "0x64",
    "baseFeePerGas": "0x7",
    "gasLimit": "0x1c9c380",
    "gasUsed": "0x5208",
    "miner": "0xc02aaa39b223fe8d0a0e5c4f27ead9083c756cc2",
    "logsBloom": "0x00",
}
LOG = {
    "address": "0xc02aaa39b223fe8d0a0e5c4f27ead9083c756cc2",
    "topics": [block_hash(1), block_hash(2)],
    "data": "0x0102",
    "blockNumber": "0x10",
    "blockHash": block_hash(16),
    "transactionHash": block_hash(3),
    "transactionIndex": "0x1",
    "logIndex": "0x2",
    "removed": False,
}


async def ask(result: object, method: str, *args: Any) -> Any:
    """What ``Node.method`` makes of a node that answers everything with ``result``."""

    async def answer(_method: str, _params: list[Any]) -> object:
        if isinstance(result, Exception):
            raise result
        return result

    async with json_rpc_server(answer) as url, Node(url) as node:
        return await getattr(node, method)(*args)


async def test_headers_and_logs_are_read() -> None:
    header = await ask(HEADER, "block", 16)
    assert (header.number, header.hash, header.base_fee, header.gas_used) == (16, block_hash(16), 7, 21_000)
    assert header.coinbase == "0xC02aaA39b223FE8D0A0e5C4F27eAD9083C756Cc2"
    (log,) = await ask([LOG], "logs", block_hash(16))
    assert (log.data, log.log_index, log.block_number, len(log.topics)) == (b"\1\2", 2, 16, 2)
    assert log.topics[0].hex() == block_hash(1)[2:]
    assert await ask("0x2a", "chain_id") == 42
    assert await ask("0x", "call", log.address, b"") == b""
    assert await ask(None, "receipt", block_hash(3)) is None


@pytest.mark.parametrize("field", sorted(HEADER.keys() - {"logsBloom"}))
@pytest.mark.parametrize("value", [None, "rubbish", 7, {}])
async def test_a_header_field_that_makes_no_sense_is_named(field: str, value: object) -> None:
    with pytest.raises(ComponentError, match=rf"^node: .*block\.{field}"):
        await ask({**HEADER, field: value}, "block")


@pytest.mark.parametrize(
    "result",
    [
        "logs",
        [7],
        [{**LOG, "blockHash": block_hash(17)}],
        [{**LOG, "removed": True}],
        [{**LOG, "data": "0x012"}],
        [{**LOG, "address": "0x12"}],
        [{**LOG, "topics": ["0xzz"]}],
        [{**LOG, "topics": [block_hash(1)] * 5}],
        [LOG, LOG],
    ],
)
async def test_logs_that_make_no_sense_are_refused(result: object) -> None:
    with pytest.raises(ComponentError, match=r"^node: "):
        await ask(result, "logs", block_hash(16))


@pytest.mark.parametrize(
    ("method", "args", "result"),
    [
        ("chain_id", (), 1),
        ("block_number", (), "0xg"),
        ("block", (16,), None),
        ("block", (16,), []),
        ("call", (block_hash(1), b""), "0x1"),
        ("receipt", (block_hash(3),), {"transactionHash": block_hash(4)}),
    ],
)
async def test_other_rubbish_is_refused(method: str, args: tuple[object, ...], result: object) -> None:
    with pytest.raises(ComponentError, match=r"^node: "):
        await ask(result, method, *args)


@pytest.mark.parametrize(
    "response",
    [
        {"text": "<html>", "status": 200},
        {"text": "[]", "status": 200},
        {"text": '{"id":1,"jsonrpc":"2.0"}', "status": 200},
        {"text": '{"id":77,"result":"0x1"}', "status": 200},
        {"text": '{"id":1,"error":"no"}', "status": 200},
        {"text": '{"id":1,"result":"0x1"}', "status": 503},
        {"text": "too many requests", "status": 429},
    ],
)
async def test_an_answer_that_is_no_json_rpc_is_a_component_error(response: dict[str, Any]) -> None:
    with pytest.raises(ComponentError, match="status"):
        await ask(web.Response(**response), "chain_id")


async def test_an_error_object_is_an_rpc_error() -> None:
    with pytest.raises(RpcError, match="execution reverted") as caught:
        await ask(Refusal(3, "execution reverted", "0x08"), "request", "eth_call", {})
    assert (caught.value.code, caught.value.data) == (3, "0x08")


async def test_a_node_that_is_gone_or_slow_is_a_component_error_without_its_key() -> None:
    answered = asyncio.Event()

    async def never(_method: str, _params: list[Any]) -> object:
        await answered.wait()
        return "0x1"

    async with json_rpc_server(never) as url, Node(url, timeout_seconds=0.05) as node:
        with pytest.raises(ComponentError, match="longer than") as slow:
            await node.chain_id()
        answered.set()
    async with Node(url) as node:
        with pytest.raises(ComponentError, match=r"eth_chainId failed at 127\.0\.0\.1") as gone:
            await node.chain_id()
    assert "secret-key" not in str(slow.value) + str(gone.value)


@pytest.mark.parametrize("url", ["ws://127.0.0.1:1/secret-key", "127.0.0.1:8545", "http://"])
def test_an_address_that_is_no_http_is_refused_without_its_key(url: str) -> None:
    with pytest.raises(InputError, match="ORION_RPC_URL") as caught:
        Node(url)
    assert "secret-key" not in str(caught.value)


async def test_calls_at_a_hash_demand_that_it_is_canonical() -> None:
    seen: list[Any] = []

    async def answer(_method: str, params: list[Any]) -> object:
        seen.append(params)
        return "0x"

    async with json_rpc_server(answer) as url, Node(url) as node:
        await node.call(HEADER["miner"], b"\1", block_hash(5))  # type: ignore[arg-type]
        await node.call(HEADER["miner"], b"\1", 5, gas="0x5")  # type: ignore[arg-type]
    assert seen[0][1] == {"blockHash": block_hash(5), "requireCanonical": True}
    assert seen[1] == [{"to": HEADER["miner"], "data": "0x01", "gas": "0x5"}, "0x5"]
