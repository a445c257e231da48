"""What the dashboard shows: key figures, the whole overview, and the opportunities with their lives."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Path, Query

from keeper.api import paging, schemas, views
from keeper.api.access import Viewer
from keeper.api.context import Shared
from keeper.api.problems import Refused, answers
from keeper.domain.opportunity import Fate
from keeper.store.queries import LedgerView

router = APIRouter(prefix="/api/dashboard", tags=["dashboard"], responses=answers(401, 403, 422, 429, 503))

RunChoice = Annotated[
    str,
    Query(
        pattern=r"^(current|all|[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12})$",
        description="`current`, the latest run; `all`; or the id of a run",
    ),
]


async def _run(view: LedgerView, choice: str) -> UUID | None:
    """The run that is meant; None for all of them, and while there is none yet."""
    if choice == "current":
        newest = await view.runs(1)
        return newest[0]["id"] if newest else None
    return None if choice == "all" else UUID(choice)


@router.get("/stats")
async def stats(context: Shared, _: Viewer, run: RunChoice = "current") -> schemas.Stats:
    """Key figures of a run and what the keeper is doing."""
    status = await views.keeper_status(context.redis_url)
    async with context.ledger.view() as view:
        return await views.stats(view, await _run(view, run), status)


@router.get("/mission-control")
async def mission_control(context: Shared, _: Viewer, run: RunChoice = "current") -> schemas.MissionControl:
    """Everything the overview shows, in one answer."""
    status = await views.keeper_status(context.redis_url)
    async with context.ledger.view() as view:
        return await views.mission_control(view, await _run(view, run), status)


@router.get("/opportunities")
async def opportunities(
    context: Shared,
    _: Viewer,
    run: RunChoice = "all",
    fate: Annotated[Fate | None, Query()] = None,
    strategy: Annotated[str | None, Query(pattern=paging.NAME, max_length=64, examples=["cross_dex"])] = None,
    cursor: paging.CursorText = None,
    limit: paging.Limit = 50,
) -> schemas.OpportunityPage:
    """Opportunities, newest first, with their present fate."""
    async with context.ledger.view() as view:
        page = await view.opportunities(
            await _run(view, run), before=paging.decode(cursor), limit=limit, fate=fate, strategy=strategy
        )
    return schemas.OpportunityPage(
        items=[views.opportunity(row) for row in page.rows], next_cursor=paging.encode(page.older)
    )


@router.get("/opportunities/{opportunity_id}", responses=answers(404))
async def life(
    context: Shared, _: Viewer, opportunity_id: Annotated[UUID, Path(description="id of an opportunity")]
) -> schemas.OpportunityLife:
    """One opportunity with every step of its life and its transactions."""
    async with context.ledger.view() as view:
        row = await view.life(opportunity_id)
    if row is None:
        raise Refused(
            404,
            "not-found",
            f"There is no opportunity {opportunity_id}.",
            "Take an id from /api/dashboard/opportunities.",
            field="path.opportunity_id",
        )
    return views.life(row)
