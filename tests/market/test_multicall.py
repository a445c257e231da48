"""Batches of view calls: their encoding, halving, progress and failures."""

from __future__ import annotations

from typing import Any

import pytest
from eth_abi import decode, encode
from hypothesis import given, settings
from hypothesis import strategies as st

from keeper.domain.errors import ComponentError, InputError
from keeper.market.multicall import aggregate, decode_aggregate3, encode_aggregate3
from keeper.market.node import Node, RpcError
from tests.market.chain import address
from tests.market.json_rpc_server import Refusal, json_rpc_server

CALLS = st.lists(st.tuples(st.integers(0, 2**160 - 1).map(address), st.binary(max_size=70)), max_size=5)


@settings(max_examples=40)
@given(CALLS)
def test_calls_are_encoded_as_the_abi_says(calls: list[tuple[Any, bytes]]) -> None:
    encoded = encode_aggregate3(calls)
    assert encoded[:4].hex() == "82ad56cb"
    assert encoded[4:] == encode(["(address,bool,bytes)[]"], [[(target, True, data) for target, data in calls]])


@settings(max_examples=40)
@given(st.lists(st.tuples(st.booleans(), st.binary(max_size=70)), max_size=5), st.data())
def test_results_are_decoded_as_the_abi_says(results: list[tuple[bool, bytes]], data: st.DataObject) -> None:
    answer = encode(["(bool,bytes)[]"], [results])
    assert decode_aggregate3(answer, len(results)) == [returned if good else None for good, returned in results]
    with pytest.raises(ComponentError):
        decode_aggregate3(answer, len(results) + 1)
    if results:
        cut = data.draw(st.integers(1, 64))
        if len(results[-1][1]) % 32 == 0:
            with pytest.raises(ComponentError):
                decode_aggregate3(answer[:-cut], len(results))


def echo(params: list[Any]) -> tuple[int, str]:
    """How many calls there were, and an answer that returns each call's own data."""
    (calls,) = decode(["(address,bool,bytes)[]"], bytes.fromhex(params[0]["data"][10:]))
    return len(calls), "0x" + encode(["(bool,bytes)[]"], [[(True, data) for _, _, data in calls]]).hex()


async def test_order_is_kept_over_batches_and_refused_batches_are_halved() -> None:
    sizes: list[int] = []

    async def answer(_method: str, params: list[Any]) -> object:
        count, result = echo(params)
        if count > 100:
            raise Refusal(-32000, "out of gas")
        sizes.append(count)
        return result

    calls = [(address(1), number.to_bytes(4, "big")) for number in range(1000)]
    async with json_rpc_server(answer) as url, Node(url) as node:
        results = await aggregate(node, calls, 7, batch_calls=300)
    assert results == [data for _, data in calls]
    assert sum(sizes) == 1000
    assert max(sizes) <= 100


async def test_a_node_that_refuses_small_batches_is_believed() -> None:
    asked = 0

    async def answer(_method: str, _params: list[Any]) -> object:
        nonlocal asked
        asked += 1
        raise Refusal(-32000, "header not found")

    async with json_rpc_server(answer) as url, Node(url) as node:
        with pytest.raises(RpcError, match="header not found"):
            await aggregate(node, [(address(1), b"")] * 500, 7)
    assert asked < 50


async def test_a_chain_without_multicall_is_named() -> None:
    async def answer(_method: str, _params: list[Any]) -> object:
        return "0x"

    async with json_rpc_server(answer) as url, Node(url) as node:
        with pytest.raises(InputError, match="Multicall3"):
            await aggregate(node, [(address(1), b"")], 7)
