"""For those who supervise: is the process alive, can it do its work, and the figures for Prometheus."""

from __future__ import annotations

import time

from fastapi import APIRouter, Response
from prometheus_client import CONTENT_TYPE_PLAIN_0_0_4

import keeper
from keeper.api import schemas, views
from keeper.api.access import Viewer
from keeper.api.context import Context, Shared
from keeper.api.problems import answers
from keeper.domain.errors import ComponentError
from keeper.store.bus import STATUS_TTL

router = APIRouter(tags=["health"])


@router.get("/healthz")
async def healthz(context: Shared) -> schemas.Health:
    """Answers while the process lives; needs no token."""
    return schemas.Health(instance=context.instance, version=keeper.__version__)


@router.get(
    "/readyz", responses={503: {"description": "Something that is needed is away.", "model": schemas.Readiness}}
)
async def readyz(context: Shared, response: Response) -> schemas.Readiness:
    """200 while database, bus and keeper answer, else 503; needs no token."""
    database = await _database(context)
    status = await views.keeper_status(context.redis_url)
    bus = schemas.Check(ok=status is not None, detail="answers" if status is not None else "no answer")
    keeper = _keeper(status)
    ready = database.ok and bus.ok and keeper.ok
    if not ready:
        response.status_code = 503
    return schemas.Readiness(ready=ready, database=database, bus=bus, keeper=keeper)


async def _database(context: Context) -> schemas.Check:
    try:
        async with context.ledger.view() as view:
            await view.runs(1)
    except ComponentError:
        return schemas.Check(ok=False, detail="no answer")
    return schemas.Check(ok=True, detail="answers")


def _keeper(status: views.Status | None) -> schemas.Check:
    if status is None:
        return schemas.Check(ok=False, detail="unknown: the bus is away")
    beat = status.get("beat_at", "")
    if not beat.isdecimal():
        return schemas.Check(ok=False, detail="no heartbeat")
    age = (time.time_ns() - int(beat)) / 1e9
    return schemas.Check(ok=age <= STATUS_TTL, detail=f"{status.get('state', 'running')}, heartbeat {age:.1f} s ago")


@router.get(
    "/metrics",
    response_class=Response,
    responses={
        200: {"content": {"text/plain": {"schema": {"type": "string"}}}, "description": "Prometheus' text format."},
        **answers(401, 403, 429, 503),
    },
)
async def metrics(context: Shared, _: Viewer) -> Response:
    """Figures of the latest run, of the keeper and of this interface, for Prometheus."""
    status = await views.keeper_status(context.redis_url)
    async with context.ledger.view() as view:
        newest = await view.runs(1)
        run = newest[0]["id"] if newest else None
        totals, accuracy, fates = await view.totals(run), await view.accuracy(run), await view.fate_counts(run)
    text = context.telemetry.exposition(
        totals=totals, accuracy=accuracy, fates=fates, keeper=status or {}, bus=status is not None
    )
    return Response(text, media_type=CONTENT_TYPE_PLAIN_0_0_4)
