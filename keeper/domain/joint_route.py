"""Swaps that share tokens and are carried out in one transaction: splits over parallel pools, and loops netted."""

from __future__ import annotations

from dataclasses import dataclass

from keeper.domain.route import Hop
from keeper.domain.units import Address


@dataclass(frozen=True, slots=True)
class JointRoute:
    """A set of swaps after which no token but the profit token is missing anywhere.

    Attributes:
        token: the profit token.
        legs: each pool at most once, with the exact amounts of its contract. A leg takes in what legs before it paid
            out; what is missing of a token at that point comes from legs behind it, which financing has to bridge.
    """

    token: Address
    legs: tuple[Hop, ...]

    def __post_init__(self) -> None:
        if len({leg.pool for leg in self.legs}) != len(self.legs):
            raise ValueError("a joint route uses each pool once: its second amount would be stale")
        for token, change in self.changes.items():
            if change < 0:
                raise ValueError(f"a joint route leaves {-change} of token {token} unpaid")

    @property
    def changes(self) -> dict[Address, int]:
        """Raw units of each token that the legs leave behind; what is not the profit token is the dust of rounding."""
        changes: dict[Address, int] = {}
        for leg in self.legs:
            changes[leg.token_in] = changes.get(leg.token_in, 0) - leg.amount_in
            changes[leg.token_out] = changes.get(leg.token_out, 0) + leg.amount_out
        return changes

    @property
    def gross_profit(self) -> int:
        """Raw units of `token`, before loan fee, gas and bid."""
        return self.changes.get(self.token, 0)

    @property
    def pools(self) -> frozenset[Address]:
        return frozenset(leg.pool for leg in self.legs)
