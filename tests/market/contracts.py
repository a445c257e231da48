"""Asks deployed pools, pairs and quoters many questions in one call, on their own state or on one drawn by a test."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from eth_abi import decode, encode
from eth_utils.crypto import keccak

from keeper.domain.units import Address
from keeper.market.multicall import MULTICALL3, decode_aggregate3, encode_aggregate3
from keeper.market.venues import PancakeSwapV3Pool, UniswapV2Pool, UniswapV3Pool
from keeper.replica.addresses import QUOTER_V2, SUSHI_ROUTER, UNISWAP_V2_ROUTER
from tests.conftest import RunningReplica
from tests.market.chain import word

PROBE = Address("0x00000000000000000000000000000000000ca11E")
# Called with an address and calldata, it calls the address and returns what comes back, errors too.
# Called back by a pool, it reverts with the callback's own calldata, in which the pool states both amounts.
PROBE_CODE = (
    "0x60003560e01c15601457366000600037366000fd5b602036038060206000376000600091600060006000355af1503d600060003e3d6000f3"
)
# returns true for every call, as a token that can pay anything does
GENEROUS_TOKEN = "0x600160005260206000f3"
GAS = hex(2**32)
V2_ROUTERS = {"uniswap_v2": UNISWAP_V2_ROUTER.address, "sushiswap": SUSHI_ROUTER.address}

Overrides = dict[str, dict[str, Any]]


def ask(replica: RunningReplica, calls: Sequence[tuple[Address, bytes]], overrides: Overrides) -> list[bytes | None]:
    request = {"to": MULTICALL3, "data": "0x" + encode_aggregate3(calls).hex(), "gas": GAS}
    answer = replica.rpc("eth_call", request, "latest", overrides)
    return decode_aggregate3(bytes.fromhex(answer[2:]), len(calls))


def quote_v3(
    replica: RunningReplica, pool: UniswapV3Pool, swaps: Sequence[tuple[bool, int]], overrides: Overrides
) -> list[tuple[int, int] | None]:
    """QuoterV2's amount and price after, for each (zero_for_one, exact input or minus exact output)."""
    calls = []
    for zero_for_one, amount in swaps:
        name = "quoteExactInputSingle" if amount > 0 else "quoteExactOutputSingle"
        tokens = (pool.token0, pool.token1) if zero_for_one else (pool.token1, pool.token0)
        types = "(address,address,uint256,uint24,uint160)"
        data = keccak(text=f"{name}({types})")[:4] + encode([types], [(*tokens, abs(amount), pool.fee_pips, 0)])
        calls.append((QUOTER_V2.address, data))
    answers = ask(replica, calls, overrides)
    return [None if answer is None else decode(["uint256", "uint160"], answer[:64]) for answer in answers]


def probe_v3(
    replica: RunningReplica,
    pool: UniswapV3Pool | PancakeSwapV3Pool,
    swaps: Sequence[tuple[bool, int]],
    overrides: Overrides | None = None,
) -> list[tuple[int, int]]:
    """The amounts (in, out) that the pool itself states in its callback; for any fork of Uniswap V3."""
    calls = []
    for zero_for_one, amount in swaps:
        limit = 4295128740 if zero_for_one else 1461446703485210103287273052203988822378723970341
        types = ["address", "bool", "int256", "uint160", "bytes"]
        swap = keccak(text=f"swap({','.join(types)})")[:4] + encode(types, [PROBE, zero_for_one, amount, limit, b""])
        calls.append((PROBE, word(int(pool.address, 16)) + swap))
    answers = ask(replica, calls, {PROBE: {"code": PROBE_CODE}, **(overrides or {})})
    amounts = []
    for (zero_for_one, _), answer in zip(swaps, answers, strict=True):
        assert answer is not None
        deltas = decode(["int256", "int256"], answer[4:68])
        amounts.append((deltas[0], -deltas[1]) if zero_for_one else (deltas[1], -deltas[0]))
    return amounts


def v3_state(pool: UniswapV3Pool | PancakeSwapV3Pool) -> Overrides:
    """Puts a state into the storage of a deployed pool of Uniswap or Pancake whose tokens pay anything."""
    slot0 = pool.sqrt_price_x96 | (pool.tick & 0xFFFFFF) << 160 | 1 << 200 | 1 << 216  # with room for one observation
    if isinstance(pool, PancakeSwapV3Pool):
        # the protocol's wider fee share pushes "unlocked", and all that follows, one slot on
        shift, slots = 1, {0: slot0, 1: 1 << 32}
    else:
        shift, slots = 0, {0: slot0 | 1 << 240}
    slots |= {4 + shift: pool.liquidity, 8 + shift: 1 << 248 | 1}
    for tick, net, gross in zip(pool.tick_indices, pool.liquidity_net, pool.liquidity_gross, strict=True):
        slots[_mapping(tick, 5 + shift)] = (net % 2**128) << 128 | gross
        compressed = tick // pool.tick_spacing
        place = _mapping(compressed >> 8, 6 + shift)
        slots[place] = slots.get(place, 0) | 1 << (compressed & 0xFF)
    storage = {"0x" + word(at).hex(): "0x" + word(value).hex() for at, value in slots.items()}
    tokens = {token: {"code": GENEROUS_TOKEN} for token in (pool.token0, pool.token1)}
    return {pool.address: {"state": storage}, **tokens}


def router_v2(
    replica: RunningReplica, pool: UniswapV2Pool, function: str, swaps: Sequence[tuple[bool, int]]
) -> list[int | None]:
    """The router's getAmountsOut or getAmountsIn on the reserves of ``pool``; None where it reverts."""
    calls = []
    for zero_for_one, amount in swaps:
        path = [pool.token0, pool.token1] if zero_for_one else [pool.token1, pool.token0]
        data = keccak(text=f"{function}(uint256,address[])")[:4] + encode(["uint256", "address[]"], [amount, path])
        calls.append((V2_ROUTERS[pool.dex], data))
    reserves = pool.reserve0 | pool.reserve1 << 112
    answers = ask(replica, calls, {pool.address: {"stateDiff": {"0x" + word(8).hex(): "0x" + word(reserves).hex()}}})
    index = 1 if function == "getAmountsOut" else 0
    return [None if answer is None else decode(["uint256[]"], answer)[0][index] for answer in answers]


def _mapping(key: int, slot: int) -> int:
    return int.from_bytes(keccak(word(key) + word(slot)), "big")
