"""The outcome of a transaction that was sent."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from keeper.domain.plan import AtomicPlan
from keeper.domain.units import Hash32, Wei


class TradeStatus(StrEnum):
    LANDED = "landed"
    LOST = "lost"
    REVERTED = "reverted"


@dataclass(frozen=True, slots=True)
class Trade:
    """A sent plan and what the chain says became of it.

    Attributes:
        gross: what the executor's balance of the profit token grew by, from the receipt's transfers; wei.
        gas_cost: ``gasUsed * effectiveGasPrice`` of the receipt, wei; zero when it never landed.
        reason: why it was lost or reverted; empty when it landed.
    """

    plan: AtomicPlan
    status: TradeStatus
    transaction_hash: Hash32
    block_number: int | None
    gross: Wei
    gas_used: int
    gas_cost: Wei
    reason: str = ""

    @property
    def net(self) -> Wei:
        return Wei(self.gross - self.gas_cost)

    @property
    def matches_prediction(self) -> bool:
        """True when the chain paid exactly what was predicted, to the wei."""
        return self.net == self.plan.prediction.net
