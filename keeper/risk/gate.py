"""The gate between what is worth doing and what may be done."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from keeper.domain.opportunity import Fate, FateChange, Opportunity
from keeper.domain.trade import Trade, TradeStatus


@dataclass(slots=True)
class RiskGate:
    """Limits a single trade and stops trading when the executor keeps failing on chain.

    A lost race costs nothing and never counts; a transaction that is included and reverts has paid gas for
    nothing, which an atomic strategy should never see.

    Attributes:
        max_loan: largest loan of one trade, raw units of the profit token.
        max_reverts: reverted transactions in a row that stop trading until the keeper is restarted.
    """

    max_loan: int
    max_reverts: int
    _reverts: int = field(default=0, init=False)

    @property
    def locked(self) -> str | None:
        """Why nothing may be sent at the moment, or None."""
        if self._reverts >= self.max_reverts:
            return f"{self._reverts} transactions in a row were included and reverted"
        return None

    def observe(self, trades: Sequence[Trade]) -> None:
        """Count outcomes; a landed trade clears the count."""
        for trade in trades:
            if trade.status is TradeStatus.REVERTED:
                self._reverts += 1
            elif trade.status is TradeStatus.LANDED:
                self._reverts = 0

    def check(self, opportunities: Sequence[Opportunity]) -> tuple[list[Opportunity], list[FateChange]]:
        """Let through what is within the limits; the others are `REJECTED` with the limit they meet."""
        allowed: list[Opportunity] = []
        rejected: list[FateChange] = []
        locked = self.locked
        for opportunity in opportunities:
            if locked is not None:
                reason, details = "breaker_reverts", {"locked": locked}
            elif opportunity.route.amount_in > self.max_loan:
                reason, details = (
                    "loan_above_limit",
                    {"loan": str(opportunity.route.amount_in), "limit": str(self.max_loan)},
                )
            else:
                allowed.append(opportunity)
                continue
            rejected.append(
                FateChange(
                    opportunity_id=opportunity.id,
                    fate=Fate.REJECTED,
                    reason=reason,
                    at=time.time_ns(),
                    details=dict(details),
                )
            )
        return allowed, rejected
