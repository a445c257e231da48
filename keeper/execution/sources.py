"""What each kind of lender can be asked, and what its answers come to: capacity and fee of one loan."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from keeper.domain.token import LenderKind
from keeper.domain.units import WAD, Address
from keeper.execution.answers import address_in, balance_call, call_data, word
from keeper.execution.needs import Need
from keeper.market.multicall import Call

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


class Unfixed:
    """A source that has nothing to ask once and for all."""

    def fixed(self, _need: Need) -> Iterator[Call]:
        yield from ()


@dataclass(frozen=True, slots=True)
class Balance(Unfixed):
    """A lender that lends its whole balance and asks for no fee: Morpho, Uniswap V4's manager."""

    kind: LenderKind
    lender: Address

    def calls(self, need: Need, _read: Read) -> Iterator[Call]:
        yield balance_call(need.token, self.lender)

    def offers(self, need: Need, read: Read) -> Sequence[Offer] | str:
        held = word(read(balance_call(need.token, self.lender)))
        return [Offer(self.lender, held)] if held else "it does not hold this token"


@dataclass(frozen=True, slots=True)
class Inventory(Unfixed):
    """What the executor holds itself, all but the dust."""

    executor: Address
    kind: LenderKind = LenderKind.INVENTORY

    def calls(self, need: Need, _read: Read) -> Iterator[Call]:
        yield balance_call(need.token, self.executor)

    def offers(self, need: Need, read: Read) -> Sequence[Offer] | str:
        held = word(read(balance_call(need.token, self.executor))) or 0
        return [Offer(self.executor, held - DUST)] if held > DUST else "the executor holds dust alone"


@dataclass(frozen=True, slots=True)
class BalancerV3(Unfixed):
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
class Erc3156(Unfixed):
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
