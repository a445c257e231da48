"""How much to borrow for a leveraged position: the largest amount that keeps all bounds, found exactly."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from keeper.domain.units import WAD

Quote = Callable[[int], int]
"""What the route pays out for an input, raw units; exact, and growing with its input."""


@dataclass(frozen=True, slots=True)
class Terms:
    """What bounds a position, whatever the protocol.

    Attributes:
        numerator, denominator: ``collateral * numerator // denominator`` is its worth in raw units of the debt token.
        threshold: share of that worth up to which debt is safe, 10^18 for all.
        min_health: 10^18 at the point of liquidation.
        max_debt: raw units.
        max_loss: equity that opening may cost, raw units of the debt token.
    """

    numerator: int
    denominator: int
    threshold: int
    min_health: int
    max_debt: int
    max_loss: int

    def worth(self, collateral: int) -> int:
        return collateral * self.numerator // self.denominator

    def health(self, collateral: int, debt: int) -> int | None:
        """10^18 at the point of liquidation; None without debt."""
        return self.worth(collateral) * self.threshold // debt if debt else None


@dataclass(frozen=True, slots=True)
class Opening:
    """What opening a position comes to, raw units: borrowed flash, owed afterwards, collateral bought, equity lost."""

    borrowed: int
    owed: int
    bought: int
    loss: int


def equity_loss(terms: Terms, start: tuple[int, int], end: tuple[int, int], rest: int) -> int:
    """What a call has cost, as the adapter measures it, raw units of the debt token.

    Args:
        start, end: collateral and debt of the position before and after it, raw units.
        rest: raw units of the debt token that the call sent to the owner.
    """
    gone = terms.worth(start[0]) + end[1]
    come = terms.worth(end[0]) + start[1] + rest
    return max(gone - come, 0)


def opening(borrowed: int, fee: int, *, bought: int, collateral: int, terms: Terms) -> Opening:
    """One opening: the lender's fee is borrowed as well. The protocol's rounding may cost a few units more."""
    owed = borrowed + fee
    return Opening(borrowed, owed, bought, equity_loss(terms, (collateral, 0), (collateral + bought, owed), 0))


def largest_opening(
    terms: Terms, *, collateral: int, debt: int, quote: Quote, fee: Callable[[int], int], limit: int
) -> Opening | None:
    """The largest amount up to ``limit`` with which all bounds hold, or None when not even one unit keeps them.

    Both health and loss get worse with the amount, so the amounts that keep the bounds are those up to one of them; it
    is found by halving.

    Args:
        collateral, debt: of the position so far, raw units.
        quote: the route from debt to collateral.
        fee: what the lender asks for an amount, raw units.
    """

    def fits(amount: int) -> Opening | None:
        found = opening(amount, fee(amount), bought=quote(amount), collateral=collateral, terms=terms)
        health = terms.health(collateral + found.bought, debt + found.owed)
        kept = debt + found.owed <= terms.max_debt and found.loss <= terms.max_loss
        return found if kept and health is not None and health >= terms.min_health else None

    low, high, best = 1, limit, None
    while low <= high:
        middle = (low + high) // 2
        found = fits(middle)
        if found is None:
            high = middle - 1
        else:
            low, best = middle + 1, found
    return best


def debt_for_leverage(equity: int, leverage: int) -> int:
    """The debt that makes a position ``leverage`` times its ``equity`` (10^18 for once), in raw units of one token."""
    return max(equity * (leverage - WAD) // WAD, 0)
