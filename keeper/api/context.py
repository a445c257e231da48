"""What the routes share: the stores, the limits and the options of one application."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Annotated, cast
from uuid import uuid4

from fastapi import Depends
from starlette.requests import HTTPConnection

from keeper.api.hub import Hub
from keeper.api.limits import RateLimiter
from keeper.api.telemetry import Telemetry
from keeper.store.access import TokenBook
from keeper.store.audit import AuditLog
from keeper.store.queries import Ledger


@dataclass(frozen=True, slots=True)
class Options:
    """Limits of the interface.

    Attributes:
        rate, burst: requests of one token: per second in the long run, and at once.
        failed_rate, failed_burst: the same for requests of one address whose token is wrong.
        max_body: bytes of a request's body.
        control_patience: seconds to wait for the keeper's answer to a command.
        ws_queue: messages that wait for one WebSocket client before it counts as too slow.
        ws_clients: WebSocket connections at once.
        ws_max_message: bytes of a message from a client.
        ws_auth_seconds: within which a client has to show its token.
        ws_recheck_seconds: how often the token of an open connection is looked up again.
    """

    rate: float = 20.0
    burst: int = 60
    failed_rate: float = 0.5
    failed_burst: int = 10
    max_body: int = 16_384
    control_patience: float = 5.0
    ws_queue: int = 256
    ws_clients: int = 1_024
    ws_max_message: int = 4_096
    ws_auth_seconds: float = 5.0
    ws_recheck_seconds: float = 15.0


@dataclass(frozen=True, slots=True)
class Context:
    """One for each application; opened and closed with it.

    Attributes:
        settings: what `/api/config` shows; holds no secret.
        instance: changes with each start.
    """

    redis_url: str
    ledger: Ledger
    tokens: TokenBook
    audit: AuditLog
    hub: Hub
    settings: Mapping[str, object]
    options: Options
    telemetry: Telemetry
    limiter: RateLimiter
    failures: RateLimiter
    instance: str = field(default_factory=lambda: uuid4().hex)

    @classmethod
    def create(
        cls,
        database_url: str,
        redis_url: str,
        settings: Mapping[str, object],
        options: Options,
        clock: Callable[[], float] = time.monotonic,
    ) -> Context:
        return cls(
            redis_url=redis_url,
            ledger=Ledger(database_url),
            tokens=TokenBook(database_url),
            audit=AuditLog(database_url),
            hub=Hub(redis_url, options.ws_queue),
            settings=settings,
            options=options,
            telemetry=Telemetry(),
            limiter=RateLimiter(options.rate, options.burst, clock),
            failures=RateLimiter(options.failed_rate, options.failed_burst, clock),
        )

    async def close(self) -> None:
        await self.hub.close()
        await self.ledger.close()
        await self.tokens.close()
        await self.audit.close()


def context_of(connection: HTTPConnection) -> Context:
    return cast("Context", connection.app.state.context)


Shared = Annotated[Context, Depends(context_of)]
