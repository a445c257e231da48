"""How the keeper and the tests steer a running replica: JSON-RPC on loopback behind a random token, and its client."""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass
from types import TracebackType
from typing import Any, Protocol, Self

import httpx
import orjson
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from keeper.domain.errors import ComponentError, InputError
from keeper.replica.http_server import LoopbackServer

_TIMEOUT_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class ReplicaStatus:
    """Where a replica stands.

    Attributes:
        phase: ``setup`` (every transaction is mined at once), ``running``, ``paused``, ``failed`` or ``stopped``.
        block: the newest block.
        advanced_to: the newest block that the keeper has finished with; 0 before the first.
        seed, block_time, paced, rival: as it was started.
        bundles_seen: taken in by the builder, the rival's among them.
        bundles: how many had which fate: landed, dropped, expired, cancelled, replaced.
        drop_reasons: newest bundles that did not land, oldest first: hash, block, signer, fate, reason.
        traffic_sent, traffic_reverted: ordinary swaps mined so far, and those among them that failed.
        problem: what went wrong; empty unless the phase is ``failed``.
    """

    phase: str
    block: int
    advanced_to: int
    seed: int
    block_time: float
    paced: bool
    rival: bool
    bundles_seen: int
    bundles: dict[str, int]
    drop_reasons: list[dict[str, Any]]
    traffic_sent: int
    traffic_reverted: int
    problem: str


class Controlled(Protocol):
    """What the endpoint steers."""

    def advance(self, block: int) -> None: ...

    def pause(self) -> None: ...

    def resume(self) -> None: ...

    async def status(self) -> ReplicaStatus: ...


class ControlServer:
    """Serves `Controlled` on 127.0.0.1; requests need ``Authorization: Bearer <token>``."""

    def __init__(self, service: Controlled, port: int = 0) -> None:
        self.token = secrets.token_urlsafe(24)
        self._service = service
        routes = [Route("/", self._serve, methods=["POST"])]
        self._server = LoopbackServer("replica control", Starlette(routes=routes), port)
        self._methods: dict[str, Callable[[list[Any]], Awaitable[Any]]] = {
            "advance": self._advance,
            "pause": self._pause,
            "resume": self._resume,
            "status": self._status,
        }

    @property
    def url(self) -> str:
        return self._server.url

    async def start(self) -> None:
        await self._server.start()

    async def stop(self) -> None:
        await self._server.stop()

    async def _serve(self, request: Request) -> Response:
        given = request.headers.get("authorization", "")
        if not secrets.compare_digest(given.encode(), f"Bearer {self.token}".encode()):
            return _answer(None, error=(-32600, "wrong or missing token"), status=401)
        try:
            call = orjson.loads(await request.body())
        except orjson.JSONDecodeError as error:
            return _answer(None, error=(-32700, str(error)), status=400)
        if not isinstance(call, dict) or not isinstance(call.get("params", []), list):
            return _answer(None, error=(-32600, "expected one JSON-RPC object with a list of params"), status=400)
        method = self._methods.get(str(call.get("method")))
        if method is None:
            return _answer(call.get("id"), error=(-32601, f"methods are {', '.join(self._methods)}"))
        try:
            return _answer(call.get("id"), result=await method(call.get("params", [])))
        except InputError as error:
            return _answer(call.get("id"), error=(-32602, str(error)))

    async def _advance(self, params: list[Any]) -> None:
        if len(params) != 1 or not isinstance(params[0], int) or isinstance(params[0], bool):
            raise InputError("params", params, "Give the number of the block the keeper has finished with.")
        self._service.advance(params[0])

    async def _pause(self, _: list[Any]) -> None:
        self._service.pause()

    async def _resume(self, _: list[Any]) -> None:
        self._service.resume()

    async def _status(self, _: list[Any]) -> dict[str, Any]:
        return asdict(await self._service.status())


def _answer(
    call_id: object, *, result: object = None, error: tuple[int, str] | None = None, status: int = 200
) -> Response:
    payload: dict[str, object] = {"jsonrpc": "2.0", "id": call_id}
    if error is None:
        payload["result"] = result
    else:
        payload["error"] = {"code": error[0], "message": error[1]}
    return Response(orjson.dumps(payload), status_code=status, media_type="application/json")


class ReplicaControl:
    """Client of the control endpoint; calls raise `ComponentError` when the replica does not answer or refuses."""

    def __init__(self, url: str, token: str) -> None:
        self._url = url
        self._http = httpx.AsyncClient(
            timeout=_TIMEOUT_SECONDS, trust_env=False, headers={"Authorization": f"Bearer {token}"}
        )

    async def advance(self, block: int) -> None:
        """The keeper is done with ``block``: in a paced run the next one may be built."""
        await self._call("advance", block)

    async def pause(self) -> None:
        """Build no more blocks after the current one. What is sent meanwhile waits in the mempool."""
        await self._call("pause")

    async def resume(self) -> None:
        """Leave the set-up phase, or go on after a pause."""
        await self._call("resume")

    async def status(self) -> ReplicaStatus:
        return ReplicaStatus(**await self._call("status"))

    async def close(self) -> None:
        await self._http.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def _call(self, method: str, *params: object) -> Any:
        body = orjson.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params})
        try:
            response = await self._http.post(self._url, content=body)
            answer = orjson.loads(response.content)
        except (httpx.HTTPError, orjson.JSONDecodeError) as error:
            raise ComponentError(
                "replica control", f"no answer to {method} ({type(error).__name__})", "Is the replica still running?"
            ) from error
        if "error" in answer:
            raise ComponentError("replica control", f"{method}: {answer['error']['message']}", "Check the call.")
        return answer["result"]
