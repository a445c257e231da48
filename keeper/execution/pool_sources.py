"""Lenders that are pools: Aave and what runs its code, Uniswap V3's ``flash``, DODO."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice

from keeper.domain.token import LenderKind
from keeper.domain.units import Address
from keeper.execution.answers import address_in, balance_call, call_data, word
from keeper.execution.needs import Need
from keeper.execution.sources import Offer, Read, Unfixed
from keeper.market.multicall import Call
from keeper.market.specs import PoolSpec

ATOKEN_WORD = 8
"""Position of the aToken's address in the answer of `getReserveData`; the configuration is at 0."""
ACTIVE, PAUSED, FLASH_LOANS_ENABLED = 1 << 56, 1 << 60, 1 << 63
"""Bits of the reserve configuration of Aave V3."""
CEILING_REVISION = 9
"""Aave 3.5: from this revision of the pool on, premiums are rounded up (percentMulCeil), before that half up."""
PIPS = 1_000_000
MOST_FLASH_POOLS = 8
"""V3 pools that are asked about for one token, those with the lowest fees."""


@dataclass(frozen=True, slots=True)
class Aave:
    """Aave V3 and what runs its code."""

    kind: LenderKind
    pool: Address

    def fixed(self, need: Need) -> Iterator[Call]:
        yield self._reserve(need)

    def calls(self, need: Need, read: Read) -> Iterator[Call]:
        atoken = address_in(read(self._reserve(need)), ATOKEN_WORD)
        if atoken is None:
            return
        yield balance_call(need.token, atoken)
        yield self._configuration(need)
        yield self._accounted(need)
        yield self._premium()
        yield self._revision()

    def offers(self, need: Need, read: Read) -> Sequence[Offer] | str:
        atoken = address_in(read(self._reserve(need)), ATOKEN_WORD)
        if atoken is None:
            return "it has not listed this token"
        held, premium = word(read(balance_call(need.token, atoken))), word(read(self._premium()))
        configuration = word(read(self._configuration(need))) or 0
        lends = configuration & (ACTIVE | PAUSED | FLASH_LOANS_ENABLED) == ACTIVE | FLASH_LOANS_ENABLED
        if premium is None or not lends:
            return "its reserve of this token lends nothing flash"
        accounted = word(read(self._accounted(need)))  # since 3.1 donations to the aToken are not lent out
        capacity = held or 0 if accounted is None else min(held or 0, accounted)
        product = need.amount * premium
        up = (word(read(self._revision())) or 0) >= CEILING_REVISION
        return [Offer(self.pool, capacity, -(-product // 10_000) if up else (product + 5_000) // 10_000)]

    def _reserve(self, need: Need) -> Call:
        return self.pool, call_data("getReserveData(address)", need.token)

    def _configuration(self, need: Need) -> Call:
        return self.pool, call_data("getConfiguration(address)", need.token)

    def _accounted(self, need: Need) -> Call:
        return self.pool, call_data("getVirtualUnderlyingBalance(address)", need.token)

    def _premium(self) -> Call:
        return self.pool, call_data("FLASHLOAN_PREMIUM_TOTAL()")

    def _revision(self) -> Call:
        return self.pool, call_data("POOL_REVISION()")


@dataclass(frozen=True, slots=True)
class UniswapV3(Unfixed):
    """``flash`` of pools outside the route: a pool that swaps is locked.

    Attributes:
        pools: by token that they hold, those with the lowest fees first.
    """

    pools: Mapping[Address, Sequence[PoolSpec]]
    kind: LenderKind = LenderKind.UNISWAP_V3

    def calls(self, need: Need, _read: Read) -> Iterator[Call]:
        for pool in self._eligible(need):
            yield balance_call(need.token, pool.address)

    def offers(self, need: Need, read: Read) -> Sequence[Offer] | str:
        offers = []
        for pool in self._eligible(need):
            held = word(read(balance_call(need.token, pool.address)))
            if held:  # UniswapV3Pool.flash: FullMath.mulDivRoundingUp(amount, fee, 1e6)
                fee = -(-need.amount * pool.fee_pips // PIPS)
                offers.append(Offer(pool.address, held, fee, need.token == pool.token0))
        return offers or "no pool outside the route holds this token"

    def _eligible(self, need: Need) -> list[PoolSpec]:
        free = (pool for pool in self.pools.get(need.token, ()) if pool.address not in need.pools)
        return list(islice(free, MOST_FLASH_POOLS))


@dataclass(frozen=True, slots=True)
class Dodo:
    """DODO's pools lend either side for nothing when all of it comes back."""

    pools: tuple[Address, ...]
    kind: LenderKind = LenderKind.DODO

    def fixed(self, _need: Need) -> Iterator[Call]:
        for pool in self.pools:
            yield pool, call_data("_BASE_TOKEN_()")
            yield pool, call_data("_QUOTE_TOKEN_()")

    def calls(self, need: Need, read: Read) -> Iterator[Call]:
        for pool in self._having(need, read):
            yield balance_call(need.token, pool)

    def offers(self, need: Need, read: Read) -> Sequence[Offer] | str:
        offers = []
        for pool in self._having(need, read):
            held = word(read(balance_call(need.token, pool)))
            if held:
                base = address_in(read(_sides(pool)[0]))
                offers.append(Offer(pool, held, token0=need.token == base))
        return offers or "no pool holds this token"

    def _having(self, need: Need, read: Read) -> Iterator[Address]:
        for pool in self.pools:
            if pool not in need.pools and need.token in {address_in(read(call)) for call in _sides(pool)}:
                yield pool


def _sides(pool: Address) -> tuple[Call, Call]:
    return (pool, call_data("_BASE_TOKEN_()")), (pool, call_data("_QUOTE_TOKEN_()"))


def by_token(pools: Sequence[PoolSpec]) -> dict[Address, list[PoolSpec]]:
    """The pools that hold each token, those with the lowest fees first."""
    having: dict[Address, list[PoolSpec]] = {}
    for pool in sorted(pools, key=lambda pool: pool.fee_pips):
        for token in (pool.token0, pool.token1):
            having.setdefault(token, []).append(pool)
    return having
