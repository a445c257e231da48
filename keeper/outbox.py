"""Keeps what has to be written down until it is durable, in order, through any outage of the database."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Sequence
from typing import Any

from keeper.domain.booking import Entry
from keeper.domain.errors import ComponentError
from keeper.domain.opportunity import FateChange, Opportunity
from keeper.domain.protocols import BlockReport, Recorder
from keeper.domain.trade import Trade

log = logging.getLogger(__name__)

LIMIT = 50_000
"""Records held in memory; beyond it the keeper stops rather than forget one."""


class Outbox:
    """A queue in front of a `Recorder`.

    Nothing is sent to a relay while `flush` returns False, so that no trade can exist without its record.
    """

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder
        self._waiting: deque[tuple[str, Any]] = deque()
        self._held = 0
        self._down = False

    def opportunities(self, found: Sequence[Opportunity]) -> None:
        self._add("opportunities", found)

    def fates(self, changes: Sequence[FateChange]) -> None:
        self._add("fates", changes)

    def trades(self, trades: Sequence[Trade]) -> None:
        self._add("trades", trades)

    def entries(self, entries: Sequence[Entry]) -> None:
        self._add("entries", entries)

    def block(self, report: BlockReport) -> None:
        self._waiting.append(("block", report))
        self._held += 1

    def _add(self, kind: str, records: Sequence[Any]) -> None:
        if records:
            self._waiting.append((kind, tuple(records)))
            self._held += len(records)

    @property
    def waiting(self) -> int:
        """Records that are not durable yet."""
        return self._held

    async def flush(self) -> bool:
        """Write everything that waits, oldest first.

        Returns:
            True when all is durable; False while the database is away (said once, and once on recovery).

        Raises:
            ComponentError: more than `LIMIT` records wait.
        """
        while self._waiting:
            kind, records = self._waiting[0]
            try:
                await getattr(self._recorder, kind)(records)
            except ComponentError as error:
                if not self._down:
                    self._down = True
                    log.error("%s No plan is sent until the records are safe.", error)
                if self._held > LIMIT:
                    raise ComponentError(
                        "database",
                        f"{self._held} records wait for it",
                        "Bring the database back and start the keeper again.",
                    ) from error
                return False
            self._waiting.popleft()
            self._held -= 1 if kind == "block" else len(records)
        if self._down:
            self._down = False
            log.warning("database: back; every record that waited is written.")
        return True
