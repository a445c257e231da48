"""Follows each transaction from its block to the books: booked when it is deep enough, taken back by a reorg."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from keeper.domain.booking import Entry
from keeper.domain.chain import BlockHeader
from keeper.domain.errors import InputError
from keeper.domain.opportunity import Fate, FateChange
from keeper.domain.trade import Trade
from keeper.domain.units import Address
from keeper.treasury.ledger import Settled, outcome_entries, reversal

log = logging.getLogger(__name__)


@dataclass(slots=True)
class Followed:
    """What the treasurer knows of one transaction.

    Attributes:
        decided: False while a reorg has its outcome open, and when it was lost after that.
        lost: whether its last outcome is that no block has it.
        touched: block at which the above last changed.
        attempt: how often it was booked and taken back.
        booked: the entries that stand; empty before the booking and after a reversal.
    """

    settled: Settled
    touched: int
    decided: bool = True
    lost: bool = False
    attempt: int = 0
    booked: tuple[Entry, ...] = ()


class Treasurer:
    """Makes the entries of a run. It does no I/O: what `observe` returns is to be booked in that order.

    Args:
        book: see `keeper.domain.booking.Entry`.
        token: the profit token, worth the chain's coin one to one.
        confirmations: blocks, the transaction's own included, after which it is booked.
        reinvestment_bps: share of the net profit that becomes trading capital.
        depth: blocks for which a booked outcome can still be taken back.
    """

    def __init__(
        self, *, book: str, token: Address, confirmations: int, reinvestment_bps: int, depth: int = 64
    ) -> None:
        if confirmations < 1:
            raise InputError("ORION_CONFIRMATIONS", confirmations, "Give at least 1: the transaction's own block.")
        self.book = book
        self._token = token
        self._confirmations = confirmations
        self._reinvestment_bps = reinvestment_bps
        self._depth = max(depth, confirmations)
        self._followed: dict[UUID, Followed] = {}
        self._headers: dict[int, BlockHeader] = {}
        self._head: int | None = None

    @property
    def head(self) -> int | None:
        """The last block that was observed."""
        return self._head

    @property
    def waiting(self) -> int:
        """Transactions that are not deep enough to be booked."""
        return sum(one.decided and not one.booked for one in self._followed.values())

    def booked_up_to(self, head: int) -> int:
        """The last block whose transactions are all booked when ``head`` was the last one observed."""
        return head - self._confirmations + 1

    def follow(self, settled: Settled, header: BlockHeader, *, attempt: int) -> None:
        """Take up a transaction from an earlier run.

        Args:
            header: of its block.
            attempt: how often it was booked and taken back.
        """
        self._headers[header.number] = header
        self._followed[settled.opportunity_id] = Followed(settled, settled.block_number, attempt=attempt)

    def observe(self, header: BlockHeader, trades: Sequence[Trade], fates: Sequence[FateChange]) -> list[Entry]:
        """What a block brings to the books.

        Args:
            trades, fates: what this block decided, as the tracker of sent plans reports it: a fate `SUBMITTED` of a
                decided plan says that a reorg has dropped its block; a final fate without a new trade says that the
                outcome is the one before the reorg.
        """
        self._head = header.number
        self._headers[header.number] = header
        entries: list[Entry] = []
        decided = {trade.plan.opportunity.id: trade for trade in trades}
        for change in fates:
            if change.fate is Fate.SUBMITTED:
                entries += self._reopen(change.opportunity_id, header.number)
            elif change.opportunity_id not in decided and change.opportunity_id in self._followed:
                followed = self._followed[change.opportunity_id]
                followed.decided, followed.touched = not followed.lost, header.number
        for trade in trades:
            entries += self._decide(trade, header.number)
        for followed in self._followed.values():
            entries += self._book(followed, header.number)
        self._forget(header.number)
        return entries

    def _reopen(self, opportunity: UUID, head: int) -> list[Entry]:
        followed = self._followed.get(opportunity)
        if followed is None:
            return []
        followed.decided, followed.touched = False, head
        return self._take_back(followed)

    def _decide(self, trade: Trade, head: int) -> list[Entry]:
        opportunity, settled = trade.plan.opportunity.id, Settled.of(trade)
        followed = self._followed.get(opportunity)
        if followed is None:
            if settled is not None:
                self._followed[opportunity] = Followed(settled, head)
            return []
        taken_back = self._take_back(followed)
        followed.decided, followed.lost, followed.touched = settled is not None, settled is None, head
        if settled is not None:
            followed.settled = settled
        return taken_back

    def _take_back(self, followed: Followed) -> list[Entry]:
        if not followed.booked:
            return []
        log.warning("%s is taken out of the books: a reorg dropped its block", followed.settled.transaction_hash)
        entries = [reversal(entry, reason="reorg") for entry in followed.booked]
        followed.booked = ()
        followed.attempt += 1
        return entries

    def _book(self, followed: Followed, head: int) -> tuple[Entry, ...]:
        settled = followed.settled
        if not followed.decided or followed.booked or settled.block_number > self.booked_up_to(head):
            return ()
        header = self._headers.get(settled.block_number)
        followed.touched = head
        followed.booked = outcome_entries(
            settled,
            book=self.book,
            token=self._token,
            reinvestment_bps=self._reinvestment_bps,
            attempt=followed.attempt,
            base_fee=None if header is None else header.base_fee,
            builder=None if header is None else header.coinbase,
        )
        return followed.booked

    def _forget(self, head: int) -> None:
        """Drop what no reorg can reach: the tracker of sent plans has let go of it too."""
        oldest = head - self._depth
        self._followed = {
            id_: one for id_, one in self._followed.items() if one.touched > oldest or not (one.booked or one.lost)
        }
        kept = min([oldest, *(one.settled.block_number - 1 for one in self._followed.values())])
        self._headers = {number: header for number, header in self._headers.items() if number > kept}
