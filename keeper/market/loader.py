"""Reads pool lists from files and pool states from the chain, all at one block."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Self, TypeVar

import orjson

from keeper.domain.chain import BlockHeader
from keeper.domain.errors import InputError
from keeper.domain.token import TRADED_VENUES, Token, VenueKind
from keeper.domain.units import Address, to_address
from keeper.market.multicall import BATCH_CALLS, Call, Progress, aggregate
from keeper.market.node import Node
from keeper.market.readers.answers import Unreadable, selector, to_words
from keeper.market.readers.answers import rows as split
from keeper.market.readers.ticks import check_sums, read_ticks, uniswap_v3_source
from keeper.market.venues.base import Pool
from keeper.market.venues.fields import FEE_DENOMINATOR, read, read_int, read_text, read_tokens, signed
from keeper.market.venues.uniswap_v2 import UniswapV2Pool
from keeper.market.venues.uniswap_v3 import MAX_TICK_SPACING, UniswapV3Pool

log = logging.getLogger(__name__)

_MAX_DECIMALS = 255

Entry = TypeVar("Entry")


_TOKEN0, _TOKEN1, _GET_RESERVES = selector("token0()"), selector("token1()"), selector("getReserves()")
_FEE, _TICK_SPACING = selector("fee()"), selector("tickSpacing()")
_SLOT0, _LIQUIDITY = selector("slot0()"), selector("liquidity()")


@dataclass(frozen=True, slots=True)
class PoolSpec:
    """Which pool it is, without its state; ``tick_spacing`` is 0 for Uniswap V2."""

    address: Address
    venue: VenueKind
    dex: str
    token0: Address
    token1: Address
    fee_pips: int
    tick_spacing: int = 0

    @classmethod
    def from_json(cls, entry: Mapping[str, Any]) -> Self:
        """One entry of a pool list; `InputError` names the first field that does not fit."""
        name = read_text(entry, "venue")
        if name not in TRADED_VENUES:
            raise InputError("venue", name, f"Give one of: {', '.join(TRADED_VENUES)}.")
        token0, token1 = read_tokens(entry)
        venue = VenueKind(name)
        return cls(
            address=to_address(read(entry, "address"), "address"),
            venue=venue,
            dex=read_text(entry, "dex"),
            token0=token0,
            token1=token1,
            fee_pips=read_int(entry, "fee_pips", 0, FEE_DENOMINATOR - 1),
            tick_spacing=read_int(entry, "tick_spacing", 1, MAX_TICK_SPACING) if venue is VenueKind.UNISWAP_V3 else 0,
        )

    @classmethod
    def of(cls, pool: Pool) -> Self:
        spacing = pool.tick_spacing if isinstance(pool, UniswapV3Pool) else 0
        return cls(pool.address, pool.venue, pool.dex, pool.token0, pool.token1, pool.fee_pips, spacing)


def read_pool_specs(path: Path) -> list[PoolSpec]:
    """A JSON list of ``{"address", "venue", "dex", "token0", "token1", "fee_pips", "tick_spacing"}``."""
    specs: dict[Address, PoolSpec] = {}
    for spec in _read_entries(path, PoolSpec.from_json):
        if spec.address in specs:
            raise InputError(path.name, spec.address, "List each pool once.")
        specs[spec.address] = spec
    return list(specs.values())


def read_token_list(path: Path) -> dict[Address, Token]:
    """A JSON list of ``{"address", "symbol", "decimals"}``, by address."""

    def token(entry: Mapping[str, Any]) -> Token:
        return Token(
            address=to_address(read(entry, "address"), "address"),
            symbol=read_text(entry, "symbol"),
            decimals=read_int(entry, "decimals", 0, _MAX_DECIMALS),
        )

    return {entry.address: entry for entry in _read_entries(path, token)}


async def load_pools(
    node: Node,
    specs: Sequence[PoolSpec],
    block: BlockHeader,
    *,
    progress: Progress | None = None,
    batch_calls: int = BATCH_CALLS,
) -> dict[Address, Pool]:
    """The states of the pools at the end of ``block``, by address.

    A pool that does not answer as its kind does, or not with the tokens and the fee of its spec, is left out with a
    warning in the log.

    Raises:
        ComponentError: the node is unwell.
        RpcError: the node refuses to answer, for example because the block is no longer part of its chain.
    """
    reader = _Reader(node, block, progress, batch_calls)
    pools: dict[Address, Pool] = {}
    pools.update(await reader.uniswap_v2([spec for spec in specs if spec.venue is VenueKind.UNISWAP_V2]))
    pools.update(await reader.uniswap_v3([spec for spec in specs if spec.venue is VenueKind.UNISWAP_V3]))
    return {spec.address: pools[spec.address] for spec in specs if spec.address in pools}


class _Reader:
    """Reads by kind of pool, every kind in as few rounds of requests as its data allow."""

    def __init__(self, node: Node, block: BlockHeader, progress: Progress | None, batch_calls: int) -> None:
        self._node = node
        self._block = block
        self._progress = progress
        self._batch_calls = batch_calls

    async def uniswap_v2(self, specs: Sequence[PoolSpec]) -> dict[Address, Pool]:
        answers = await self._read("uniswap_v2 pools", specs, [_TOKEN0, _TOKEN1, _GET_RESERVES])
        pools: dict[Address, Pool] = {}
        for spec, (token0, token1, reserves) in zip(specs, answers, strict=True):
            try:
                _expect_tokens(spec, token0, token1)
                reserve0, reserve1, _ = to_words(reserves, 3, "getReserves")
            except Unreadable as error:
                _leave_out(spec, error)
                continue
            pools[spec.address] = UniswapV2Pool(
                address=spec.address,
                dex=spec.dex,
                token0=spec.token0,
                token1=spec.token1,
                fee_pips=spec.fee_pips,
                reserve0=reserve0,
                reserve1=reserve1,
            )
        return pools

    async def uniswap_v3(self, specs: Sequence[PoolSpec]) -> dict[Address, Pool]:
        calls = [_TOKEN0, _TOKEN1, _FEE, _TICK_SPACING, _SLOT0, _LIQUIDITY]
        answers = await self._read("uniswap_v3 pools", specs, calls)
        found: list[tuple[PoolSpec, int, int, int]] = []
        for spec, (token0, token1, fee, tick_spacing, slot0, in_range) in zip(specs, answers, strict=True):
            try:
                _expect_tokens(spec, token0, token1)
                _expect(to_words(fee, 1, "fee")[0], spec.fee_pips, "fee")
                _expect(to_words(tick_spacing, 1, "tickSpacing")[0], spec.tick_spacing, "tickSpacing")
                price, tick, *_ = to_words(slot0, 7, "slot0")
                found.append((spec, price, signed(tick), to_words(in_range, 1, "liquidity")[0]))
            except Unreadable as error:
                _leave_out(spec, error)
        sources = [uniswap_v3_source(spec.address, spec.tick_spacing) for spec, _, _, _ in found]
        stages = iter(("tick bitmaps", "ticks"))
        ticks = await read_ticks(lambda calls: self._aggregate(next(stages), calls), sources)
        pools: dict[Address, Pool] = {}
        for (spec, price, tick, liquidity), rows in zip(found, ticks, strict=True):
            pool = UniswapV3Pool(
                address=spec.address,
                dex=spec.dex,
                token0=spec.token0,
                token1=spec.token1,
                fee_pips=spec.fee_pips,
                tick_spacing=spec.tick_spacing,
                sqrt_price_x96=price,
                tick=tick,
                liquidity=liquidity,
                tick_indices=tuple(index for index, _, _ in rows),
                liquidity_net=tuple(net for _, net, _ in rows),
                liquidity_gross=tuple(gross for _, _, gross in rows),
            )
            try:
                check_sums(pool)
            except Unreadable as error:
                _leave_out(spec, error)
                continue
            pools[spec.address] = pool
        return pools

    async def _read(
        self, stage: str, specs: Sequence[PoolSpec], selectors: Sequence[bytes]
    ) -> list[Sequence[bytes | None]]:
        calls = [(spec.address, selector) for spec in specs for selector in selectors]
        return split(await self._aggregate(stage, calls), len(selectors))

    async def _aggregate(self, stage: str, calls: Sequence[Call]) -> list[bytes | None]:
        report = None if self._progress is None else partial(_count, self._progress, stage, len(calls), [0])
        return await aggregate(self._node, calls, self._block.hash, batch_calls=self._batch_calls, on_done=report)


def _count(progress: Progress, stage: str, total: int, done: list[int], more: int) -> None:
    done[0] += more
    progress(stage, done[0], total)


def _expect(found: int, wanted: int, function: str) -> None:
    if found != wanted:
        raise Unreadable(f"{function} is {found}, not {wanted}")


def _expect_tokens(spec: PoolSpec, token0: bytes | None, token1: bytes | None) -> None:
    for answer, wanted, function in ((token0, spec.token0, "token0"), (token1, spec.token1, "token1")):
        (found,) = to_words(answer, 1, function)
        if found != int(wanted, 16):
            raise Unreadable(f"{function} is 0x{found:040x}, not {wanted}")


def _leave_out(spec: PoolSpec, error: Unreadable) -> None:
    log.warning("pool %s (%s) is left out: %s", spec.address, spec.dex, error)


def _read_entries(path: Path, read_entry: Callable[[Mapping[str, Any]], Entry]) -> Iterator[Entry]:
    """The entries of a JSON list; an `InputError` names file, place and field."""
    try:
        entries = orjson.loads(path.read_bytes())
    except FileNotFoundError as error:
        raise InputError(path.name, str(path), "Give a file that exists.") from error
    except orjson.JSONDecodeError as error:
        raise InputError(path.name, str(error), "Give a JSON list.") from error
    if not isinstance(entries, list):
        raise InputError(path.name, type(entries).__name__, "Give a JSON list.")
    for number, entry in enumerate(entries):
        place = f"{path.name}[{number}]"
        if not isinstance(entry, dict):
            raise InputError(place, entry, "Give a JSON object.")
        try:
            yield read_entry(entry)
        except InputError as error:
            raise InputError(f"{place}.{error.field}", error.value, error.remedy) from error
