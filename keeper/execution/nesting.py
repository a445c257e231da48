"""The layout of a route through V2 and V3 pools that finances itself.

It follows from when a pool takes its input: a V2 pool before the swap or before its callback ends, a V3 pool within its
callback, having paid out by then. So the last V3 pool of a route is called first, what comes before it runs in its
callback, and there again the last V3 pool first. Each pool delivers straight to the next one, and the route's own
output pays its input:

    a(V2) -> b(V3) -> c(V2) -> d(V3):   d called { b bounded, to c { a paid, to b }; c to d }

In a route of V2 pools alone the last one is called first in the same way, by a flash swap; it is the last one because
a pair calls back the receiver of its output.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from keeper.domain.route import Hop
from keeper.domain.token import VenueKind
from keeper.execution.opcodes import Opcode, To
from keeper.execution.operations import Operation, Swap

V2_VENUES = frozenset((VenueKind.UNISWAP_V2, VenueKind.SOLIDLY_VOLATILE, VenueKind.SOLIDLY_STABLE))
"""Pools with the swap of Uniswap's pairs."""
V3_VENUES = frozenset((VenueKind.UNISWAP_V3, VenueKind.PANCAKESWAP_V3))
"""Pools with the swap of Uniswap V3's pools; the layout of the callback is the same, whatever its name."""
NESTED_VENUES = V2_VENUES | V3_VENUES


def nest(hops: Sequence[Hop]) -> tuple[Operation, ...]:
    """The operations of the route; its venues have to be of `NESTED_VENUES`."""
    positions = [index for index, hop in enumerate(hops) if hop.venue in V3_VENUES]
    if not positions:
        last = _swap(Opcode.UNISWAP_V2_FLASH, hops[-1], To.CALLER)
        return (last, *_pairs(hops[:-1], To.CALLER, paid=True))
    last_v3 = positions[-1]
    before, tail = hops[:last_v3], hops[last_v3 + 1 :]
    opcode = Opcode.UNISWAP_V3 if before else Opcode.UNISWAP_V3_PAYS
    first = _swap(opcode, hops[last_v3], To.NEXT if tail else To.CALLER)
    return (first, *_pairs(tail, To.SELF), *_feed(before))


def nest_funded(hops: Sequence[Hop], *, last: bool) -> tuple[Operation, ...]:
    """The operations of the route where the executor holds its input; ``last``: no other follows them in the frame."""
    return _feed(hops, To.SELF, last=last)


def _feed(hops: Sequence[Hop], home: To = To.CALLER, *, last: bool = True) -> tuple[Operation, ...]:
    """Hops whose first input the executor holds.

    Args:
        home: where the last of them delivers: to the pool in whose callback they run, or to the executor.
        last: no other operation follows in the frame.
    """
    positions = [index for index, hop in enumerate(hops) if hop.venue in V3_VENUES]
    if not positions:
        return tuple(_pairs(hops, home, paid=True))
    last_v3 = positions[-1]
    before, tail = hops[:last_v3], hops[last_v3 + 1 :]
    to = To.NEXT if tail else home
    if not before:
        return (_swap(Opcode.UNISWAP_V3_DIRECT, hops[last_v3], to), *_pairs(tail, home))
    if last and not tail:
        return (_swap(Opcode.UNISWAP_V3, hops[last_v3], to), *_feed(before))
    bounded = replace(_swap(Opcode.UNISWAP_V3_BOUNDED, hops[last_v3], to), inner=_feed(before))
    return (bounded, *_pairs(tail, home))


def _pairs(hops: Sequence[Hop], last: To, *, paid: bool = False) -> list[Operation]:
    """V2 hops one after the other, each to the next, the last to ``last``; ``paid``: the executor pays the first."""
    swaps = [_swap(Opcode.UNISWAP_V2, hop, To.NEXT) for hop in hops[:-1]]
    swaps += [_swap(Opcode.UNISWAP_V2, hop, last) for hop in hops[-1:]]
    if paid and swaps:
        swaps[0] = replace(swaps[0], opcode=Opcode.UNISWAP_V2_PAID, amount_in=hops[0].amount_in)
    return list(swaps)


def _swap(opcode: Opcode, hop: Hop, to: To) -> Swap:
    amount = hop.amount_out if hop.venue in V2_VENUES else hop.amount_in
    return Swap(opcode, hop.pool, hop.zero_for_one, to, amount)
