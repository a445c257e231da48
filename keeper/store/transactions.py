"""Runs work in transactions of the database: as a whole or not at all, again after a broken connection."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

from sqlalchemy.exc import DBAPIError, StatementError
from sqlalchemy.ext.asyncio import AsyncConnection

from keeper.domain.errors import ComponentError, InputError
from keeper.store.database import async_engine, away, is_away

log = logging.getLogger(__name__)

_FIRST_PAUSE = 0.05
_LONGEST_PAUSE = 1.0

Result = TypeVar("Result")


class Transactions:
    """Transactions on one database. Work has to be safe to repeat, even when the server had already committed it.

    Args:
        patience: seconds that a call goes on trying while the database is away; then it raises `ComponentError`.
    """

    def __init__(self, url: str, *, patience: float) -> None:
        self._url = url
        self._patience = patience
        self._engine = async_engine(url)

    async def run(self, work: Callable[[AsyncConnection], Awaitable[Result]]) -> Result:
        """Run ``work`` in a transaction of its own, again after each broken connection until patience ends."""
        deadline = time.monotonic() + self._patience
        pause = _FIRST_PAUSE
        while True:
            try:
                async with self._engine.begin() as connection:
                    return await work(connection)
            except StatementError as error:
                if isinstance(error.orig, InputError):
                    raise error.orig from None
                if not isinstance(error, DBAPIError):
                    raise
                if not is_away(error):
                    raise _refused(error) from error
                if time.monotonic() + pause > deadline:
                    raise away(self._url, error) from error
                log.debug("database is away, next try in %.2f s: %s", pause, error.orig)
            await asyncio.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)

    async def close(self) -> None:
        await self._engine.dispose()


def _refused(error: DBAPIError) -> Exception:
    """The error for a statement that the server understood and turned down."""
    cause = str(error.orig).strip().splitlines()[0] if error.orig else str(error)
    state = getattr(error.orig, "sqlstate", None) or ""
    if state.startswith(("22", "23")):
        return InputError("record", cause, "Correct the record; nothing of this call was written.")
    return ComponentError("database", f"refused to write ({cause})", "Run `keeper doctor`; the tables may be outdated.")
