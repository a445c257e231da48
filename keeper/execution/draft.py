"""A plan in the making, and the order in which plans of one block go."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from fractions import Fraction

from keeper.domain.opportunity import Opportunity
from keeper.domain.plan import AccessList, Financing
from keeper.execution.gas import MAX_TRANSACTION_GAS
from keeper.execution.simulate import ExecutorCall


@dataclass(frozen=True, slots=True)
class Draft:
    """A plan whose gas and bid are still being found.

    Attributes:
        predicted: gross profit after the loan fee and what the stream pays the builder, wei.
        builder_payment: what the stream pays the builder, wei.
        gas_used: as last simulated; 0 before.
        gas_limit, priority_fee: with what it was last simulated, or will be next.
    """

    opportunity: Opportunity
    financing: Financing
    data: bytes
    predicted: int
    builder_payment: int = 0
    access_list: AccessList = ()
    gas_used: int = 0
    gas_limit: int = MAX_TRANSACTION_GAS
    priority_fee: int = 0

    @property
    def bid(self) -> Fraction:
        """What the builder gets for a unit of gas, wei; 0 before the gas is known."""
        return self.priority_fee + Fraction(self.builder_payment, self.gas_used) if self.gas_used else Fraction(0)

    def call(self, nonce: int, block_gas: int, base_fee: int | None) -> ExecutorCall:
        """The transaction that it would be; without a price when ``base_fee`` is None."""
        return ExecutorCall(
            self.data,
            nonce,
            min(self.gas_limit, block_gas),
            None if base_fee is None else base_fee + self.priority_fee,
            None if base_fee is None else self.priority_fee,
            self.access_list,
        )


def in_order_of_bids(drafts: Iterable[Draft]) -> list[Draft]:
    """Highest bid first, equals as they were."""
    return sorted(drafts, key=lambda draft: draft.bid, reverse=True)


def bids_falling(drafts: Iterable[Draft]) -> list[Draft]:
    """The order as it is, each priority fee lowered to the one before it where it is above."""
    lowered: list[Draft] = []
    for draft in drafts:
        highest = lowered[-1].priority_fee if lowered else draft.priority_fee
        lowered.append(replace(draft, priority_fee=min(draft.priority_fee, highest)))
    return lowered
