"""Says which pools went into quarantine and why: in the log, on the bus, in a file; once each."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import orjson

from keeper.domain.units import Address
from keeper.market.book import Book
from keeper.market.difference import Difference

log = logging.getLogger(__name__)

Publish = Callable[[str, Mapping[str, Any]], None]


class Notices:
    """What has been said so far.

    Args:
        record: file that gets one JSON object a line for each case; None keeps none.
    """

    def __init__(self, chain_id: int, record: Path | None) -> None:
        self._chain_id = chain_id
        self._record = record
        self._said: set[Address] = set()
        self._publish: Publish | None = None
        self._set_status: Callable[..., None] | None = None

    def tell(self, publish: Publish, set_status: Callable[..., None]) -> None:
        """From now on publish events of the kind ``quarantine``, and keep ``pools``, ``pools_quarantined`` and
        ``pools_unread`` in the status."""
        self._publish, self._set_status = publish, set_status

    def announce(self, book: Book, differences: Iterable[Difference] = ()) -> None:
        """Say what is new in the quarantine; ``differences`` are what put some of it there."""
        for one in differences:
            theirs = None if one.theirs is None else dict(one.theirs)
            facts = {"ours": dict(one.ours), "theirs": theirs, "block": one.block}
            self._say(one.key, "differs from the chain", facts)
        for key in book.quarantined.keys() - self._said:
            self._say(key, book.quarantined[key], {"block": book.header.number})
        self._said &= book.quarantined.keys()
        if self._set_status is not None:
            self._set_status(
                pools=len(book.pools), pools_quarantined=len(book.quarantined), pools_unread=len(book.unread)
            )

    def _say(self, key: Address, reason: str, facts: Mapping[str, Any]) -> None:
        self._said.add(key)
        log.error("pool %s is put in quarantine: %s %s", key, reason, dict(facts))
        said = {"pool": key, "reason": reason, **facts}
        if self._publish is not None:
            self._publish("quarantine", said)
        if self._record is not None:
            self._record.parent.mkdir(parents=True, exist_ok=True)
            with self._record.open("ab") as file:
                file.write(orjson.dumps({"chain_id": self._chain_id, **said}, option=orjson.OPT_APPEND_NEWLINE))
