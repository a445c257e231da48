"""Only valid tokens get in, each does what its role allows and no more than its share, and errors tell the remedy."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from sqlalchemy import text

from keeper.api.context import Options
from keeper.api.limits import RateLimiter
from keeper.api.middleware import HEADERS
from keeper.domain.errors import InputError
from keeper.store.access import Role, TokenBook
from keeper.store.database import sync_engine
from tests.api.site import Clock, Site, site

CONTROL = ("/api/control/pause", "/api/control/resume", "/api/control/halt")
READ = ("/api/dashboard/stats", "/api/history/trades", "/api/history/trades.csv", "/api/config", "/metrics")


def problem(answer: Any, status: int) -> dict[str, Any]:
    """The document of an RFC 9457 answer."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    document = answer.json()
    assert document["status"] == status
    assert document["type"].startswith("urn:orion:problem:")
    assert document["title"]
    assert document["detail"]
    assert document["instance"].startswith("/")
    return dict(document)


async def test_every_path_but_the_probes_needs_a_token(api: Site) -> None:
    described = api.app.openapi()["paths"]
    checked = 0
    for path, operations in described.items():
        for method in operations:
            answer = await api.ask(method.upper(), path.replace("{opportunity_id}", "0" * 32), role=None)
            if path in ("/healthz", "/readyz"):
                assert answer.status_code in (200, 503)
                continue
            document = problem(answer, 401)
            assert answer.headers["www-authenticate"].startswith("Bearer")
            assert "keeper token create" in document["remedy"]
            checked += 1
            api.clock.now += 60  # not the limit on strangers is meant here
    assert checked >= 12


async def test_wrong_tokens_are_refused(api: Site) -> None:
    for token in ("", "x", "orion_000000000000_" + "A" * 43, "orion_é", "a" * 5_000):
        problem(await api.get("/api/config", role=None, headers={"Authorization": f"Bearer {token}".encode()}), 401)


async def test_a_token_with_one_changed_character_is_refused(api: Site) -> None:
    right = api.tokens["viewer"]
    assert (await api.get("/api/config", token=right)).status_code == 200
    wrong = right[:-1] + ("A" if right[-1] != "A" else "B")
    problem(await api.get("/api/config", token=wrong), 401)


async def test_planted_bug_in_the_comparison_is_noticed(api: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("keeper.store.access.hmac.compare_digest", lambda *_: True)
    wrong = api.tokens["viewer"][:-1] + "-"
    assert (await api.get("/api/config", token=wrong)).status_code == 200, "the digest is what keeps strangers out"


async def test_revoked_token_is_refused_at_once(api: Site) -> None:
    assert (await api.get("/api/config")).status_code == 200
    await api.book.revoke("viewer")
    problem(await api.get("/api/config"), 401)
    with pytest.raises(InputError, match="No valid token"):
        await api.book.revoke("viewer")
    with pytest.raises(InputError, match="has or had this name"):
        await api.book.create("viewer", Role.VIEWER)


async def test_only_hashes_are_kept(api: Site) -> None:
    with sync_engine(api.database_url).connect() as connection:
        kept = json.dumps([list(map(str, row)) for row in connection.execute(text("SELECT * FROM api_tokens"))])
    assert len(await api.book.all()) == 3
    for token in api.tokens.values():
        assert token not in kept
        assert token.split("_", 2)[2] not in kept


@pytest.mark.parametrize("name", ["", " a", "a" * 65, "a\nb", "<b>", "a\x00"])
async def test_names_that_could_deceive_are_refused(database_url: str, name: str) -> None:
    book = TokenBook(database_url)
    with pytest.raises(InputError, match="name"):
        await book.create(name, Role.VIEWER)
    await book.close()


def test_roles_are_ordered() -> None:
    order = [Role.VIEWER, Role.OPERATOR, Role.TREASURER]
    for have in order:
        for need in order:
            assert have.covers(need) == (order.index(have) >= order.index(need))


async def test_viewers_control_nothing(api: Site) -> None:
    for path in CONTROL:
        document = problem(await api.ask("POST", path, json={}, headers={"Idempotency-Key": "viewer-tries"}), 403)
        assert "operator" in document["detail"]
    assert (await api.good("/api/control/actions"))["items"] == [], "nothing was recorded, nothing was sent"
    for role in ("operator", "treasurer"):
        headers = {"Idempotency-Key": f"key-of-{role}"}
        answer = await api.ask("POST", CONTROL[0], role=role, json={}, headers=headers)
        assert problem(answer, 503)["field"] == "keeper", "the role is enough; only the keeper is missing"


async def test_planted_bug_in_the_role_check_is_noticed(api: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Role, "covers", lambda *_: True)
    answer = await api.ask("POST", CONTROL[0], json={}, headers={"Idempotency-Key": "viewer-tries"})
    assert answer.status_code != 403


async def test_rate_limit_by_token(database_url: str, redis_url: str) -> None:
    async with site(database_url, redis_url, options=Options(rate=0.5, burst=3)) as api:
        for _ in range(3):
            assert (await api.get("/api/config")).status_code == 200
        refused = await api.get("/api/config")
        assert problem(refused, 429)["type"].endswith("rate-limited")
        assert refused.headers["retry-after"] == "2"
        assert (await api.get("/api/config", role="operator")).status_code == 200, "others have their own share"
        halt = await api.ask("POST", CONTROL[2], json={}, headers={"Idempotency-Key": "never-held-up"})
        assert halt.status_code == 403, "questions do not use up the share of commands"
        api.clock.now += 1.9
        assert (await api.get("/api/config")).status_code == 429
        api.clock.now += 0.2
        assert (await api.get("/api/config")).status_code == 200
        assert (await api.get("/api/config")).status_code == 429


async def test_guessing_tokens_is_slowed_down(database_url: str, redis_url: str) -> None:
    async with site(database_url, redis_url, options=Options(failed_rate=1, failed_burst=4)) as api:
        wrong = "orion_000000000000_" + "A" * 43
        answers = [(await api.get("/api/config", token=wrong)).status_code for _ in range(6)]
        assert answers == [401] * 4 + [429] * 2
        assert (await api.get("/api/config")).status_code == 200, "others at this address are not held up"
        api.clock.now += 1
        assert (await api.get("/api/config", token=wrong)).status_code == 401
        assert (await api.get("/api/config", token=wrong)).status_code == 429


def test_buckets_refill_to_the_burst_and_are_bounded() -> None:
    clock = Clock()
    limiter = RateLimiter(2.0, 4, clock, most_callers=3)
    assert [limiter.wait("a") for _ in range(5)] == [0, 0, 0, 0, 1]
    clock.now += 1_000
    assert [limiter.wait("a") for _ in range(5)] == [0, 0, 0, 0, 1]
    for caller in range(10):
        limiter.wait(caller)
    assert len(limiter._buckets) == 3


async def test_headers_and_closed_cors(api: Site) -> None:
    for path in (*READ, "/nowhere", "/healthz"):
        answer = await api.get(path, headers={"Origin": "https://evil.example"})
        for name, value in HEADERS.items():
            assert answer.headers[name] == value
        assert not [name for name in answer.headers if name.startswith("access-control")]
    preflight = await api.ask(
        "OPTIONS",
        CONTROL[0],
        role=None,
        headers={"Origin": "https://evil.example", "Access-Control-Request-Method": "POST"},
    )
    assert preflight.status_code == 405
    assert not [name for name in preflight.headers if name.startswith("access-control")]


UNUSABLE = [
    ("/api/history/trades?limit=0", "query.limit"),
    ("/api/history/trades?limit=99999999999999999999999", "query.limit"),
    ("/api/history/trades?page=0", "query.page"),
    ("/api/history/trades?status=won", "query.status"),
    ("/api/history/trades?chain=%00", "query.chain"),
    ("/api/history/trades?strategy=a%20b", "query.strategy"),
    ("/api/history/trades?since=2026-01-01T00:00:00", "query.since"),
    ("/api/history/trades?since=2026-02-01T00:00:00Z&until=2026-01-01T00:00:00Z", "query.since"),
    ("/api/history/trades?until=yesterday", "query.until"),
    ("/api/history/trades?cursor=nonsense", "query.cursor"),
    ("/api/history/trades?cursor=%F0%9F%98%80", "query.cursor"),
    ("/api/history/trades?cursor=W10", "query.cursor"),
    ("/api/history/trades?cursor=WzEsMl0", "query.cursor"),
    ("/api/history/trades?as_of=x", "query.as_of"),
    ("/api/history/trades?run=7", "query.run"),
    ("/api/dashboard/stats?run=%27%3B--", "query.run"),
    ("/api/dashboard/opportunities?fate=" + "x" * 9_000, "query.fate"),
    ("/api/dashboard/opportunities/7", "path.opportunity_id"),
]


async def test_input_errors_name_field_value_and_remedy(api: Site) -> None:
    for path, field in UNUSABLE:
        document = problem(await api.get(path), 422)
        assert document["field"] == field
        assert document["remedy"]
        assert len(document["value"]) <= 200
        assert document["errors"][0] == {name: document[name] for name in ("field", "value", "remedy")}


async def test_cursor_and_page_exclude_each_other(api: Site) -> None:
    cursor = "WyIyMDI2LTAxLTAxVDAwOjAwOjAwKzAwOjAwIiwiMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAiXQ"
    assert (await api.get("/api/history/trades", params={"cursor": cursor})).status_code == 200
    problem(await api.get("/api/history/trades", params={"cursor": cursor, "page": 1}), 422)


BAD_COMMANDS: list[tuple[bytes, dict[str, str], int, str]] = [
    (b"{}", {}, 422, "header.idempotency-key"),
    (b"{}", {"Idempotency-Key": "short"}, 422, "header.idempotency-key"),
    (b"\x80.", {"Idempotency-Key": "long-enough"}, 422, "body"),
    (b"{", {"Idempotency-Key": "long-enough"}, 422, "body.1"),
    (b"[]", {"Idempotency-Key": "long-enough"}, 422, "body"),
    (b'{"reason": 7}', {"Idempotency-Key": "long-enough"}, 422, "body.reason"),
    (b'{"amount": 1}', {"Idempotency-Key": "long-enough"}, 422, "body.amount"),
    (b'{"reason": "' + b"x" * 501 + b'"}', {"Idempotency-Key": "long-enough"}, 422, "body.reason"),
    (b'{"reason": "' + b"x" * 20_000 + b'"}', {"Idempotency-Key": "long-enough"}, 413, "body"),
]


async def test_bad_commands_do_nothing(api: Site) -> None:
    for body, given, status, field in BAD_COMMANDS:
        headers = {"Content-Type": "application/json", **given}
        document = problem(await api.ask("POST", CONTROL[0], role="operator", content=body, headers=headers), status)
        assert document["field"] == field
    assert (await api.good("/api/control/actions"))["items"] == []


async def test_a_body_without_announced_length_is_cut_off(api: Site) -> None:
    sent = 0

    async def endless() -> Any:
        nonlocal sent
        for _ in range(1_000):
            sent += 1
            yield b" " * 1_000

    headers = {"Content-Type": "application/json", "Idempotency-Key": "long-enough"}
    answer = await api.ask("POST", CONTROL[0], role="operator", content=endless(), headers=headers)
    assert problem(answer, 413)["status"] == 413


async def test_unforeseen_errors_say_nothing_and_are_logged(
    api: Site, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("the inner workings")

    monkeypatch.setattr(TokenBook, "recognise", broken)
    answer = await api.get("/api/config")
    document = problem(answer, 500)
    assert "inner workings" not in json.dumps(document)
    assert "inner workings" in caplog.text
    assert answer.headers["x-frame-options"] == "DENY"


async def test_unknown_paths_and_methods_are_problems(api: Site) -> None:
    problem(await api.get("/api/nothing"), 404)
    problem(await api.ask("DELETE", "/api/config"), 405)
    assert (await api.get("/docs")).status_code == 404


async def test_many_at_once_are_all_answered(api: Site) -> None:
    answers = await asyncio.gather(*(api.get("/api/dashboard/stats") for _ in range(40)))
    assert {answer.status_code for answer in answers} == {200}


async def test_the_description_names_the_scheme(api: Site) -> None:
    description = await api.good("/openapi.json", role=None)
    assert description["components"]["securitySchemes"]["token"]["scheme"] == "bearer"
    assert description["paths"]["/api/config"]["get"]["security"] == [{"token": []}]
    assert "security" not in description["paths"]["/healthz"]["get"]
