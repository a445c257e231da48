"""A closed loop of swaps with its exact amounts."""

from __future__ import annotations

from dataclasses import dataclass

from keeper.domain.swap_detail import SwapDetail
from keeper.domain.token import VenueKind
from keeper.domain.units import Address


@dataclass(frozen=True, slots=True)
class Hop:
    """One swap through one pool.

    Attributes:
        pool: the pool's address; of a Uniswap V4 pool, its id.
        dex: name of the DEX that runs the pool, for example ``uniswap_v2`` or ``sushiswap``.
        zero_for_one: true when ``token_in`` is the pool's token0.
        amount_in, amount_out: exact integers in raw token units, as the pool's contract computes them.
        fee_pips: the pool's fee in millionths (3000 = 0.3%).
        detail: what the swap needs beside the pool's address; None where the address is enough.
    """

    pool: Address
    venue: VenueKind
    dex: str
    token_in: Address
    token_out: Address
    zero_for_one: bool
    amount_in: int
    amount_out: int
    fee_pips: int
    detail: SwapDetail | None = None


@dataclass(frozen=True, slots=True)
class Route:
    """Hops that end in the token they start from; what each pays out is what the next one takes in."""

    hops: tuple[Hop, ...]

    def __post_init__(self) -> None:
        if len(self.hops) < 2:
            raise ValueError("a route needs at least two hops")
        if len({hop.pool for hop in self.hops}) != len(self.hops):
            raise ValueError("a route uses each pool once: its second amount would be stale")
        for before, after in zip(self.hops, self.hops[1:] + self.hops[:1], strict=True):
            if before.token_out != after.token_in:
                raise ValueError(f"route is broken between pools {before.pool} and {after.pool}")
        for before, after in zip(self.hops, self.hops[1:], strict=False):
            if before.amount_out != after.amount_in:
                raise ValueError(f"amounts do not meet between pools {before.pool} and {after.pool}")

    @property
    def token(self) -> Address:
        """The token that the route starts from, ends in and earns."""
        return self.hops[0].token_in

    @property
    def amount_in(self) -> int:
        return self.hops[0].amount_in

    @property
    def amount_out(self) -> int:
        return self.hops[-1].amount_out

    @property
    def gross_profit(self) -> int:
        """Raw units of `token`, before loan fee, gas and bid."""
        return self.amount_out - self.amount_in

    @property
    def pools(self) -> frozenset[Address]:
        return frozenset(hop.pool for hop in self.hops)
