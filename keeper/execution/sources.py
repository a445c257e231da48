"""What each kind of lender can be asked, and what its answers come to: capacity and fee of one loan."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from eth_abi.abi import encode
from eth_utils.address import to_checksum_address
from eth_utils.crypto import keccak

from keeper.domain.token import LenderKind
from keeper.domain.units import WAD, Address
from keeper.execution.lenders import Lenders
from keeper.execution.needs import Need
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
DUST = 1
"""Raw units that stay on the executor: a balance that falls to zero and rises again costs 17,100 gas."""

Read = Callable[[Call], bytes | None]
"""What a call returned; None when it reverted."""


@dataclass(frozen=True, slots=True)
class Offer:
    """A loan that can be had.

    Attributes:
        capacity: raw units that can be borrowed.
        fee: raw units owed on top of the amount that was asked about, with the lender's own rounding.
        token0: see `Financing.token0`.
    """

    lender: Address
    capacity: int
    fee: int = 0
    token0: bool | None = None


class Source(Protocol):
    """One kind of lender on one chain.

    ``fixed`` are calls whose answers never change; ``calls`` are to be asked anew in every block, and ``offers`` reads
    both: what can be borrowed, or in a few words why nothing can.
    """

    @property
    def kind(self) -> LenderKind: ...

    def fixed(self, need: Need, /) -> Iterator[Call]: ...

    def calls(self, need: Need, read: Read, /) -> Iterator[Call]: ...

    def offers(self, need: Need, read: Read, /) -> Sequence[Offer] | str: ...


class _Fixed:
    """A source that has nothing to ask once and for all."""

    def fixed(self, _need: Need) -> Iterator[Call]:
        yield from ()


@dataclass(frozen=True, slots=True)
class Balance(_Fixed):
    """A lender that lends its whole balance and asks for no fee: Morpho, Uniswap V4's manager."""

    kind: LenderKind
    lender: Address

    def calls(self, need: Need, _read: Read) -> Iterator[Call]:
        yield balance_call(need.token, self.lender)

    def offers(self, need: Need, read: Read) -> Sequence[Offer] | str:
        held = word(read(balance_call(need.token, self.lender)))
        return [Offer(self.lender, held)] if held else "it does not hold this token"


@dataclass(frozen=True, slots=True)
class Inventory(_Fixed):
    """What the executor holds itself, all but the dust."""

    executor: Address
    kind: LenderKind = LenderKind.INVENTORY

    def calls(self, need: Need, _read: Read) -> Iterator[Call]:
        yield balance_call(need.token, self.executor)

    def offers(self, need: Need, read: Read) -> Sequence[Offer] | str:
        held = word(read(balance_call(need.token, self.executor))) or 0
        return [Offer(self.executor, held - DUST)] if held > DUST else "the executor holds dust alone"


@dataclass(frozen=True, slots=True)
class BalancerV3(_Fixed):
    """The vault's reserves, taken between ``unlock`` and the end of its callback."""

    vault: Address
    kind: LenderKind = LenderKind.BALANCER_V3

    def calls(self, need: Need, _read: Read) -> Iterator[Call]:
        yield self._reserves(need)
        yield balance_call(need.token, self.vault)

    def offers(self, need: Need, read: Read) -> Sequence[Offer] | str:
        reserves, held = word(read(self._reserves(need))), word(read(balance_call(need.token, self.vault)))
        capacity = min(reserves or 0, held or 0)  # what was donated is not accounted for before somebody settles it
        return [Offer(self.vault, capacity)] if capacity else "it has no reserves of this token"

    def _reserves(self, need: Need) -> Call:
        return self.vault, call_data("getReservesOf(address)", need.token)


@dataclass(frozen=True, slots=True)
class BalancerV2:
    """The vault's flash loans; swaps of the same vault share their guard."""

    vault: Address
    kind: LenderKind = LenderKind.BALANCER_V2

    def fixed(self, _need: Need) -> Iterator[Call]:
        yield self._collector()

    def calls(self, need: Need, read: Read) -> Iterator[Call]:
        if self.vault in need.entered:
            return
        yield self.vault, call_data("getPausedState()")
        yield balance_call(need.token, self.vault)
        collector = address_in(read(self._collector()))
        if collector:
            yield collector, call_data("getFlashLoanFeePercentage()")

    def offers(self, need: Need, read: Read) -> Sequence[Offer] | str:
        if self.vault in need.entered:
            return "the route itself swaps through its vault, whose guard lets nobody in twice"
        collector = address_in(read(self._collector()))
        rate = word(read((collector, call_data("getFlashLoanFeePercentage()")))) if collector else None
        held = word(read(balance_call(need.token, self.vault)))
        if word(read((self.vault, call_data("getPausedState()")))) != 0 or rate is None:
            return "it is paused or not there"
        if not held:
            return "it does not hold this token"
        return [Offer(self.vault, held, -(-need.amount * rate // WAD))]  # FixedPoint.mulUp(amount, percentage)

    def _collector(self) -> Call:
        return self.vault, call_data("getProtocolFeesCollector()")


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
class Erc3156(_Fixed):
    """Lenders with the interface of ERC-3156: they name capacity and fee themselves."""

    lenders: tuple[Address, ...]
    kind: LenderKind = LenderKind.ERC3156

    def calls(self, need: Need, _read: Read) -> Iterator[Call]:
        for lender in self.lenders:
            yield self._most(lender, need)
            yield self._fee(lender, need)

    def offers(self, need: Need, read: Read) -> Sequence[Offer] | str:
        offers = []
        for lender in self.lenders:
            most, fee = word(read(self._most(lender, need))), word(read(self._fee(lender, need)))
            if most and fee is not None:
                offers.append(Offer(lender, most, fee))
        return offers or "it does not lend this token"

    def _most(self, lender: Address, need: Need) -> Call:
        return lender, call_data("maxFlashLoan(address)", need.token)

    def _fee(self, lender: Address, need: Need) -> Call:
        return lender, call_data("flashFee(address,uint256)", need.token, need.amount)


@dataclass(frozen=True, slots=True)
class UniswapV3(_Fixed):
    """``flash`` of pools outside the route: a pool that swaps is locked."""

    pools: tuple[PoolSpec, ...]
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
        having = [pool for pool in self.pools if need.token in (pool.token0, pool.token1)]
        free = (pool for pool in having if pool.address not in need.pools)
        return sorted(free, key=lambda pool: pool.fee_pips)[:MOST_FLASH_POOLS]


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


def sources_of(lenders: Lenders, executor: Address | None, flash_pools: Sequence[PoolSpec]) -> tuple[Source, ...]:
    """Every source there is on a chain.

    Args:
        flash_pools: of Uniswap V3.
    """
    made: list[Source] = []
    if executor:
        made.append(Inventory(executor))
    if lenders.uniswap_v4_manager:
        made.append(Balance(LenderKind.UNISWAP_V4, lenders.uniswap_v4_manager))
    if lenders.balancer_v3_vault:
        made.append(BalancerV3(lenders.balancer_v3_vault))
    if lenders.morpho:
        made.append(Balance(LenderKind.MORPHO, lenders.morpho))
    if lenders.balancer_v2_vault:
        made.append(BalancerV2(lenders.balancer_v2_vault))
    if lenders.dodo:
        made.append(Dodo(lenders.dodo))
    if flash_pools:
        made.append(UniswapV3(tuple(flash_pools)))
    if lenders.erc3156:
        made.append(Erc3156(lenders.erc3156))
    if lenders.spark_pool:
        made.append(Aave(LenderKind.SPARK, lenders.spark_pool))
    if lenders.aave_v3_pool:
        made.append(Aave(LenderKind.AAVE_V3, lenders.aave_v3_pool))
    return tuple(made)


def balance_call(token: Address, holder: Address) -> Call:
    return token, call_data("balanceOf(address)", holder)


def call_data(signature: str, *arguments: object) -> bytes:
    """Calldata of a function whose parameters are all elementary types."""
    inside = signature[signature.index("(") + 1 : -1]
    return keccak(text=signature)[:4] + encode(inside.split(",") if inside else [], arguments)


def word(returned: bytes | None, index: int = 0) -> int | None:
    """The 32-byte word at ``index`` of a returned tuple; None when the call failed or returned less."""
    if returned is None or len(returned) < 32 * (index + 1):
        return None
    return int.from_bytes(returned[32 * index : 32 * (index + 1)], "big")


def address_in(returned: bytes | None, index: int = 0) -> Address | None:
    """The address at ``index``; None when there is none or it is zero."""
    found = word(returned, index)
    return Address(to_checksum_address(found.to_bytes(32, "big")[12:])) if found else None
