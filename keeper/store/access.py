"""Who may use the API: bearer tokens with a role, of which only a hash is kept."""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from uuid import UUID, uuid4

from sqlalchemy import select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import OperationalError

from keeper.domain.errors import InputError
from keeper.store.database import async_engine, away
from keeper.store.models import TokenGrantRow

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9 ._@-]{0,63}")
_TOKEN = re.compile(r"orion_([0-9a-f]{12})_[A-Za-z0-9_-]{43}")
_NOBODY = hashlib.sha256(b"no token has this digest").hexdigest()


class Role(StrEnum):
    """What a token may do; each role may do all that the ones before it may."""

    VIEWER = "viewer"
    """Look at everything that is no secret."""
    OPERATOR = "operator"
    """Pause, resume and halt trading."""
    TREASURER = "treasurer"
    """Move money to where the contracts allow."""

    def covers(self, needed: Role) -> bool:
        order = list(Role)
        return order.index(self) >= order.index(needed)


@dataclass(frozen=True, slots=True)
class Grant:
    """A token as it is known after its creation."""

    id: UUID
    key: str
    name: str
    role: Role
    created_at: datetime
    revoked_at: datetime | None


class TokenBook:
    """Creates, recognises and revokes tokens; every call raises `ComponentError` when the database is away."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._engine = async_engine(url)

    async def create(self, name: str, role: Role) -> tuple[str, Grant]:
        """A new token, which is shown this once, and its grant.

        Raises:
            InputError: the name is unfit, or another token has or had it: the record of actions names tokens by it.
        """
        if not _NAME.fullmatch(name):
            raise InputError("name", name, "Use 1 to 64 letters, digits, spaces or . _ @ -, a letter or digit first.")
        key = secrets.token_hex(6)
        token = f"orion_{key}_{secrets.token_urlsafe(32)}"
        grant = Grant(uuid4(), key, name, role, datetime.now(UTC), None)
        row = {
            "id": grant.id,
            "key": key,
            "name": name,
            "role": role.value,
            "digest": _digest(token),
            "created_at": grant.created_at,
        }
        try:
            async with self._engine.begin() as connection:
                done = await connection.execute(
                    insert(TokenGrantRow).on_conflict_do_nothing().returning(TokenGrantRow.id), row
                )
                taken = done.first() is None
        except OperationalError as error:
            raise away(self._url, error) from error
        if taken:
            raise InputError("name", name, "A token has or had this name; choose another one.")
        return token, grant

    async def all(self) -> list[Grant]:
        """Every token there ever was, oldest first."""
        try:
            async with self._engine.connect() as connection:
                rows = await connection.execute(select(TokenGrantRow.__table__).order_by(TokenGrantRow.created_at))
                return [_grant(dict(row)) for row in rows.mappings()]
        except OperationalError as error:
            raise away(self._url, error) from error

    async def revoke(self, name: str) -> Grant:
        """End the token called ``name`` from this moment; `InputError` when there is none or it has ended before."""
        ended = (
            update(TokenGrantRow)
            .where(TokenGrantRow.name == name, TokenGrantRow.revoked_at.is_(None))
            .values(revoked_at=datetime.now(UTC))
            .returning(TokenGrantRow.__table__)
        )
        try:
            async with self._engine.begin() as connection:
                row = (await connection.execute(ended)).mappings().first()
        except OperationalError as error:
            raise away(self._url, error) from error
        if row is None:
            raise InputError("name", name, "No valid token has this name; `keeper token list` shows all.")
        return _grant(dict(row))

    async def recognise(self, token: str) -> Grant | None:
        """The grant of a valid token; None for one that is malformed, unknown or revoked, without saying which."""
        match = _TOKEN.fullmatch(token)
        if match is None:
            return None
        try:
            async with self._engine.connect() as connection:
                found = await connection.execute(
                    select(TokenGrantRow.__table__).where(TokenGrantRow.key == match.group(1))
                )
                row = found.mappings().first()
        except OperationalError as error:
            raise away(self._url, error) from error
        # An unknown key is compared all the same, and the comparison takes as long wherever the difference is.
        right = hmac.compare_digest(_digest(token), _NOBODY if row is None else row["digest"])
        if row is None or not right or row["revoked_at"] is not None:
            return None
        return _grant(dict(row))

    async def still_valid(self, grant: Grant) -> bool:
        """Whether a grant that was recognised before has not been revoked since."""
        try:
            async with self._engine.connect() as connection:
                found = await connection.execute(
                    select(TokenGrantRow.id).where(TokenGrantRow.id == grant.id, TokenGrantRow.revoked_at.is_(None))
                )
                return found.first() is not None
        except OperationalError as error:
            raise away(self._url, error) from error

    async def close(self) -> None:
        await self._engine.dispose()


def _digest(token: str) -> str:
    # 256 random bits need no slow hash: there is nothing to guess
    return hashlib.sha256(token.encode()).hexdigest()


def _grant(row: dict[str, object]) -> Grant:
    return Grant(
        id=row["id"],  # type: ignore[arg-type]
        key=str(row["key"]),
        name=str(row["name"]),
        role=Role(str(row["role"])),
        created_at=row["created_at"],  # type: ignore[arg-type]
        revoked_at=row["revoked_at"],  # type: ignore[arg-type]
    )
