"""A small asynchronous JSON-RPC client over HTTP, for talking to the replica's own node."""

from __future__ import annotations

from itertools import count
from types import TracebackType
from typing import Any, Self

import httpx
import orjson

from keeper.domain.errors import ComponentError, OrionError

REQUEST_TIMEOUT = 60.0


class RpcError(OrionError):
    """The node answered with an error object.

    Attributes:
        code: JSON-RPC error code.
        data: the error's ``data``: for a reverted call its return data in hex.
    """

    def __init__(self, method: str, error: dict[str, Any]) -> None:
        self.code: int = error.get("code", 0)
        self.data: Any = error.get("data")
        super().__init__(f"{method}: {error.get('message', 'no message')}" + (f" ({self.data})" if self.data else ""))


class Rpc:
    """One HTTP connection to one node."""

    def __init__(self, url: str) -> None:
        self.url = url
        # the node is this machine's own: a proxy from the environment must not come between
        self._http = httpx.AsyncClient(timeout=REQUEST_TIMEOUT, trust_env=False)
        self._ids = count(1)

    async def __call__(self, method: str, *params: Any) -> Any:
        """The ``result`` of one request.

        Raises:
            RpcError: the node refused.
            ComponentError: nobody answered, or the answer is not JSON-RPC.
        """
        body = orjson.dumps({"jsonrpc": "2.0", "id": next(self._ids), "method": method, "params": params})
        try:
            response = await self._http.post(self.url, content=body, headers={"Content-Type": "application/json"})
            answer = orjson.loads(response.content)
        except (httpx.HTTPError, orjson.JSONDecodeError) as error:
            raise ComponentError(
                f"node {self.url}", f"no answer to {method} ({error or type(error).__name__})", "Is it still running?"
            ) from error
        if "error" in answer:
            raise RpcError(method, answer["error"])
        return answer["result"]

    async def close(self) -> None:
        await self._http.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()
