"""The history of trades: filtered, paged by cursor or by number, or as one CSV file."""

from __future__ import annotations

import csv
import io
from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends, Query
from fastapi.responses import StreamingResponse
from pydantic import AwareDatetime

from keeper.api import paging, schemas, views
from keeper.api.access import Viewer
from keeper.api.context import Context, Shared
from keeper.api.problems import answers
from keeper.domain.errors import InputError
from keeper.domain.trade import TradeStatus
from keeper.store.queries import MAX_PAGE, Key, Page, Row

router = APIRouter(prefix="/api/history", tags=["history"], responses=answers(401, 403, 422, 429, 503))

COUNTED = 10_000
MAX_PAGE_NUMBER = 10_000
COLUMNS = (
    *("id", "timestamp", "chain", "strategy", "status", "profit", "transaction_hash", "block_number", "gas_cost"),
    *("loan_amount", "predicted_wei", "realised_wei", "lender", "opportunity_id", "run_id", "reason"),
)


@dataclass(frozen=True, slots=True)
class Filters:
    """The filters of a request, as `LedgerView.trades` takes them."""

    run: UUID | None
    by: dict[str, Any]


def _filters(
    run: Annotated[UUID | None, Query(description="of this run only")] = None,
    chain: Annotated[str | None, Query(pattern=paging.NAME, max_length=64, examples=["ethereum"])] = None,
    strategy: Annotated[str | None, Query(pattern=paging.NAME, max_length=64, examples=["cross_dex"])] = None,
    status: Annotated[TradeStatus | None, Query()] = None,
    since: Annotated[
        AwareDatetime | None, Query(description="not before; with a time zone", examples=["2026-01-01T00:00:00Z"])
    ] = None,
    until: Annotated[
        AwareDatetime | None, Query(description="not after; with a time zone", examples=["2026-12-31T23:59:59Z"])
    ] = None,
) -> Filters:
    if since is not None and until is not None and since > until:
        raise InputError("query.since", since.isoformat(), "Give a time that is not after `until`.")
    return Filters(run, {"chain": chain, "strategy": strategy, "status": status, "since": since, "until": until})


Wanted = Annotated[Filters, Depends(_filters)]


@router.get("/trades")
async def trades(
    context: Shared,
    _: Viewer,
    wanted: Wanted,
    cursor: paging.CursorText = None,
    page: Annotated[int | None, Query(ge=1, le=MAX_PAGE_NUMBER, description="instead of a cursor")] = None,
    as_of: Annotated[
        str | None, Query(max_length=200, description="of the first page; keeps the others in place")
    ] = None,
    limit: paging.Limit = 50,
) -> schemas.TradePage:
    """Trades, newest first.

    Paging by `cursor` costs the same wherever the page is and is not moved by new trades. Paging by `page` number
    starts with page 1; pass the `as_of` of its answer with the next numbers.
    """
    if cursor is not None and (page is not None or as_of is not None):
        raise InputError("query.cursor", cursor, "Page either by cursor, or by page and as_of.")
    before, newest = paging.decode(cursor), paging.decode(as_of, "query.as_of")
    async with context.ledger.view() as view:
        found = await view.trades(
            wanted.run,
            before=before,
            limit=limit,
            newest=newest,
            skip=0 if page is None else (page - 1) * limit,
            **wanted.by,
        )
        total = None
        if page is not None:
            total = await view.trade_count(wanted.run, newest=newest, most=COUNTED, **wanted.by)
    if page == 1 and newest is None and found.rows:
        newest = _key(found.rows[0])
    return schemas.TradePage(
        items=[views.trade(row) for row in found.rows],
        next_cursor=paging.encode(found.older),
        page=page,
        as_of=paging.encode(newest),
        total=None if total is None else min(total, COUNTED),
        total_is_exact=None if total is None else total <= COUNTED,
    )


@router.get(
    "/trades.csv",
    response_class=StreamingResponse,
    responses={200: {"content": {"text/csv": {"schema": {"type": "string"}}}, "description": "All trades that fit."}},
)
async def export(context: Shared, _: Viewer, wanted: Wanted) -> StreamingResponse:
    """All trades that fit, newest first, as they were when the download began; amounts in wei."""
    first = await _batch(context, wanted, None)
    return StreamingResponse(
        _lines(context, wanted, first),
        media_type="text/csv; charset=utf-8",
        headers={"Content-Disposition": 'attachment; filename="trades.csv"'},
    )


async def _batch(context: Context, wanted: Filters, before: Key | None) -> Page:
    # a view for each batch: a slow download holds no connection of the database
    async with context.ledger.view() as view:
        return await view.trades(wanted.run, before=before, limit=MAX_PAGE, **wanted.by)


async def _lines(context: Context, wanted: Filters, page: Page) -> AsyncIterator[str]:
    yield _csv([COLUMNS])
    while True:
        yield _csv([_cells(row) for row in page.rows])
        if page.older is None:
            return
        page = await _batch(context, wanted, page.older)


def _cells(row: Row) -> tuple[object, ...]:
    values = {**row, "timestamp": row["timestamp"].isoformat(), "reason": row["details"].get("reason", "")}
    return tuple(_harmless(values[name]) for name in COLUMNS)


def _harmless(value: object) -> object:
    """Foreign text, such as a revert reason, must not become a formula in a spreadsheet; numbers stay as they are."""
    return f"'{value}" if isinstance(value, str) and value.startswith(("=", "+", "-", "@", "\t", "\r")) else value


def _csv(rows: Iterable[Sequence[object]]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\r\n").writerows(rows)
    return text.getvalue()


def _key(row: Row) -> Key:
    return Key(row["timestamp"], row["id"])
