"""Watches what the keeper started: brings the database and the bus back, and ends the run when the chain is gone."""

from __future__ import annotations

import logging
import time

from keeper.domain.errors import ComponentError
from keeper.embedded.process import ManagedProcess
from keeper.embedded.server import EmbeddedServer

log = logging.getLogger(__name__)

MOST_RESTARTS = 5
FORGOTTEN_AFTER_SECONDS = 600.0


async def keep_up(server: EmbeddedServer) -> None:
    """Start ``server`` again whenever it ends by itself; clients find it at the same address.

    Raises:
        ComponentError: it ended `MOST_RESTARTS` times within `FORGOTTEN_AFTER_SECONDS`, or cannot be started.
    """
    ends: list[float] = []
    while True:
        status = await server.wait()
        now = time.monotonic()
        ends = [end for end in ends if now - end < FORGOTTEN_AFTER_SECONDS] + [now]
        if len(ends) > MOST_RESTARTS:
            raise ComponentError(
                server.name,
                f"ended {len(ends)} times within {FORGOTTEN_AFTER_SECONDS / 60:.0f} minutes",
                f"Read its log in {server.log_dir} and run `keeper doctor`.",
            )
        log.error("%s: ended with status %d; it is started again.", server.name, status)
        await server.start()
        log.warning("%s: runs again.", server.name)


async def must_run(process: ManagedProcess, remedy: str) -> None:
    """Raises `ComponentError` with the last lines of its log as soon as ``process`` ends."""
    status = await process.wait()
    tail = process.log_tail(5)
    raise ComponentError(process.name, f"ended with status {status}" + (f", saying:\n{tail}\n" if tail else ""), remedy)
