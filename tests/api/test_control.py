"""A command is recorded, carried out once, and answered; what the keeper does not confirm is not called done."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from keeper.api.context import Options
from keeper.domain.errors import ComponentError
from keeper.embedded.valkey import EmbeddedValkey
from keeper.store.bus import CONTROL, connect
from keeper.store.control import Action, Answer, Command, ControlListener, ask
from tests.api.site import Site, site
from tests.store.servers import bring_back, kill


class Keeper:
    """Counts what it is told to do."""

    def __init__(self) -> None:
        self.told: list[Command] = []
        self.asked = asyncio.Event()
        self.release = asyncio.Event()
        self.release.set()

    async def carry_out(self, command: Command) -> Answer:
        self.told.append(command)
        self.asked.set()
        await self.release.wait()
        if command.action is Action.RESUME:
            return Answer(command.id, False, "halted", {"problem": "halted", "remedy": "Set release_halt."})
        return Answer(command.id, True, "paused", {"before": "trading", "in_flight": 2})


@asynccontextmanager
async def listening(url: str, handle: Callable[[Command], Awaitable[Answer]]) -> AsyncIterator[None]:
    listener = ControlListener(url, handle)
    await listener.start()
    client = connect(url)
    try:
        async with asyncio.timeout(10):
            while (await client.pubsub_numsub(CONTROL))[0][1] == 0:  # noqa: ASYNC110 - the server tells it only when asked
                await asyncio.sleep(0.01)
        yield
    finally:
        await client.aclose()
        await listener.close()


@pytest.fixture
async def keeper(redis_url: str) -> AsyncIterator[Keeper]:
    keeper = Keeper()
    async with listening(redis_url, keeper.carry_out):
        yield keeper


async def act(api: Site, action: str, key: str, role: str = "operator", **body: Any) -> Any:
    headers = {"Idempotency-Key": key}
    return await api.ask("POST", f"/api/control/{action}", role=role, json=body, headers=headers)


async def test_command_reaches_the_keeper_and_is_recorded(api: Site, keeper: Keeper) -> None:
    answer = await act(api, "pause", "first-click", reason="maintenance")
    assert answer.status_code == 200, answer.text
    done = answer.json()
    assert (done["result"], done["actor"], done["role"]) == ("done", "operator", "operator")
    assert done["details"] == {"state": "paused", "before": "trading", "in_flight": 2}
    assert keeper.told == [Command("first-click", Action.PAUSE, "operator", "maintenance", False)]
    (recorded,) = (await api.good("/api/control/actions"))["items"]
    assert recorded == done
    assert recorded["request"] == {"reason": "maintenance"}
    assert recorded["finished_at"] >= recorded["requested_at"]


async def test_a_double_click_acts_once(api: Site, keeper: Keeper) -> None:
    keeper.release.clear()
    first = asyncio.create_task(act(api, "halt", "double-click"))
    second = asyncio.create_task(act(api, "halt", "double-click"))
    async with asyncio.timeout(10):
        await keeper.asked.wait()
    keeper.release.set()
    answers = [answer.json() for answer in await asyncio.gather(first, second)]
    later = await act(api, "halt", "double-click")
    assert answers[0] == answers[1] == later.json()
    assert len(keeper.told) == 1
    assert len((await api.good("/api/control/actions"))["items"]) == 1


async def test_a_key_is_good_for_one_wish(api: Site, keeper: Keeper) -> None:
    assert (await act(api, "pause", "the-same-key")).status_code == 200
    for other in (
        await act(api, "halt", "the-same-key"),
        await act(api, "pause", "the-same-key", reason="another"),
        await act(api, "pause", "the-same-key", role="treasurer"),
    ):
        assert other.status_code == 409
        assert other.json()["field"] == "header.idempotency-key"
    assert len(keeper.told) == 1


async def test_refusal_of_the_keeper_is_no_success(api: Site, keeper: Keeper) -> None:
    answer = await act(api, "resume", "resume-after-halt")
    assert (answer.status_code, answer.json()["remedy"]) == (409, "Set release_halt.")
    assert (await act(api, "resume", "resume-after-halt")).status_code == 409
    assert len(keeper.told) == 1
    assert (await api.good("/api/control/actions"))["items"][0]["result"] == "refused"


async def test_silence_of_the_keeper_is_no_success(database_url: str, redis_url: str) -> None:
    keeper = Keeper()
    keeper.release.clear()
    async with (
        listening(redis_url, keeper.carry_out),
        site(database_url, redis_url, options=Options(control_patience=0.3)) as api,
    ):
        answer = await act(api, "pause", "no-answer-comes")
        assert (answer.status_code, answer.json()["result"]) == (202, "unanswered")
        keeper.release.set()


async def test_without_keeper_or_bus_nothing_is_done(
    database_url: str, redis_url: str, valkey: EmbeddedValkey, background: Any
) -> None:
    async with site(database_url, redis_url) as api:
        answer = await act(api, "pause", "nobody-there")
        assert (answer.status_code, answer.json()["field"]) == (503, "keeper")
        await kill(valkey, background)
        answer = await act(api, "pause", "no-bus-either")
        assert (answer.status_code, answer.json()["field"]) == (503, "bus")
        again = await act(api, "pause", "no-bus-either")
        assert again.status_code == 503
        await bring_back(valkey, background)
        results = [row["result"] for row in (await api.good("/api/control/actions"))["items"]]
        assert results == ["failed", "failed"]


async def test_actions_come_in_pages(api: Site, keeper: Keeper) -> None:
    for number in range(5):
        await act(api, "pause", f"click-number-{number}")
    first = await api.good("/api/control/actions", params={"limit": 3})
    rest = await api.good("/api/control/actions", params={"limit": 3, "cursor": first["next_cursor"]})
    keys = [row["idempotency_key"] for row in first["items"] + rest["items"]]
    assert keys == [f"click-number-{number}" for number in range(4, -1, -1)]
    assert rest["next_cursor"] is None
    assert len(keeper.told) == 5


async def test_the_same_command_twice_is_carried_out_once(redis_url: str, keeper: Keeper) -> None:
    command = Command("told-twice", Action.PAUSE, "x")
    answers = [await ask(redis_url, command, patience=5) for _ in range(2)]
    assert answers[0] == answers[1] is not None
    assert len(keeper.told) == 1


async def test_rubbish_on_the_channel_is_passed_over(
    redis_url: str, keeper: Keeper, caplog: pytest.LogCaptureFixture
) -> None:
    client = connect(redis_url)
    rubbish = ("", "{", "[]", "7", '{"id":1}', '{"id":"a","action":"explode","actor":"b"}', "[" * 100_000)
    for text in rubbish:
        await client.publish(CONTROL, text)
    await client.aclose()
    answer = await ask(redis_url, Command("after", Action.PAUSE, "x"), patience=5)
    assert answer is not None
    assert [one.id for one in keeper.told] == ["after"]
    assert caplog.text.count("passed over what is no command") == len(rubbish)


async def test_listener_comes_back_with_the_bus(
    redis_url: str, keeper: Keeper, valkey: EmbeddedValkey, background: Any
) -> None:
    await kill(valkey, background)
    with pytest.raises(ComponentError, match="Redis does not answer"):
        await ask(redis_url, Command("while-away", Action.PAUSE, "x"), patience=1)
    await bring_back(valkey, background)
    answer = None
    async with asyncio.timeout(15):
        while answer is None:
            try:
                answer = await ask(redis_url, Command("when-back", Action.PAUSE, "x"), patience=1)
            except ComponentError:
                await asyncio.sleep(0.05)
    assert [one.id for one in keeper.told] == ["when-back"]
    assert json.dumps(answer.details)
