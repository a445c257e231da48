"""Stands in for Etherscan and for Sourcify: their protocols, their words, and a check of the source by its bytecode."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import orjson

from keeper.execution.contract_build import Build

KEY = "a key"


@dataclass
class StandIn:
    """An explorer of one chain.

    Attributes:
        known: code by address, as on its chain: init code with the constructor's arguments.
        patience: how often a ticket is still pending when it is asked about.
        verified: addresses whose source it has.
        jobs: outcome by ticket, and how often it was asked about.
    """

    build: Build
    chain_id: int
    known: dict[str, bytes]
    patience: int = 1
    verified: set[str] = field(default_factory=set)
    jobs: dict[str, tuple[str, str]] = field(default_factory=dict)
    looks: dict[str, int] = field(default_factory=dict)
    url: str = ""

    def matches(self, address: str, source: Any, compiler: str, name: str, arguments: bytes | None) -> bool:
        """Whether this source makes the code at ``address``; Sourcify reads the arguments off the chain."""
        creation = self.known.get(address)
        same_input = source == orjson.loads(orjson.dumps(self.build.request)) and compiler == self.build.compiler
        if creation is None or not same_input or name != self.build.name:
            return False
        return creation == self.build.init_code + (
            creation[len(self.build.init_code) :] if arguments is None else arguments
        )

    def is_pending(self, ticket: str) -> bool:
        self.looks[ticket] = self.looks.get(ticket, 0) + 1
        return self.looks[ticket] <= self.patience

    def open_job(self, address: str, passed: bool) -> str:
        ticket = f"ticket{len(self.jobs)}"
        self.jobs[ticket] = (address, "passed" if passed else "failed")
        return ticket

    # ------------------------------------------------------------------ Etherscan

    def etherscan(self, query: dict[str, str], form: dict[str, str]) -> tuple[int, Any]:
        def answer(ok: bool, text: str) -> tuple[int, Any]:
            return 200, {"status": "1" if ok else "0", "message": "OK" if ok else "NOTOK", "result": text}

        fields = query | form
        if query.get("chainid") != str(self.chain_id):
            return answer(False, "Missing or unsupported chainid parameter (required for v2 api)")
        if fields.get("apikey") != KEY:
            return answer(False, "Invalid API Key (#err2)|")
        if fields.get("module") != "contract":
            return answer(False, "Error! Missing Or invalid Module name")
        if fields.get("action") == "checkverifystatus":
            address, outcome = self.jobs[fields["guid"]]
            if self.is_pending(fields["guid"]):
                return answer(False, "Pending in queue")
            if outcome == "failed":
                return answer(False, "Fail - Unable to verify")
            self.verified.add(address)
            return answer(True, "Pass - Verified")
        if fields.get("action") != "verifysourcecode" or fields.get("codeformat") != "solidity-standard-json-input":
            return answer(False, "Error! Missing Or invalid Action name")
        address = fields["contractaddress"]
        if address not in self.known:
            return answer(False, f"Unable to locate ContractCode at {address}")
        if address in self.verified:
            return answer(False, "Contract source code already verified")
        passed = self.matches(
            address,
            orjson.loads(fields["sourceCode"]),
            fields["compilerversion"].removeprefix("v"),
            fields["contractname"],
            bytes.fromhex(fields["constructorArguements"]),
        )
        return answer(True, self.open_job(address, passed))

    # ------------------------------------------------------------------ Sourcify

    def sourcify_submit(self, chain_id: str, address: str, body: Any) -> tuple[int, Any]:
        def problem(status: int, code: str, text: str) -> tuple[int, Any]:
            return status, {"customCode": code, "message": text, "errorId": "0"}

        if chain_id != str(self.chain_id):
            return problem(400, "unsupported_chain", f"The chain with chainId {chain_id} is not supported")
        if address in self.verified:
            return problem(409, "already_verified", f"The contract {address} is already verified")
        if any(address == waiting and not self.looks.get(ticket) for ticket, (waiting, _) in self.jobs.items()):
            return problem(429, "duplicate_verification_request", "The contract is already being verified")
        passed = self.matches(address, body["stdJsonInput"], body["compilerVersion"], body["contractIdentifier"], None)
        return 202, {"verificationId": self.open_job(address, passed)}

    def sourcify_look(self, ticket: str) -> tuple[int, Any]:
        if ticket not in self.jobs:
            return 404, {"customCode": "job_not_found", "message": f"No verification job {ticket}", "errorId": "0"}
        address, outcome = self.jobs[ticket]
        contract = {"match": None, "creationMatch": None, "runtimeMatch": None, "address": address}
        job = {"isJobCompleted": False, "verificationId": ticket, "contract": contract}
        if self.is_pending(ticket):
            return 200, job
        job["isJobCompleted"] = True
        if outcome == "failed":
            return 200, job | {"error": {"customCode": "no_match", "message": "The bytecodes do not match"}}
        self.verified.add(address)
        contract |= dict.fromkeys(("match", "creationMatch", "runtimeMatch"), "exact_match")
        return 200, job


@contextmanager
def serving(stand_in: StandIn) -> Iterator[StandIn]:
    """The stand-in on a loopback port: Etherscan at ``/api``, Sourcify below ``/v2/verify``."""

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_: Any) -> None:
            pass

        def answer(self, status: int, content: Any) -> None:
            body = orjson.dumps(content)
            self.send_response(status)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            if parts.path == "/api":
                self.answer(*stand_in.etherscan(_flat(parts.query), {}))
            else:
                self.answer(*stand_in.sourcify_look(parts.path.rsplit("/", 1)[1]))

        def do_POST(self) -> None:
            parts = urlsplit(self.path)
            body = self.rfile.read(int(self.headers["content-length"]))
            if parts.path == "/api":
                self.answer(*stand_in.etherscan(_flat(parts.query), _flat(body.decode())))
            else:
                _, _, _, chain_id, address = parts.path.split("/")
                self.answer(*stand_in.sourcify_submit(chain_id, address, orjson.loads(body)))

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        stand_in.url = f"http://127.0.0.1:{server.server_address[1]}"
        try:
            yield stand_in
        finally:
            server.shutdown()
            thread.join()


def _flat(encoded: str) -> dict[str, str]:
    return {name: values[-1] for name, values in parse_qs(encoded, keep_blank_values=True).items()}
