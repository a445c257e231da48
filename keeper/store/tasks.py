"""Ends a background task for certain."""

from __future__ import annotations

import asyncio

_AGAIN = 0.2


async def end(task: asyncio.Task[None]) -> None:
    """Cancel ``task`` until it has ended.

    Once is not always enough: before Python 3.12 a wait that completes at the same moment swallows the cancellation.
    """
    while not task.done():
        task.cancel()
        await asyncio.wait({task}, timeout=_AGAIN)
