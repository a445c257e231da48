"""Chooses the opportunities that can be sent together in one block."""

from __future__ import annotations

import time
from collections.abc import Sequence

from keeper.domain.opportunity import Fate, FateChange, Opportunity
from keeper.domain.units import Address, Wei
from keeper.selection.rules import estimate_gas


def choose(
    opportunities: Sequence[Opportunity], base_fee: Wei, limit: int
) -> tuple[list[Opportunity], list[FateChange]]:
    """Take the most valuable opportunities first and leave out those whose pools are already in use.

    Two routes through one pool cannot both be exact: the second would meet a state that the first has changed.
    The result is ordered by value, so that its first member is the last to fall to a competitor's bid.

    Args:
        base_fee: wei per gas, to value a route after its estimated gas.
        limit: how many may be sent for one block.
    """
    ranked = sorted(
        opportunities,
        key=lambda found: (estimate_gas(found.route) * base_fee - found.route.gross_profit, sorted(found.route.pools)),
    )
    chosen: list[Opportunity] = []
    dropped: list[FateChange] = []
    taken: dict[Address, Opportunity] = {}
    for opportunity in ranked:
        rival = next((taken[pool] for pool in sorted(opportunity.route.pools) if pool in taken), None)
        if rival is None and len(chosen) < limit:
            chosen.append(opportunity)
            taken.update(dict.fromkeys(opportunity.route.pools, opportunity))
            continue
        dropped.append(
            FateChange(
                opportunity_id=opportunity.id,
                fate=Fate.FILTERED,
                reason="shares_pool_with_better" if rival is not None else "beyond_plans_per_block",
                at=time.time_ns(),
                details={"better": str(rival.id)} if rival is not None else {"limit": limit},
            )
        )
    return chosen, dropped
