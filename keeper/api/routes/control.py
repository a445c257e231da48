"""Commands to the keeper: pause, resume, halt; each is recorded before it is sent, and acts once."""

from __future__ import annotations

import asyncio
import time
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Header, Response

from keeper.api import paging, schemas, views
from keeper.api.access import Operator, Viewer
from keeper.api.context import Context, Shared
from keeper.api.problems import Refused, answers
from keeper.domain.errors import ComponentError
from keeper.store.access import Grant
from keeper.store.audit import ControlAction
from keeper.store.control import Action, Command, ask
from keeper.store.queries import Key

router = APIRouter(prefix="/api/control", tags=["control"], responses=answers(401, 403, 422, 429, 503))

IdempotencyKey = Annotated[
    str,
    Header(
        pattern=r"^[A-Za-z0-9_-]{8,128}$",
        description="the same for the same click: a repeated request acts once and is answered alike",
        examples=["7f1c0b7e-5a57-4a43-8f0a-3f1f6f2d9f10"],
    ),
]
_POLL = 0.05
_ACTS = {
    202: {"description": "Sent, but the keeper has not answered within the time.", "model": schemas.ControlResult},
    **answers(409, 413, 415),
}


@router.post("/pause", responses=_ACTS)
async def pause(
    context: Shared, caller: Operator, response: Response, idempotency_key: IdempotencyKey, body: schemas.ControlRequest
) -> schemas.ControlResult:
    """Send nothing new. What is under way may still land; `details.in_flight` counts it."""
    return await _act(context, caller, response, Action.PAUSE, idempotency_key, body)


@router.post("/resume", responses=_ACTS)
async def resume(
    context: Shared, caller: Operator, response: Response, idempotency_key: IdempotencyKey, body: schemas.ResumeRequest
) -> schemas.ControlResult:
    """Trade again. After a halt this is refused unless `release_halt` is set."""
    return await _act(context, caller, response, Action.RESUME, idempotency_key, body)


@router.post("/halt", responses=_ACTS)
async def halt(
    context: Shared, caller: Operator, response: Response, idempotency_key: IdempotencyKey, body: schemas.ControlRequest
) -> schemas.ControlResult:
    """Engage the kill switch: nothing is signed any more, not even by a keeper that is started again."""
    return await _act(context, caller, response, Action.HALT, idempotency_key, body)


@router.get("/actions")
async def actions(
    context: Shared, _: Viewer, cursor: paging.CursorText = None, limit: paging.Limit = 50
) -> schemas.AuditPage:
    """Who did what, when, and what came of it; newest first."""
    before = paging.decode(cursor)
    rows = await context.audit.latest(limit=limit + 1, before=None if before is None else (before.at, before.id))
    last = rows[limit - 1] if len(rows) > limit else None
    return schemas.AuditPage(
        items=[views.action(row) for row in rows[:limit]],
        next_cursor=paging.encode(None if last is None else Key(last.requested_at, last.id)),
    )


async def _act(
    context: Context, caller: Grant, response: Response, action: Action, key: str, body: schemas.ControlRequest
) -> schemas.ControlResult:
    """Record the wish, send it once, record the answer."""
    request = body.model_dump()
    row, new = await context.audit.begin(key, caller, action.value, request)
    if new:
        # carried to its end even when the caller hangs up: what was sent has to be recorded
        row = await asyncio.shield(asyncio.ensure_future(_carry_out(context, row.id, caller, action, key, body)))
    elif (row.actor, row.action, row.request) != (caller.name, action.value, request):
        raise Refused(
            409,
            "conflict",
            "This Idempotency-Key was used for another request.",
            "Use a fresh key for each wish, for example a UUID.",
            field="header.idempotency-key",
        )
    else:
        row = await _outcome(context, row)
    return _result(response, row)


async def _carry_out(
    context: Context, action_id: UUID, caller: Grant, action: Action, key: str, body: schemas.ControlRequest
) -> ControlAction:
    command = Command(key, action, caller.name, body.reason, getattr(body, "release_halt", False))
    try:
        answer = await ask(context.redis_url, command, patience=context.options.control_patience)
    except ComponentError as error:
        await context.audit.finish(action_id, "failed", {"problem": error.problem, "component": error.component})
        raise
    if answer is None:
        return await context.audit.finish(action_id, "unanswered", {})
    return await context.audit.finish(
        action_id, "done" if answer.done else "refused", {"state": answer.state, **answer.details}
    )


async def _outcome(context: Context, row: ControlAction) -> ControlAction:
    """The row once the first request has brought it to its end, or as it is when that takes too long."""
    deadline = time.monotonic() + context.options.control_patience
    while row.result is None and time.monotonic() < deadline:
        await asyncio.sleep(_POLL)
        found = await context.audit.find(row.idempotency_key)
        row = found or row
    return row


def _result(response: Response, row: ControlAction) -> schemas.ControlResult:
    if row.result == "refused":
        remedy = str(row.details.get("remedy", "Look at the keeper's log."))
        raise Refused(409, "refused", f"The keeper refused: {row.details.get('problem', 'no reason given')}.", remedy)
    if row.result == "failed":
        component = str(row.details.get("component", "keeper"))
        raise ComponentError(component, str(row.details.get("problem")), "Use a fresh Idempotency-Key to try again.")
    if row.result != "done":
        response.status_code = 202
    return views.action(row)
