"""Publishes a contract's source where people look it up: explorers with Etherscan's API (version 2), and Sourcify.

Both take the compiler's standard JSON input, work on it for a while, and are asked for the outcome.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final, Protocol
from urllib.parse import urlsplit

import aiohttp
import orjson

from keeper.domain.errors import ComponentError, InputError
from keeper.domain.units import Address
from keeper.execution.contract_build import Build

ETHERSCAN_URL: Final = "https://api.etherscan.io/v2/api"
SOURCIFY_URL: Final = "https://sourcify.dev/server"
_SHOWN = 200


class Verdict(StrEnum):
    VERIFIED = "verified"
    ALREADY_VERIFIED = "already_verified"
    PENDING = "pending"
    REJECTED = "rejected"


@dataclass(frozen=True, slots=True)
class Report:
    """What an explorer says; ``text`` in its own words."""

    verdict: Verdict
    text: str


@dataclass(frozen=True, slots=True)
class Ticket:
    """A request that the explorer works on."""

    id: str


class Explorer(Protocol):
    """One explorer, for one chain.

    Every method raises `ComponentError` when it cannot be reached or makes no sense.
    """

    async def submit(self, build: Build, address: Address, arguments: bytes, /) -> Ticket | Report:
        """Hand in the source of ``address``, whose constructor was given ``arguments``."""
        ...

    async def look(self, ticket: Ticket) -> Report:
        """What became of it."""
        ...


async def publish(
    explorer: Explorer, build: Build, address: Address, arguments: bytes, *, looks: int = 20, every_seconds: float = 5.0
) -> Report:
    """Submit, and look at most ``looks`` times, so many seconds apart; `Verdict.PENDING` when that was not enough."""
    answer = await explorer.submit(build, address, arguments)
    if isinstance(answer, Report):
        return answer
    report = Report(Verdict.PENDING, f"ticket {answer.id}")
    for _ in range(looks):
        await asyncio.sleep(every_seconds)
        report = await explorer.look(answer)
        if report.verdict is not Verdict.PENDING:
            break
    return report


class Etherscan:
    """Etherscan and what speaks as it does; one endpoint and one key for all chains.

    Its answers are told apart by their text: status 0 stands for pending, failed and done before alike.
    """

    def __init__(self, chain_id: int, key: str, url: str = ETHERSCAN_URL) -> None:
        self._url = _checked(url)
        self._chain_id = chain_id
        self._key = key

    async def submit(self, build: Build, address: Address, arguments: bytes) -> Ticket | Report:
        fields = {
            "module": "contract",
            "action": "verifysourcecode",
            "apikey": self._key,
            "codeformat": "solidity-standard-json-input",
            "sourceCode": orjson.dumps(build.request).decode(),
            "contractaddress": address,
            "contractname": build.name,
            "compilerversion": f"v{build.compiler}",
            "constructorArguements": arguments.hex(),  # spelt so by the API from its beginning
            "constructorArguments": arguments.hex(),  # and so by its newer documents
        }
        ok, text = await self._ask("POST", {}, fields)
        if ok:
            return Ticket(text)
        return _etherscan_report(text)

    async def look(self, ticket: Ticket) -> Report:
        query = {"module": "contract", "action": "checkverifystatus", "guid": ticket.id, "apikey": self._key}
        ok, text = await self._ask("GET", query, None)
        return Report(Verdict.VERIFIED, text) if ok else _etherscan_report(text)

    async def _ask(self, method: str, query: Mapping[str, str], fields: Mapping[str, str] | None) -> tuple[bool, str]:
        _, answer = await _request(method, self._url, params={"chainid": str(self._chain_id), **query}, data=fields)
        status, text = answer.get("status"), answer.get("result")
        if status not in ("0", "1") or not isinstance(text, str):
            raise _rubbish(self._url, answer)
        return status == "1", text


def _etherscan_report(text: str) -> Report:
    lowered = text.lower()
    if "already verified" in lowered:
        return Report(Verdict.ALREADY_VERIFIED, text)
    if "pending" in lowered or "in progress" in lowered:
        return Report(Verdict.PENDING, text)
    return Report(Verdict.REJECTED, text)


class Sourcify:
    """Sourcify, API version 2; it needs no key."""

    def __init__(self, chain_id: int, url: str = SOURCIFY_URL) -> None:
        self._url = _checked(url).rstrip("/")
        self._chain_id = chain_id

    async def submit(self, build: Build, address: Address, _arguments: bytes) -> Ticket | Report:
        """The constructor's arguments are not sent: Sourcify reads them off the chain."""
        body = {"stdJsonInput": build.request, "compilerVersion": build.compiler, "contractIdentifier": build.name}
        url = f"{self._url}/v2/verify/{self._chain_id}/{address}"
        status, answer = await _request("POST", url, json=body)
        if status == 202 and isinstance(answer.get("verificationId"), str):
            return Ticket(answer["verificationId"])
        code, text = answer.get("customCode"), answer.get("message")
        if not isinstance(code, str) or not isinstance(text, str):
            raise _rubbish(url, answer)
        if code == "already_verified":
            return Report(Verdict.ALREADY_VERIFIED, text)
        if code == "duplicate_verification_request":
            return Report(Verdict.PENDING, text)
        return Report(Verdict.REJECTED, f"{code}: {text}")

    async def look(self, ticket: Ticket) -> Report:
        url = f"{self._url}/v2/verify/{ticket.id}"
        _, answer = await _request("GET", url)
        completed, error, contract = answer.get("isJobCompleted"), answer.get("error"), answer.get("contract")
        if completed is False:
            return Report(Verdict.PENDING, f"ticket {ticket.id}")
        if isinstance(error, dict):
            if error.get("customCode") == "already_verified":
                return Report(Verdict.ALREADY_VERIFIED, str(error.get("message")))
            return Report(Verdict.REJECTED, f"{error.get('customCode')}: {error.get('message')}")
        if completed is True and isinstance(contract, dict) and contract.get("match"):
            return Report(Verdict.VERIFIED, str(contract["match"]))
        raise _rubbish(url, answer)


def _checked(url: str) -> str:
    parts = urlsplit(url)
    loopback = parts.hostname in ("localhost", "127.0.0.1", "::1")
    if not parts.hostname or not (parts.scheme == "https" or (parts.scheme == "http" and loopback)):
        raise InputError("--url", url, "Give an address that starts with https://.")
    return url


async def _request(
    method: str,
    url: str,
    *,
    params: Mapping[str, str] | None = None,
    data: Mapping[str, str] | None = None,
    json: Any = None,
) -> tuple[int, dict[str, Any]]:
    """Status and JSON object of one exchange. Keys go in ``data`` or ``params``, which no error quotes."""
    headers = {} if json is None else {"Content-Type": "application/json"}
    body = data if json is None else orjson.dumps(json)
    try:
        async with (
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=60), headers=headers) as session,
            session.request(method, url, params=params, data=body) as response,
        ):
            status, raw = response.status, await response.read()
    except (TimeoutError, aiohttp.ClientError, OSError) as error:
        raise ComponentError("explorer", f"{urlsplit(url).hostname}: {type(error).__name__}", "Try again.") from None
    try:
        answer = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise _rubbish(url, f"status {status} and no JSON") from error
    if not isinstance(answer, dict):
        raise _rubbish(url, answer)
    return status, answer


def _rubbish(url: str, answer: object) -> ComponentError:
    host = urlsplit(url).hostname
    return ComponentError("explorer", f"{host} answers {repr(answer)[:_SHOWN]}", "Check --url; try again later.")
