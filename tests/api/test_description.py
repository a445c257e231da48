"""What the description promises holds for whatever is sent: no 500, and nothing that is not described."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from uuid import UUID

import pytest
import requests
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis import Case, GenerationMode, openapi
from schemathesis.core.failures import FailureGroup
from schemathesis.specs.openapi import checks

from keeper.embedded.postgres import EmbeddedPostgres
from keeper.embedded.valkey import EmbeddedValkey
from keeper.store.queries import LedgerView
from keeper.store.recorder import PostgresRecorder
from tests.api.site import Site, served, site
from tests.conftest import BackgroundLoop
from tests.store.samples import record_blocks, replica_run
from tests.store.servers import TEMPLATE, create_database, drop_database

EXAMPLES = 6
"""Requests for each operation and each kind: as described, and broken in one place."""
# 500 is not described anywhere, so that the first of these notices it
CHECKS = [
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_schema_conformance,
    checks.response_headers_conformance,
]


@dataclass(frozen=True)
class Server:
    url: str
    site: Site
    found: UUID


@pytest.fixture(scope="module")
def server(postgres: EmbeddedPostgres, valkey: EmbeddedValkey, background: BackgroundLoop) -> Iterator[Server]:
    """A served interface with a filled ledger and no keeper."""
    database = create_database(postgres.url, template=TEMPLATE)
    stack = AsyncExitStack()

    async def begin() -> Server:
        async with PostgresRecorder(database, replica_run()) as recorder:
            recorded = await record_blocks(recorder, 10)
        api = await stack.enter_async_context(site(database, valkey.url))
        port = await stack.enter_async_context(served(api.app))
        return Server(f"http://127.0.0.1:{port}", api, next(iter(recorded.opportunities)))

    yield background.run(begin())
    background.run(stack.aclose())
    drop_database(database)


def try_out(server: Server, kind: GenerationMode, *, only: str | None = None, examples: int = EXAMPLES) -> int:
    """Send what the description allows, or what it forbids, and hold the answers against it; returns how many."""
    tried = 0
    with requests.Session() as session:
        session.headers["Authorization"] = f"Bearer {server.site.tokens['operator']}"
        for result in openapi.from_dict(server.site.app.openapi()).get_all_operations():
            operation = result.ok()
            takes = any((operation.query, operation.path_parameters, operation.headers, operation.body))
            if only not in (None, operation.path) or not (takes or kind is GenerationMode.POSITIVE):
                continue

            @settings(
                max_examples=examples if takes else 1,
                deadline=None,
                database=None,
                phases=(Phase.explicit, Phase.generate),
                suppress_health_check=list(HealthCheck),
            )
            @given(case=operation.as_strategy(generation_mode=kind))
            def check(case: Case) -> None:
                nonlocal tried
                tried += 1
                case.call_and_validate(base_url=server.url, session=session, checks=CHECKS)

            check()
    return tried


@pytest.mark.parametrize("kind", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE])
def test_every_operation_does_as_described(server: Server, kind: GenerationMode) -> None:
    assert try_out(server, kind) > 40


@settings(max_examples=150, deadline=None, database=None, suppress_health_check=list(HealthCheck))
@given(
    method=st.sampled_from(["GET", "POST", "PUT", "HEAD", "OPTIONS", "DELETE"]),
    path=st.text(max_size=30),
    query=st.dictionaries(
        st.sampled_from(["run", "limit", "cursor", "page", "as_of", "since", "until", "status", "chain", "fate"]),
        st.text(max_size=40),
        max_size=4,
    ),
    body=st.binary(max_size=200),
    known=st.sampled_from(["", "/api/history/trades", "/api/dashboard/opportunities", "/api/control/pause"]),
)
def test_nothing_makes_it_fail(
    server: Server, method: str, path: str, query: dict[str, str], body: bytes, known: str
) -> None:
    answer = requests.request(
        method,
        f"{server.url}{known or '/' + requests.utils.quote(path, safe='')}",
        params={name: value.encode("utf-8", "replace") for name, value in query.items()},
        data=body,
        headers={"Authorization": f"Bearer {server.site.tokens['viewer']}"},
        timeout=20,
    )
    assert answer.status_code < 500, answer.text
    if answer.status_code >= 400 and method != "HEAD":
        assert answer.headers["content-type"] == "application/problem+json", answer.text
        assert answer.json()["remedy"]


def test_planted_failure_is_noticed(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(LedgerView, "totals", lambda *_, **__: 1 // 0)
    with pytest.raises(FailureGroup, match="500"):
        try_out(server, GenerationMode.POSITIVE, only="/api/dashboard/stats", examples=3)
