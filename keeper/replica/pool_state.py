"""Reads the pools that traders use, and their wallets, in one call through Multicall3."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import isqrt
from pathlib import Path
from typing import Any

import orjson

from keeper.domain.errors import InputError
from keeper.domain.token import Token, VenueKind
from keeper.domain.units import Address, to_address
from keeper.replica import addresses
from keeper.replica.abi import call_data, decode_result
from keeper.replica.rpc import Rpc

_Q96 = 1 << 96
SWAPPED_VENUES = (VenueKind.UNISWAP_V2, VenueKind.UNISWAP_V3)
"""The kinds in which the traders of the replica swap; arbitrage brings the others along."""
_FIELDS = ("address", "venue", "dex", "token0", "token1", "fee_pips")


@dataclass(frozen=True, slots=True)
class TradedPool:
    """A pool that can be traded through a router; ``fee_pips`` in millionths."""

    address: Address
    venue: VenueKind
    dex: str
    token0: Address
    token1: Address
    fee_pips: int

    @property
    def tokens(self) -> tuple[Address, Address]:
        return self.token0, self.token1


@dataclass(frozen=True, slots=True)
class Depth:
    """Reserves of a pool in raw units; for V3 the virtual ones of the tick range the price is in."""

    reserve0: int
    reserve1: int

    @property
    def price(self) -> float:
        """Raw units of token1 for one of token0."""
        return self.reserve1 / self.reserve0


@dataclass(frozen=True, slots=True)
class MarketState:
    """Pools by address, and balances by (owner, token), in raw units."""

    depths: dict[Address, Depth]
    balances: dict[tuple[Address, Address], int]


def tradable_pools(entries: Sequence[dict[str, Any]]) -> tuple[TradedPool, ...]:
    """The pools of a list as in ``pools.json`` whose kind the traders know; others are left alone.

    `InputError` names the entry and field that does not fit.
    """
    pools = []
    for index, entry in enumerate(entries):
        for name in _FIELDS:
            if name not in entry:
                raise InputError(f"pools[{index}].{name}", None, "Rebuild the replica: its list of pools is damaged.")
        if entry["venue"] in SWAPPED_VENUES:
            pools.append(
                TradedPool(
                    to_address(entry["address"], f"pools[{index}].address"),
                    VenueKind(entry["venue"]),
                    str(entry["dex"]),
                    to_address(entry["token0"], f"pools[{index}].token0"),
                    to_address(entry["token1"], f"pools[{index}].token1"),
                    int(entry["fee_pips"]),
                )
            )
    return tuple(pools)


def load_market(pools_file: Path, tokens_file: Path) -> tuple[tuple[TradedPool, ...], tuple[Token, ...]]:
    """Read the lists that the replica's build wrote; `InputError` names the file or the entry that does not fit."""
    pools, tokens = _read_list(pools_file), _read_list(tokens_file)
    known = tuple(
        Token(
            to_address(entry.get("address"), f"tokens[{index}].address"), str(entry["symbol"]), int(entry["decimals"])
        )
        for index, entry in enumerate(tokens)
    )
    return tradable_pools(pools), known


def _read_list(path: Path) -> list[dict[str, Any]]:
    try:
        content = orjson.loads(path.read_bytes())
    except (OSError, orjson.JSONDecodeError) as error:
        raise InputError(str(path), type(error).__name__, "Rebuild the replica.") from error
    if not isinstance(content, list) or not all(isinstance(entry, dict) for entry in content):
        raise InputError(str(path), type(content).__name__, "Rebuild the replica: this must be a list of objects.")
    return content


async def read_market(
    rpc: Rpc, pools: Sequence[TradedPool], owners: Sequence[Address] = (), tokens: Sequence[Address] = ()
) -> MarketState:
    """The latest state of ``pools``, and what each of ``owners`` has of each of ``tokens``.

    Pools without liquidity at their price are left out.
    """
    calls: list[tuple[Address, bytes]] = []
    for pool in pools:
        if pool.venue is VenueKind.UNISWAP_V2:
            calls.append((pool.address, call_data("getReserves()")))
        else:
            calls += [(pool.address, call_data("slot0()")), (pool.address, call_data("liquidity()"))]
    wallets = [(owner, token) for owner in owners for token in tokens]
    calls += [(token, call_data("balanceOf(address)", owner)) for owner, token in wallets]
    data = call_data("aggregate((address,bytes)[])", calls)
    answer = await rpc("eth_call", {"to": addresses.MULTICALL3.address, "data": "0x" + data.hex()}, "latest")
    _, results = decode_result("uint256,bytes[]", bytes.fromhex(answer[2:]))
    remaining = iter(results)
    depths: dict[Address, Depth] = {}
    for pool in pools:
        if pool.venue is VenueKind.UNISWAP_V2:
            word = next(remaining)
            depth = Depth(int.from_bytes(word[:32], "big"), int.from_bytes(word[32:64], "big"))
        else:
            sqrt_price = int.from_bytes(next(remaining)[:32], "big")
            liquidity = int.from_bytes(next(remaining), "big")
            depth = Depth(liquidity * _Q96 // max(sqrt_price, 1), liquidity * sqrt_price // _Q96)
        if depth.reserve0 and depth.reserve1:
            depths[pool.address] = depth
    balances = {wallet: int.from_bytes(next(remaining), "big") for wallet in wallets}
    return MarketState(depths, balances)


def v2_amount_out(amount_in: int, reserve_in: int, reserve_out: int) -> int:
    """``UniswapV2Library.getAmountOut``: 0.3% fee, rounded down."""
    charged = amount_in * 997
    return charged * reserve_out // (reserve_in * 1000 + charged)


def v2_loop_optimum(first: tuple[int, int], second: tuple[int, int]) -> int:
    """The input that a loop through two V2 pools earns most with; zero when none earns.

    Each pool is (reserve in, reserve out) in the direction of travel. The loop's output is a Moebius map
    ``A*x / (B + C*x)``, whose excess over x is largest at ``(sqrt(A*B) - B) / C``.
    """
    a = 997 * 997 * first[1] * second[1]
    b = 1_000_000 * first[0] * second[0]
    c = 997 * 1000 * second[0] + 997 * 997 * first[1]
    return (isqrt(a * b) - b) // c if a > b else 0
