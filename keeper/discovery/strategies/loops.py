"""What the strategies that look for loops have in common."""

from __future__ import annotations

import time

from keeper.discovery.search.loop_filter import LoopFilter
from keeper.discovery.view import MarketView
from keeper.domain.errors import InputError
from keeper.domain.opportunity import Opportunity, RiskClass


def check_bounds(name: str, limit: int, min_gross: int) -> None:
    """Raise `InputError` unless a strategy's bounds are positive."""
    if limit < 1:
        raise InputError(f"{name}.limit", limit, "Give a positive number of opportunities a block.")
    if min_gross < 1:
        raise InputError(f"{name}.min_gross", min_gross, "Give a positive amount of the profit token's raw units.")


def find_loops(
    view: MarketView, *, name: str, allow: LoopFilter, limit: int, min_gross: int, risk: RiskClass
) -> list[Opportunity]:
    """The best admissible loops of ``view`` as opportunities of strategy ``name``, the largest profit first."""
    routes = view.search.find(view.changed, allow=allow, limit=limit)
    return [
        Opportunity(
            strategy=name,
            chain_id=view.chain_id,
            block_number=view.header.number,
            route=route,
            risk=risk,
            found_after_ns=max(time.time_ns() - view.seen_at, 0),
        )
        for route in routes
        if route.gross_profit >= min_gross
    ]
