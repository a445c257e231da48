"""What every feed has: a task that listens beside it, and ends with it."""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import Self


class Listener:
    """The owner of one task, started by whoever derives from it; leaving the context or `close` stops the task."""

    def __init__(self) -> None:
        self._listener: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Stop listening."""
        if self._listener is not None:
            self._listener.cancel()
            await asyncio.gather(self._listener, return_exceptions=True)
            self._listener = None
