"""The bus tells everything it can, and its absence never holds anything up."""

from __future__ import annotations

import asyncio
import json
import logging
import random
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from redis.exceptions import RedisError

from keeper.domain.errors import InputError
from keeper.domain.opportunity import Fate
from keeper.embedded.valkey import EmbeddedValkey
from keeper.store import bus as bus_module
from keeper.store.bus import EVENTS, QUEUED_EVENTS, RECENT, RECENT_EVENTS, STATUS, STATUS_TTL, EventBus, connect
from tests.store.samples import block_report, change, opportunity, trade
from tests.store.servers import bring_back, kill


@pytest.fixture
async def bus(valkey: EmbeddedValkey) -> AsyncIterator[EventBus]:
    client = connect(valkey.url)
    await client.flushall()
    await client.aclose()
    bus = EventBus(valkey.url, run_id="run-1")
    await bus.start()
    yield bus
    await bus.close()


async def until(condition: Callable[[], Any], seconds: float = 15) -> Any:
    """The first true answer of ``condition``, which may be asynchronous."""
    async with asyncio.timeout(seconds):
        while True:
            answer = condition()
            if asyncio.iscoroutine(answer):
                try:
                    answer = await answer
                except (RedisError, OSError):
                    answer = None
            if answer:
                return answer
            await asyncio.sleep(0.02)


async def test_every_kind_reaches_listener_and_list(bus: EventBus, valkey: EmbeddedValkey) -> None:
    draw = random.Random(1)
    found = opportunity(draw)
    report = block_report(draw, 24_000_000, 1)
    client = connect(valkey.url)
    async with client.pubsub() as channel:
        await channel.subscribe(EVENTS)
        await channel.get_message(timeout=5)
        await bus.opportunities([found])
        await bus.fates([change(found, Fate.FILTERED, "low\x00")])
        await bus.trade(trade(draw, found))
        await bus.block(report.header, seen_at=report.seen_at, opportunities=1)
        heard = []
        async with asyncio.timeout(10):
            while len(heard) < 4:
                message = await channel.get_message(ignore_subscribe_messages=True, timeout=1)
                heard += [json.loads(message["data"])] if message else []
    assert [event["kind"] for event in heard] == ["opportunity", "fate", "trade", "block"]
    assert [event["seq"] for event in heard] == [1, 2, 3, 4]
    assert {event["run"] for event in heard} == {"run-1"}
    assert heard[0]["predicted_gross"] == str(found.route.gross_profit)
    kept = [json.loads(event) for event in await client.lrange(RECENT, 0, -1)]
    assert kept == heard[::-1]
    status = await until(lambda: client.hgetall(STATUS))
    assert (status["head_block"], status["seen_at"]) == ("24000000", str(report.seen_at))
    await client.aclose()


async def test_list_is_trimmed(bus: EventBus, valkey: EmbeddedValkey) -> None:
    client = connect(valkey.url)
    for number in range(RECENT_EVENTS + 120):
        bus.publish("status", {"number": number})

    async def newest() -> bool:
        return json.loads(await client.lindex(RECENT, 0) or "{}").get("number") == RECENT_EVENTS + 119

    await until(newest)
    assert await client.llen(RECENT) == RECENT_EVENTS
    assert bus.dropped == 0
    await client.aclose()


async def test_status_lives_as_long_as_the_keeper(bus: EventBus, valkey: EmbeddedValkey) -> None:
    client = connect(valkey.url)
    bus.set_status(mode="replica", chain_id=1, executor=None)
    first = await until(lambda: client.hgetall(STATUS))
    assert (first["mode"], first["chain_id"]) == ("replica", "1")
    assert "executor" not in first
    assert 0 < await client.ttl(STATUS) <= STATUS_TTL

    async def renewed() -> bool:
        return (await client.hgetall(STATUS)).get("beat_at", first["beat_at"]) != first["beat_at"]

    await until(renewed)
    await bus.close()
    assert await client.exists(STATUS) == 0
    await client.aclose()


async def test_outage_is_said_once_each_way_and_loses_nothing_that_fits(
    bus: EventBus, valkey: EmbeddedValkey, background: Any, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, logger=bus_module.__name__)
    await kill(valkey, background)
    for number in range(3):
        bus.publish("status", {"number": number})
    await until(lambda: bus.away)
    blocked = asyncio.get_running_loop().time()
    for number in range(QUEUED_EVENTS + 10):
        bus.publish("status", {"number": number})
    assert asyncio.get_running_loop().time() - blocked < 5
    assert bus.dropped == 13
    await bring_back(valkey, background)
    await until(lambda: not bus.away)
    client = connect(valkey.url)

    async def newest() -> bool:
        return json.loads(await client.lindex(RECENT, 0) or "{}").get("number") == QUEUED_EVENTS + 9

    await until(newest)
    assert await client.llen(RECENT) == RECENT_EVENTS
    await client.aclose()
    said = [record.getMessage() for record in caplog.records]
    assert len(said) == 2, said
    assert "does not answer" in said[0]
    assert "13 events dropped" in said[1]


async def test_never_started_redis_harms_nobody() -> None:
    bus = EventBus("redis://127.0.0.1:1/0")
    await bus.start()
    await bus.trade(trade(random.Random(2), opportunity(random.Random(2))))
    await until(lambda: bus.away)
    async with asyncio.timeout(10):
        await bus.close()
    assert bus.dropped == 1


def test_wrong_address_is_refused() -> None:
    with pytest.raises(InputError, match="ORION_REDIS_URL"):
        EventBus("http://localhost")
