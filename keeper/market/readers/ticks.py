"""Reads the initialised ticks of pools whose liquidity lies in ranges: their bitmaps, then the ticks marked there."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import accumulate

from keeper.market.multicall import Call
from keeper.market.readers.answers import Ask, Unreadable
from keeper.market.venues.concentrated import WORD_BITS, ConcentratedPool
from keeper.market.venues.tick_math import MAX_TICK, MIN_TICK

Row = tuple[int, int, int]
"""Tick, liquidity_net, liquidity_gross."""


@dataclass(frozen=True, slots=True)
class TickSource:
    """How one pool is asked.

    Attributes:
        bitmap: the call that answers a word of the bitmap.
        tick: the call that answers a tick; ``decode`` reads net and gross liquidity from what it returns.
    """

    tick_spacing: int
    bitmap: Callable[[int], Call]
    tick: Callable[[int], Call]
    decode: Callable[[bytes], tuple[int, int]]


async def read_ticks(ask: Ask, sources: Sequence[TickSource]) -> list[list[Row]]:
    """Of each pool its initialised ticks, ascending; one that cannot be read leaves a hole that `check_sums` shows."""
    places = [
        (number, word)
        for number, source in enumerate(sources)
        for word in range((MIN_TICK // source.tick_spacing) >> 8, ((MAX_TICK // source.tick_spacing) >> 8) + 1)
    ]
    bitmaps = await ask([sources[number].bitmap(word) for number, word in places])
    marks: list[tuple[int, int]] = []
    for (number, word), answer in zip(places, bitmaps, strict=True):
        bitmap = int.from_bytes(answer or b"", "big")
        marks += [
            (number, (word * WORD_BITS + bit) * sources[number].tick_spacing)
            for bit in range(WORD_BITS if bitmap else 0)
            if bitmap >> bit & 1
        ]
    answers = await ask([sources[number].tick(tick) for number, tick in marks])
    found: list[list[Row]] = [[] for _ in sources]
    for (number, tick), answer in zip(marks, answers, strict=True):
        if answer:
            found[number].append((tick, *sources[number].decode(answer)))
    return found


def check_sums(pool: ConcentratedPool) -> None:
    """The net liquidity of the ticks up to the price is the liquidity in range, and over all ticks it is nothing."""
    sums = [0, *accumulate(pool.liquidity_net)]
    below = sum(index <= pool.tick for index in pool.tick_indices)
    if sums[below] != pool.liquidity or sums[-1] != 0:
        raise Unreadable(f"its ticks add up to {sums[below]} in range, not {pool.liquidity}, and to {sums[-1]} in all")
