"""How the database is reached: address, engine, and which failures mean that it is away."""

from __future__ import annotations

from sqlalchemy import Engine, create_engine
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, InterfaceError, OperationalError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import NullPool

from keeper.domain.errors import ComponentError, InputError

_DRIVER = "postgresql+psycopg"
_ACCEPTED = ("postgresql", "postgres", _DRIVER)

# A peer that vanished without closing the connection is noticed within some 15 seconds.
_CONNECT_ARGS = {
    "connect_timeout": 5,
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "tcp_user_timeout": 10_000,
    "application_name": "alpha-orion",
}


def database_address(url: str) -> URL:
    """Parse ``postgresql://user:password@host:port/name``; raises `InputError` without showing the password."""
    try:
        parsed = make_url(url)
    except ArgumentError as error:
        raise InputError(
            "ORION_DATABASE_URL", "(not a URL)", "Write postgresql://user:password@host:port/name."
        ) from error
    if parsed.drivername not in _ACCEPTED:
        raise InputError("ORION_DATABASE_URL", parsed.drivername, "Only PostgreSQL is supported: postgresql://...")
    return parsed.set(drivername=_DRIVER)


def async_engine(url: str, *, pool_size: int = 2) -> AsyncEngine:
    """An engine for asyncio; connections are opened when first needed."""
    return create_async_engine(
        database_address(url), pool_size=pool_size, max_overflow=pool_size, connect_args=_CONNECT_ARGS
    )


def sync_engine(url: str) -> Engine:
    """An engine for one short task, such as a migration: it keeps no connection open."""
    return create_engine(database_address(url), poolclass=NullPool, connect_args=_CONNECT_ARGS)


def is_away(error: DBAPIError) -> bool:
    """True when the server could not be reached or dropped the connection, so that a later try may succeed."""
    return isinstance(error, OperationalError | InterfaceError) or error.connection_invalidated


def away(url: str, error: BaseException) -> ComponentError:
    """The error to raise when the database stays away; names host and database, never the password."""
    address = database_address(url)
    lines = str(getattr(error, "orig", None) or error).strip().splitlines()
    cause = lines[0] if lines else type(error).__name__
    return ComponentError(
        "database",
        f"no answer from PostgreSQL at {address.host}:{address.port or 5432}/{address.database} ({cause})",
        "Check that the server runs and that ORION_DATABASE_URL is right; `keeper doctor` tells more.",
    )
