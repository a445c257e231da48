"""Who may call: bearer tokens, their roles, and the limit on their requests."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Request, Security
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from starlette.requests import HTTPConnection

from keeper.api.context import Context, Shared
from keeper.api.problems import Refused
from keeper.store.access import Grant, Role

_BEARER = HTTPBearer(
    auto_error=False,
    scheme_name="token",
    description="Made by `keeper token create --role viewer --name NAME`, shown once.",
)


async def _caller(
    request: Request,
    context: Shared,
    given: Annotated[HTTPAuthorizationCredentials | None, Security(_BEARER)],
) -> Grant:
    """The grant of the request's token; raises `Refused` without one, or when it asks too often."""
    # commands have a bucket of their own: a dashboard that polls too eagerly must never stand in the way of a halt
    share = "commands" if request.method == "POST" else "questions"
    return await recognise(context, request, None if given is None else given.credentials, share)


async def recognise(context: Context, connection: HTTPConnection, token: str | None, share: str = "questions") -> Grant:
    """The grant of ``token``; `Refused` with 401 or 429.

    Only those without a valid token are held up by the wrong ones that came from their address.
    """
    grant = None if token is None else await context.tokens.recognise(token)
    if grant is None:
        address = connection.client.host if connection.client else "unknown"
        if seconds := context.failures.wait(address):
            raise _too_many(seconds, "Too many requests without a valid token came from this address.")
        raise Refused(
            401,
            "unauthorized",
            "A valid bearer token is needed; none was given, or it is unknown or revoked.",
            "Send `Authorization: Bearer orion_...`; `keeper token create` makes one.",
            headers={"WWW-Authenticate": 'Bearer realm="alpha-orion"'},
        )
    if seconds := context.limiter.wait((grant.id, share)):
        raise _too_many(seconds, f"The token {grant.name!r} made more requests than it may.")
    return grant


def _too_many(seconds: int, detail: str) -> Refused:
    return Refused(
        429, "rate-limited", detail, f"Wait {seconds} s and ask less often.", headers={"Retry-After": str(seconds)}
    )


Caller = Annotated[Grant, Depends(_caller)]
"""Any valid token."""


class Needs:
    """A dependency that lets through tokens whose role covers ``role``."""

    def __init__(self, role: Role) -> None:
        self._role = role

    async def __call__(self, caller: Caller) -> Grant:
        if not caller.role.covers(self._role):
            raise Refused(
                403,
                "forbidden",
                f"The token {caller.name!r} has the role {caller.role.value}; this needs {self._role.value}.",
                f"Use a token made with `keeper token create --role {self._role.value}`.",
            )
        return caller


Viewer = Annotated[Grant, Depends(Needs(Role.VIEWER))]
Operator = Annotated[Grant, Depends(Needs(Role.OPERATOR))]
