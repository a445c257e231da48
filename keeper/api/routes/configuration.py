"""The settings in force, without their secrets."""

from __future__ import annotations

from fastapi import APIRouter

from keeper.api import schemas
from keeper.api.access import Viewer
from keeper.api.context import Shared
from keeper.api.problems import answers

router = APIRouter(prefix="/api", tags=["configuration"], responses=answers(401, 403, 429, 503))


@router.get("/config")
async def configuration(context: Shared, _: Viewer) -> schemas.Configuration:
    """Every setting by name; of a secret one, only whether it is set."""
    return schemas.Configuration(settings=dict(context.settings))
