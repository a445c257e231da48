"""The record of control actions: who asked for what, when, and what came of it; it also makes a repeat act once."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import select, tuple_, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import OperationalError

from keeper.store.access import Grant
from keeper.store.database import async_engine, away
from keeper.store.documents import clean
from keeper.store.models import ControlActionRow


@dataclass(frozen=True, slots=True)
class ControlAction:
    """One row of the record; ``result`` is None while the keeper has not answered."""

    id: UUID
    idempotency_key: str
    actor: str
    role: str
    action: str
    request: dict[str, Any]
    requested_at: datetime
    finished_at: datetime | None
    result: str | None
    details: dict[str, Any]


class AuditLog:
    """Every call raises `ComponentError` when the database is away: what cannot be recorded is not done."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._engine = async_engine(url)

    async def begin(self, key: str, who: Grant, action: str, request: dict[str, Any]) -> tuple[ControlAction, bool]:
        """Write the wish down before anything is done.

        Returns:
            The row, and whether it is new; False when ``key`` was used before, by whomever and for whatever.
        """
        row = {
            "id": uuid4(),
            "idempotency_key": key,
            "actor": who.name,
            "role": who.role.value,
            "action": action,
            "request": clean(request),
            "requested_at": datetime.now(UTC),
            "details": {},
        }
        try:
            async with self._engine.begin() as connection:
                written = await connection.execute(
                    insert(ControlActionRow).on_conflict_do_nothing().returning(ControlActionRow.__table__), row
                )
                mine = written.mappings().first()
                if mine is not None:
                    return ControlAction(**mine), True
        except OperationalError as error:
            raise away(self._url, error) from error
        known = await self.find(key)
        assert known is not None, "rows are never removed"
        return known, False

    async def find(self, key: str) -> ControlAction | None:
        try:
            async with self._engine.connect() as connection:
                found = await connection.execute(
                    select(ControlActionRow.__table__).where(ControlActionRow.idempotency_key == key)
                )
                row = found.mappings().first()
        except OperationalError as error:
            raise away(self._url, error) from error
        return None if row is None else ControlAction(**row)

    async def finish(self, action: UUID, result: str, details: dict[str, Any]) -> ControlAction:
        """Write down what came of it; the first result stays."""
        mine = ControlActionRow.id == action
        try:
            async with self._engine.begin() as connection:
                await connection.execute(
                    update(ControlActionRow)
                    .where(mine, ControlActionRow.result.is_(None))
                    .values(finished_at=datetime.now(UTC), result=result, details=clean(details))
                )
                found = await connection.execute(select(ControlActionRow.__table__).where(mine))
                return ControlAction(**found.mappings().one())
        except OperationalError as error:
            raise away(self._url, error) from error

    async def latest(self, *, limit: int, before: tuple[datetime, UUID] | None = None) -> list[ControlAction]:
        """Actions, newest first; with ``before``, the ones older than that."""
        order = (ControlActionRow.requested_at, ControlActionRow.id)
        query = select(ControlActionRow.__table__).order_by(*(column.desc() for column in order)).limit(limit)
        if before is not None:
            query = query.where(tuple_(*order) < before)
        try:
            async with self._engine.connect() as connection:
                return [ControlAction(**row) for row in (await connection.execute(query)).mappings()]
        except OperationalError as error:
            raise away(self._url, error) from error

    async def close(self) -> None:
        await self._engine.dispose()
