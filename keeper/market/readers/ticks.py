"""Reads the initialised ticks of pools whose liquidity lies in ranges: their bitmaps, then the ticks marked there."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from itertools import accumulate

from keeper.domain.units import Address
from keeper.market.multicall import Call
from keeper.market.readers.answers import Ask, Unreadable, argument, selector, to_words
from keeper.market.venues.concentrated import WORD_BITS, ConcentratedPool
from keeper.market.venues.fields import signed
from keeper.market.venues.tick_math import MAX_TICK, MIN_TICK

_TICK_BITMAP, _TICKS = selector("tickBitmap(int16)"), selector("ticks(int24)")

Row = tuple[int, int, int]
"""Tick, liquidity_net, liquidity_gross."""


@dataclass(frozen=True, slots=True)
class TickSource:
    """How one pool is asked.

    Attributes:
        bitmap: the call that answers a word of the bitmap.
        tick: the call that answers a tick; ``decode`` reads net and gross liquidity from the answer, or raises
            `Unreadable`.
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
        if not answer:
            continue
        with suppress(Unreadable):
            found[number].append((tick, *sources[number].decode(answer)))
    return found


def uniswap_v3_source(address: Address, tick_spacing: int) -> TickSource:
    """How a pool with the interface of Uniswap V3 is asked."""

    def call(function: bytes, index: int) -> Call:
        return address, function + argument(index)

    return TickSource(tick_spacing, partial(call, _TICK_BITMAP), partial(call, _TICKS), _decode)


def _decode(answer: bytes) -> tuple[int, int]:
    gross, net = to_words(answer, 2, "ticks")
    return signed(net), gross


def check_sums(pool: ConcentratedPool) -> None:
    """The net liquidity of the ticks up to the price is the liquidity in range, and over all ticks it is nothing."""
    sums = [0, *accumulate(pool.liquidity_net)]
    below = sum(index <= pool.tick for index in pool.tick_indices)
    if sums[below] != pool.liquidity or sums[-1] != 0:
        raise Unreadable(f"its ticks add up to {sums[below]} in range, not {pool.liquidity}, and to {sums[-1]} in all")
