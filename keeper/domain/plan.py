"""A transaction that is ready to be signed, with the profit it was proven to make."""

from __future__ import annotations

from dataclasses import dataclass

from keeper.domain.opportunity import Opportunity
from keeper.domain.token import LenderKind
from keeper.domain.units import Address, Hash32, Wei

AccessList = tuple[tuple[Address, tuple[Hash32, ...]], ...]
"""Contracts and their storage slots that a transaction declares beforehand (EIP-2930)."""

NOTHING = Wei(0)


@dataclass(frozen=True, slots=True)
class Financing:
    """Where the input of the route comes from.

    Attributes:
        lender: the contract that lends; for a flash swap, the first pool of the route.
        fee: raw units of the borrowed token, on top of the pools' own fees.
        reason: why this lender was chosen over the others, in one line.
        token0: whether the borrowed token is the lender's first one, where the lender is a pool with a loan for each of
            its two; None for all others.
    """

    kind: LenderKind
    lender: Address
    amount: int
    fee: int
    reason: str
    token0: bool | None = None


@dataclass(frozen=True, slots=True)
class Prediction:
    """What the transaction was proven to do, all in wei of the chain's coin.

    ``gross`` is what the executor's balance of the profit token grows by (loan fee and ``builder_payment`` already
    paid), ``net = gross - gas_used * (base_fee + priority_fee)``. ``builder_payment`` is what the transaction itself
    sends to the fee recipient of its block.
    """

    gross: Wei
    gas_used: int
    base_fee: Wei
    priority_fee: Wei
    builder_payment: Wei = NOTHING

    @property
    def gas_cost(self) -> Wei:
        return Wei(self.gas_used * (self.base_fee + self.priority_fee))

    @property
    def net(self) -> Wei:
        return Wei(self.gross - self.gas_cost)


@dataclass(frozen=True, slots=True)
class AtomicPlan:
    """One call of the executor: it earns at least ``min_profit`` in block ``target_block`` or reverts.

    Attributes:
        to: the executor contract.
        data: its calldata.
        gas_limit: gas; covers refunds that are paid only at the end.
        max_fee: wei per gas, base fee included.
        access_list: part of the transaction, and of the prediction's gas.
    """

    opportunity: Opportunity
    financing: Financing
    to: Address
    data: bytes
    min_profit: int
    target_block: int
    gas_limit: int
    max_fee: Wei
    prediction: Prediction
    access_list: AccessList = ()
