"""Each endpoint answers what the ledger says, page by page, and never a rounded amount."""

from __future__ import annotations

import csv
import io
import random
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from keeper.config import Settings
from keeper.domain.opportunity import Fate
from keeper.domain.trade import TradeStatus
from keeper.domain.units import Wei
from keeper.embedded.postgres import EmbeddedPostgres
from keeper.embedded.valkey import EmbeddedValkey
from keeper.store.bus import EventBus
from keeper.store.recorder import PostgresRecorder, trade_id
from tests.api.site import SECRET, Site, site
from tests.store.samples import Recorded, opportunity, record_blocks, replica_run, trade
from tests.store.servers import bring_back, kill


async def fill(url: str, blocks: int = 25, seed: int = 7) -> tuple[UUID, Recorded]:
    async with PostgresRecorder(url, replica_run(seed)) as recorder:
        return recorder.run.id, await record_blocks(recorder, blocks, seed=seed)


async def pages(api: Site, path: str, limit: int = 7, **query: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    cursor = None
    while True:
        params = {**query, "limit": limit} | ({"cursor": cursor} if cursor else {})
        page = await api.good(path, params=params)
        assert len(page["items"]) <= limit
        found += page["items"]
        cursor = page["next_cursor"]
        if cursor is None:
            return found


async def test_stats_and_mission_control_are_exact(api: Site) -> None:
    await fill(api.database_url, seed=8)
    run, recorded = await fill(api.database_url)
    landed = [one for one in recorded.trades if one.status is TradeStatus.LANDED]
    last = Counter(life[-1] for life in recorded.fates.values())
    stats = await api.good("/api/dashboard/stats")
    assert stats["run_id"] == str(run)
    assert stats["opportunities"] == len(recorded.opportunities)
    assert (stats["landed"], stats["lost"], stats["reverted"]) == (
        last[Fate.LANDED],
        last[Fate.LOST],
        last[Fate.REVERTED],
    )
    assert stats["net_wei"] == str(sum(one.net for one in recorded.trades))
    assert stats["gas_wei"] == str(sum(one.gas_cost for one in recorded.trades))
    assert stats["realised_wei"] == stats["predicted_wei"] == str(sum(one.net for one in landed))
    assert stats["mismatched"] == 0
    assert stats["keeper"]["up"] is False

    whole = await api.good("/api/dashboard/mission-control", params={"run": str(run)})
    assert whole["stats"] == stats
    assert whole["fates"] == {fate.value: last[fate] for fate in Fate}
    assert whole["profit_curve"][-1]["net_wei"] == stats["net_wei"]
    assert whole["latest_block"]["number"] == 24_000_024
    assert len(whole["runs"]) == 2
    for part in ("strategies", "lenders", "chains"):
        assert sum(int(row["net_wei"]) for row in whole[part]) == int(stats["net_wei"])
        assert sum(row["trades"] for row in whole[part]) == len(recorded.trades)
        assert sum(row["landed"] for row in whole[part]) == len(landed)
    both = await api.good("/api/dashboard/stats", params={"run": "all"})
    assert both["run_id"] is None
    assert both["opportunities"] > stats["opportunities"]


async def test_empty_ledger_is_no_error(api: Site) -> None:
    stats = await api.good("/api/dashboard/stats")
    assert (stats["opportunities"], stats["net_wei"], stats["win_rate_bps"]) == (0, "0", None)
    assert (await api.good("/api/dashboard/mission-control"))["latest_block"] is None
    assert (await api.good("/api/history/trades"))["items"] == []
    assert len((await api.get("/api/history/trades.csv")).text.splitlines()) == 1
    assert (await api.get("/metrics")).status_code == 200


async def test_amounts_beyond_every_float_survive(api: Site) -> None:
    draw = random.Random(1)
    found = opportunity(draw)
    huge = replace(trade(draw, found), gross=Wei(2**255 + 1), gas_cost=Wei(0))
    async with PostgresRecorder(api.database_url, replica_run()) as recorder:
        await recorder.opportunities([found])
        await recorder.trades([huge])
    (row,) = (await api.good("/api/history/trades"))["items"]
    assert row["profit_wei"] == row["realised_wei"] == str(2**255 + 1)
    assert (await api.good("/api/dashboard/stats"))["net_wei"] == str(2**255 + 1)


async def test_opportunities_and_their_lives(api: Site) -> None:
    run, recorded = await fill(api.database_url)
    every = await pages(api, "/api/dashboard/opportunities", limit=9, run=str(run))
    assert {row["id"] for row in every} == {str(key) for key in recorded.opportunities}
    lost = await pages(api, "/api/dashboard/opportunities", fate="lost", strategy="cross_dex")
    assert {row["id"] for row in lost} == {
        str(key)
        for key, life in recorded.fates.items()
        if life[-1] is Fate.LOST and recorded.opportunities[key].strategy == "cross_dex"
    }
    landed = next(one for one in recorded.trades if one.status is TradeStatus.LANDED)
    life = await api.good(f"/api/dashboard/opportunities/{landed.plan.opportunity.id}")
    assert [step["fate"] for step in life["fates"]] == recorded.fates[landed.plan.opportunity.id]
    assert [row["transaction_hash"] for row in life["trades"]] == [landed.transaction_hash]
    missing = await api.get(f"/api/dashboard/opportunities/{uuid4()}")
    assert missing.status_code == 404
    assert missing.json()["field"] == "path.opportunity_id"


async def test_cursor_pages_are_the_whole_history_while_trades_arrive(api: Site) -> None:
    _, recorded = await fill(api.database_url)
    expected = {str(trade_id(one)) for one in recorded.trades}
    seen: list[str] = []
    cursor, seed = None, 100
    while True:
        page = await api.good("/api/history/trades", params={"limit": 5} | ({"cursor": cursor} if cursor else {}))
        seen += [row["id"] for row in page["items"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
        seed += 1
        await fill(api.database_url, 1, seed)
    assert len(seen) == len(set(seen)), "no trade comes twice"
    assert set(seen) == expected, "none is left out, and none that came later slips in"


async def test_numbered_pages_hold_still_as_of_the_first(api: Site) -> None:
    _, recorded = await fill(api.database_url)
    first = await api.good("/api/history/trades", params={"page": 1, "limit": 10})
    assert (first["total"], first["total_is_exact"]) == (len(recorded.trades), True)
    await fill(api.database_url, 10, 50)
    params = {"page": 2, "limit": 10, "as_of": first["as_of"]}
    second = await api.good("/api/history/trades", params=params)
    assert second["total"] == first["total"]
    moved = await api.good("/api/history/trades", params={"page": 2, "limit": 10})
    ids = [row["id"] for row in first["items"] + second["items"]]
    assert len(set(ids)) == 20
    assert set(ids) <= {str(trade_id(one)) for one in recorded.trades}
    assert moved["items"] != second["items"], "without as_of new trades move the pages"
    beyond = await api.good("/api/history/trades", params={"page": 10_000})
    assert beyond["items"] == []


async def test_filters(api: Site) -> None:
    run, recorded = await fill(api.database_url)
    await fill(api.database_url, seed=9)
    found = await pages(api, "/api/history/trades", run=str(run), status="lost", strategy="cross_dex", chain="ethereum")
    assert {row["id"] for row in found} == {
        str(trade_id(one))
        for one in recorded.trades
        if one.status is TradeStatus.LOST and one.plan.opportunity.strategy == "cross_dex"
    }
    assert await pages(api, "/api/history/trades", chain="base") == []
    every = await pages(api, "/api/history/trades", limit=200)
    middle = every[len(every) // 2]["timestamp"]
    older = await pages(api, "/api/history/trades", limit=200, until=middle)
    newer = await pages(api, "/api/history/trades", limit=200, since=middle)
    assert [row["id"] for row in newer if row["timestamp"] > middle] + [row["id"] for row in older] == [
        row["id"] for row in every
    ]
    assert await pages(api, "/api/history/trades", since=(datetime.now(UTC) + timedelta(days=1)).isoformat()) == []


async def test_csv_is_everything_and_no_formula(api: Site) -> None:
    _, recorded = await fill(api.database_url, 200)
    draw = random.Random(3)
    found = opportunity(draw)
    hostile = replace(trade(draw, found, TradeStatus.REVERTED), reason='=HYPERLINK("http://x")')
    async with PostgresRecorder(api.database_url, replica_run()) as recorder:
        await recorder.opportunities([found])
        await recorder.trades([hostile])
    answer = await api.get("/api/history/trades.csv")
    assert answer.headers["content-type"].startswith("text/csv")
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    assert len(rows) == len(recorded.trades) + 1 > 200, "more than one batch"
    assert rows[0]["reason"] == "'" + hostile.reason
    assert rows[0]["profit"] == str(hostile.net), "a negative amount is a number"
    assert {row["id"] for row in rows} == {str(trade_id(one)) for one in [*recorded.trades, hostile]}
    only = await api.get("/api/history/trades.csv", params={"status": "lost"})
    assert {row["status"] for row in csv.DictReader(io.StringIO(only.text))} == {"lost"}


async def test_configuration_and_no_answer_holds_a_secret(
    database_url: str, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = ("RPC_URL", "WS_URL", "DATABASE_URL", "REDIS_URL", "RELAY_KEY", "ACCOUNT_PASSPHRASE")
    for name in names:
        monkeypatch.setenv(f"ORION_{name}", f"https://{SECRET}.example")
    monkeypatch.setenv("ORION_RELAY_URLS", f'["https://{SECRET}.example"]')
    settings = Settings()
    assert SECRET in settings.model_dump_json(), "it is there to be found"
    async with site(database_url, redis_url, settings=settings.public()) as api:
        await fill(database_url, 3)
        shown = (await api.good("/api/config"))["settings"]
        assert shown["mode"] == "paper"
        assert shown["min_profit_wei"] == str(settings.min_profit_wei)
        for name in (*names, "RELAY_URLS"):
            assert shown[name.lower()] == "(set, not shown)"
        paths = [path for path in api.app.openapi()["paths"] if "{" not in path and "control/" not in path]
        for path in [*paths, "/openapi.json", "/nowhere", "/api/dashboard/stats?run=x", "/api/control/actions"]:
            await api.get(path, role="treasurer")
        password = database_url.split(":")[2].split("@", maxsplit=1)[0]
        for text in api.answers:
            assert SECRET not in text
            assert password not in text
            assert not any(token in text for token in api.tokens.values())


async def test_health_readiness_and_metrics(
    api: Site, postgres: EmbeddedPostgres, valkey: EmbeddedValkey, background: Any
) -> None:
    assert (await api.get("/healthz", role=None)).status_code == 200
    waiting = await api.get("/readyz", role=None)
    assert (waiting.status_code, waiting.json()["keeper"]["ok"], waiting.json()["database"]["ok"]) == (503, False, True)
    await fill(api.database_url, 5)
    bus = EventBus(valkey.url, run_id="r")
    bus.set_status(mode="replica", network="replica", chain_id=1, state="trading", head_block=24_000_004)
    await bus.start()
    await bus._send()
    ready = await api.get("/readyz", role=None)
    assert (ready.status_code, ready.json()["ready"]) == (200, True)
    assert (await api.good("/api/dashboard/stats"))["keeper"]["state"] == "trading"
    lines = (await api.get("/metrics")).text.splitlines()
    assert "orion_head_block 2.4000004e+07" in lines
    assert 'orion_keeper_state{mode="replica",state="trading"} 1.0' in lines
    assert 'orion_api_requests_total{method="GET",route="/readyz",status="200"} 1.0' in lines

    await kill(valkey, background)
    gone = await api.get("/readyz", role=None)
    assert (gone.status_code, gone.json()["bus"]["ok"]) == (503, False)
    assert (await api.good("/api/dashboard/stats"))["keeper"]["bus_up"] is False
    await bring_back(valkey, background)

    await kill(postgres, background)
    away = await api.get("/api/dashboard/stats")
    assert away.status_code == 503
    assert away.json()["field"] == "database"
    assert "127.0.0.1" not in away.text
    assert (await api.get("/readyz", role=None)).json()["database"]["ok"] is False
    await bring_back(postgres, background)
    assert (await api.get("/api/dashboard/stats")).status_code == 200, "it recovers by itself"
    await bus.close()
