"""Commands to the keeper over the bus and its answers: both ends of the channel ``orion:control``."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any

import orjson
from redis.exceptions import RedisError

from keeper.domain.errors import ComponentError
from keeper.store.bus import CONTROL, connect
from keeper.store.documents import clean
from keeper.store.tasks import end

log = logging.getLogger(__name__)

ANSWERS = "orion:control:answers"
"""Channel on which the keeper answers; each answer carries the id of its command."""
_REMEMBERED = 1_000
_FIRST_PAUSE = 0.1
_LONGEST_PAUSE = 2.0
_CHECK = 1.0
_REMEDY = "Check that Redis runs and that ORION_REDIS_URL is right; a file `HALT` in ORION_HOME stops all signing."


class Action(StrEnum):
    PAUSE = "pause"
    """Nothing new is sent; what is under way may still land."""
    RESUME = "resume"
    HALT = "halt"
    """The kill switch: nothing is signed any more, also after a restart."""


@dataclass(frozen=True, slots=True)
class Command:
    """What somebody wants the keeper to do.

    Attributes:
        id: the same for the same wish; the keeper acts on it once, however often it is told.
        release_halt: with `Action.RESUME`, also releases the kill switch.
    """

    id: str
    action: Action
    actor: str
    reason: str = ""
    release_halt: bool = False


@dataclass(frozen=True, slots=True)
class Answer:
    """What the keeper did.

    Attributes:
        done: False when it refused; ``details`` then has ``problem`` and ``remedy``.
        state: what the keeper is doing now.
    """

    id: str
    done: bool
    state: str
    details: dict[str, Any] = field(default_factory=dict)


Handler = Callable[[Command], Awaitable[Answer]]


class ControlListener:
    """The keeper's end: hands each new command to ``handle`` and publishes the answer.

    It listens until `close`, through any outage of the bus. A command that comes again gets the same answer again and
    is not carried out twice; what is no command is logged and passed over.
    """

    def __init__(self, url: str, handle: Handler) -> None:
        self._url = url
        self._handle = handle
        self._answered: OrderedDict[str, Answer] = OrderedDict()
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        if self._task is None:
            self._task = asyncio.create_task(self._listen(), name="control listener")

    async def close(self) -> None:
        if self._task is not None:
            await end(self._task)
            self._task = None

    async def _listen(self) -> None:
        pause = _FIRST_PAUSE
        while True:
            client = connect(self._url)
            try:
                async with client.pubsub() as channel:
                    await channel.subscribe(CONTROL)
                    pause = _FIRST_PAUSE
                    while True:
                        message = await channel.get_message(ignore_subscribe_messages=True, timeout=_CHECK)
                        if message is not None:
                            answer = await self._answer(str(message["data"]))
                            if answer is not None:
                                await client.publish(ANSWERS, json.dumps(asdict(answer)))
            except (RedisError, OSError) as error:
                log.debug("control: bus is away: %s", error)
            finally:
                with contextlib.suppress(RedisError, OSError):
                    await client.aclose()
            await asyncio.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)

    async def _answer(self, text: str) -> Answer | None:
        try:
            command = _command(orjson.loads(text))
        except (ValueError, TypeError, KeyError, RecursionError) as error:
            log.warning("control: passed over what is no command (%s)", error)
            return None
        if command.id not in self._answered:
            self._answered[command.id] = await self._handle(command)
            while len(self._answered) > _REMEMBERED:
                self._answered.popitem(last=False)
        return self._answered[command.id]


async def ask(url: str, command: Command, *, patience: float) -> Answer | None:
    """Send ``command`` and wait for the keeper's answer; None when none came within ``patience`` seconds.

    Raises:
        ComponentError: the bus is away, or no keeper listens to it: then nothing will happen.
    """
    client = connect(url)
    try:
        async with client.pubsub() as channel:
            await channel.subscribe(ANSWERS)
            await channel.get_message(timeout=patience)  # the confirmation: from here on no answer is missed
            if await client.publish(CONTROL, json.dumps(clean(asdict(command)))) == 0:
                raise ComponentError("keeper", "nobody listens to commands on the bus", "Start it with `keeper run`.")
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(patience):
                    while True:
                        message = await channel.get_message(ignore_subscribe_messages=True, timeout=_CHECK)
                        if message is not None and (answer := _parsed(str(message["data"]), command.id)) is not None:
                            return answer
    except (RedisError, OSError) as error:
        raise ComponentError("bus", "Redis does not answer", _REMEDY) from error
    finally:
        with contextlib.suppress(RedisError, OSError):
            await client.aclose()
    return None


def _command(document: Any) -> Command:
    return Command(
        id=str(document["id"]),
        action=Action(document["action"]),
        actor=str(document["actor"]),
        reason=str(document.get("reason", "")),
        release_halt=document.get("release_halt") is True,
    )


def _parsed(text: str, wanted: str) -> Answer | None:
    try:
        document = orjson.loads(text)
        if document["id"] != wanted:
            return None
        return Answer(wanted, document["done"] is True, str(document["state"]), dict(document["details"]))
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        log.warning("control: passed over what is no answer (%s)", error)
        return None
