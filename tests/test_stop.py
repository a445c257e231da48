"""A stop that comes while the pools are still being read."""

from __future__ import annotations

import asyncio

import pytest

from keeper.wiring import StoppedEarly, _unless_stopped


async def test_a_stop_ends_the_reading_of_pools() -> None:
    stop, ended = asyncio.Event(), asyncio.Event()

    async def forever() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    work = asyncio.ensure_future(_unless_stopped(stop, forever()))
    await asyncio.sleep(0)
    stop.set()
    with pytest.raises(StoppedEarly):
        await work
    assert ended.is_set()


async def test_without_a_stop_it_is_the_result() -> None:
    async def answer() -> int:
        return 7

    assert await _unless_stopped(asyncio.Event(), answer()) == 7

    async def fail() -> int:
        raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        await _unless_stopped(asyncio.Event(), fail())
