"""The feed of pending transactions: a stand-in that drops, repeats and lies, and a real node under live traffic."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from random import Random
from typing import Any

import orjson
import pytest
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from keeper.domain.errors import ComponentError, InputError
from keeper.domain.pending import Intent, PendingEvent, PendingTransaction, Undecodable
from keeper.feeds.pending import PendingFeed, to_pending
from keeper.market.effects import apply_intent
from keeper.market.loader import load_pools
from keeper.market.node import Node
from keeper.market.routers import Decoder, mainnet
from keeper.market.specs import read_pool_specs
from keeper.replica import addresses
from tests.conftest import RunningReplica
from tests.feeds.router_calls import NEVER, Draw, v2_ether_in, v2_tokens, v3_second, v3_second_pairs
from tests.market.chain import address
from tests.market.json_rpc_server import Refusal, json_rpc_server

BOUND = 30.0


def raw(number: int, **fields: Any) -> dict[str, Any]:
    """Transaction ``number`` as a node words it; its calldata is its number."""
    return {
        "hash": f"0x{number:064x}",
        "from": address(0xF0),
        "to": address(0x70),
        "nonce": hex(number),
        "value": "0x0",
        "input": f"0x{number:08x}",
        "gas": "0x5208",
        "maxFeePerGas": "0x2",
        "maxPriorityFeePerGas": "0x1",
        "blockHash": None,
        **fields,
    }


def decode(transaction: PendingTransaction) -> int | Undecodable | None:
    """The number; multiples of ten are of no interest, and of seven are refused."""
    number = int.from_bytes(transaction.data, "big")
    if number % 10 == 0:
        return None
    return Undecodable(address(0x70), "seven") if number % 7 == 0 else number


@dataclass
class FakeMempool:
    """Tells what the test wants it to.

    Attributes:
        whole: whether it takes the wish for whole transactions; otherwise it refuses it, or ignores it where ``deaf``.
        known: transactions that it finds by hash.
        pending: what its pending block holds; None for a node that has none.
    """

    whole: bool = True
    deaf: bool = False
    refuse_all: bool = False
    known: dict[str, dict[str, Any]] = field(default_factory=dict)
    pending: list[dict[str, Any]] | None = field(default_factory=list)
    subscriptions: list[list[Any]] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    subscribed: asyncio.Event = field(default_factory=asyncio.Event)
    socket: ServerConnection | None = None
    http_url: str = ""
    ws_url: str = ""

    async def tell(self, *results: object) -> None:
        assert self.socket is not None
        for result in results:
            params = {"subscription": "0x1", "result": result}
            await self.socket.send(
                orjson.dumps({"jsonrpc": "2.0", "method": "eth_subscription", "params": params}).decode()
            )

    async def until_subscribed(self) -> None:
        await asyncio.wait_for(self.subscribed.wait(), BOUND)

    async def until(self, holds: Callable[[], bool]) -> None:
        """Returns when it holds; each round trip on the websocket gives the feed its turn."""
        async with asyncio.timeout(BOUND):
            while not holds():
                assert self.socket is not None
                await (await self.socket.ping())

    async def drop(self) -> None:
        assert self.socket is not None
        self.subscribed.clear()
        await self.socket.close(code=1011)

    async def answer(self, method: str, params: list[Any]) -> object:
        self.asked.append(method)
        if method == "eth_getTransactionByHash":
            return self.known.get(params[0])
        assert (method, params) == ("eth_getBlockByNumber", ["pending", True])
        if self.pending is None:
            raise Refusal(-32000, "no pending block here")
        return {"number": "0x1", "transactions": self.pending}

    async def listen(self, socket: ServerConnection) -> None:
        try:
            while True:
                request = orjson.loads(await socket.recv())
                self.subscriptions.append(request["params"])
                if self.refuse_all or (not self.whole and not self.deaf and len(request["params"]) == 2):
                    error = {"code": -32602, "message": "invalid params"}
                    await socket.send(orjson.dumps({"jsonrpc": "2.0", "id": request["id"], "error": error}).decode())
                    continue
                self.socket = socket
                await socket.send(orjson.dumps({"jsonrpc": "2.0", "id": request["id"], "result": "0x1"}).decode())
                self.subscribed.set()
                await socket.wait_closed()
                return
        except ConnectionClosed:
            return


@asynccontextmanager
async def mempool(**options: Any) -> AsyncIterator[FakeMempool]:
    fake = FakeMempool(**options)
    async with json_rpc_server(fake.answer) as url, serve(fake.listen, "127.0.0.1", 0) as server:
        fake.http_url = url
        fake.ws_url = f"ws://127.0.0.1:{next(iter(server.sockets)).getsockname()[1]}/secret-key"
        yield fake


@asynccontextmanager
async def feed_of(fake: FakeMempool, **options: Any) -> AsyncIterator[PendingFeed[int]]:
    settings = {"first_delay": 0.001, "longest_delay": 0.01, **options}
    async with Node(fake.http_url) as node, PendingFeed(fake.ws_url, node, decode, **settings) as feed:
        yield feed


async def take(feed: PendingFeed[int], count: int = 1) -> list[int]:
    async with asyncio.timeout(BOUND):
        return [(await anext(feed)).content for _ in range(count)]


@asynccontextmanager
async def listening(fake: FakeMempool, feed: PendingFeed[int]) -> AsyncIterator[asyncio.Future[list[int]]]:
    """The feed has subscribed; the first event is being awaited."""
    first = asyncio.ensure_future(take(feed))
    await fake.until_subscribed()
    yield first
    await first


async def test_whole_transactions_come_in_order_once_and_counted() -> None:
    async with mempool() as fake, feed_of(fake) as feed:
        async with listening(fake, feed) as first:
            await fake.tell(*(raw(number) for number in (1, 2, 2, 7, 10, 1, 3)))
            await fake.tell(5, {}, raw(4, gas="lots"), raw(5, **{"from": None}), raw(6))
        assert await first == [1]
        assert await take(feed, 3) == [2, 3, 6]
        assert fake.subscriptions == [["newPendingTransactions", True]]
        assert (feed.received, feed.repeated, feed.ignored, feed.malformed) == (8, 2, 1, 4)
        assert feed.refused == {"seven": 1}
        assert (feed.fetched, feed.unfetched, feed.dropped, feed.failures) == (0, 0, 0, 0)


@pytest.mark.parametrize("deaf", [False, True])
async def test_a_node_that_tells_hashes_is_asked_for_the_rest(deaf: bool) -> None:
    async with mempool(whole=False, deaf=deaf) as fake, feed_of(fake, fetchers=1) as feed:
        fake.known = {raw(number)["hash"]: raw(number) for number in (1, 2, 3, 7, 10)}
        fake.known[raw(4)["hash"]] = raw(4, blockHash="0x" + "11" * 32)
        fake.known[raw(5)["hash"]] = raw(6)
        async with listening(fake, feed) as first:
            await fake.tell(*(raw(number)["hash"] for number in (1, 1, 2, 4, 5, 7, 8, 10, 3)))
        assert await first == [1]
        assert await take(feed, 2) == [2, 3]
        wishes = [["newPendingTransactions", True], ["newPendingTransactions"]]
        assert fake.subscriptions == wishes[: 1 if deaf else 2]
        assert (feed.received, feed.repeated, feed.fetched, feed.unfetched) == (8, 1, 5, 3)
        assert (feed.ignored, feed.refused) == (1, {"seven": 1})


async def test_what_was_told_while_nobody_listened_is_found_in_the_pending_block() -> None:
    async with mempool() as fake, feed_of(fake) as feed:
        fake.pending = [raw(1), raw(2)]
        assert await take(feed, 2) == [1, 2]
        await fake.until_subscribed()
        await fake.tell(raw(3))
        assert await take(feed) == [3]
        for number in range(11, 20):
            fake.pending = [raw(3), raw(number * 70 + 1)]
            await fake.drop()
            assert await take(feed) == [number * 70 + 1]
            await fake.until_subscribed()
            await fake.tell(raw(number * 70 + 2))
            assert await take(feed) == [number * 70 + 2]
        assert (feed.filled, feed.unfilled, feed.repeated) == (11, 0, 9)
        assert (feed.connections, feed.failures) == (10, 9)


async def test_a_node_without_a_pending_block_leaves_a_gap_that_is_counted() -> None:
    async with mempool(pending=None) as fake, feed_of(fake) as feed:
        async with listening(fake, feed) as first:
            await fake.tell(raw(1))
        assert await first == [1]
        await fake.until(lambda: feed.unfilled == 1)
        await fake.drop()
        async with listening(fake, feed) as first:
            await fake.tell(raw(2))
        assert await first == [2]
        await fake.until(lambda: feed.unfilled == 2)
        assert feed.filled == 0


async def test_what_does_not_fit_the_queues_is_dropped_from_its_old_end_and_counted() -> None:
    async with mempool() as fake, feed_of(fake, queue_size=5) as feed:
        async with listening(fake, feed) as first:
            await fake.tell(raw(1))
        assert await first == [1]
        await fake.tell(*(raw(1000 * number + 1) for number in range(1, 51)))
        await fake.until(lambda: feed.received == 51)
        good = [number for number in range(1001, 50_002, 1000) if number % 7]
        assert await take(feed, 5) == good[-5:]
        assert feed.dropped == len(good) - 5


async def test_the_memory_of_what_was_told_has_an_end() -> None:
    async with mempool() as fake, feed_of(fake, remembered=3) as feed:
        async with listening(fake, feed) as first:
            await fake.tell(*(raw(number) for number in (1, 2, 3, 4, 4, 1)))
        assert await first == [1]
        assert await take(feed, 4) == [2, 3, 4, 1]
        assert feed.repeated == 1


@pytest.mark.parametrize("rubbish", ["{", "[]", "{}", '{"params": 5}', '{"params": {}}'])
async def test_after_rubbish_on_the_websocket_it_is_made_again(rubbish: str) -> None:
    async with mempool() as fake, feed_of(fake) as feed:
        async with listening(fake, feed) as first:
            await fake.tell(raw(1))
        assert await first == [1]
        assert fake.socket is not None
        fake.subscribed.clear()
        await fake.socket.send(rubbish)
        async with listening(fake, feed) as first:
            await fake.tell(raw(2))
        assert await first == [2]
        assert (feed.connections, feed.failures) == (2, 1)


async def test_a_node_that_never_subscribes_ends_the_feed_without_telling_its_key() -> None:
    async with mempool(refuse_all=True) as fake, feed_of(fake, attempts=3) as feed:
        with pytest.raises(ComponentError, match=r"failed 4 times.*invalid params") as refused:
            await take(feed)
        assert len(fake.subscriptions) == 8
        assert feed.failures == 4
    async with Node(fake.http_url) as node:
        async with PendingFeed(fake.ws_url, node, decode, attempts=1, first_delay=0.0) as feed:
            with pytest.raises(ComponentError, match="failed 2 times") as gone:
                await take(feed)
        with pytest.raises(InputError, match="ORION_WS_URL") as wrong:
            PendingFeed(fake.http_url, node, decode)
    assert "secret-key" not in f"{refused.value} {gone.value} {wrong.value}"


async def test_a_filled_gap_alone_does_not_make_a_connection_good() -> None:
    """A node that drops every connection at once, but answers over HTTP, is given up as well."""
    async with mempool() as fake, feed_of(fake, attempts=2, queue_size=100) as feed:
        fake.pending = [raw(1)]

        async def drop_all() -> None:
            while True:
                await fake.until_subscribed()
                await fake.drop()

        dropping = asyncio.ensure_future(drop_all())
        with pytest.raises(ComponentError, match="failed 3 times"):
            await take(feed, 100)
        dropping.cancel()
        await asyncio.gather(dropping, return_exceptions=True)


async def test_a_decoder_that_breaks_is_not_kept_quiet() -> None:
    def broken(_: PendingTransaction) -> int | None:
        raise ZeroDivisionError

    async with (
        mempool(whole=False) as fake,
        Node(fake.http_url) as node,
        PendingFeed(fake.ws_url, node, broken) as feed,
    ):
        fake.known = {raw(1)["hash"]: raw(1)}
        waiting = asyncio.ensure_future(take(feed))
        await fake.until_subscribed()
        await fake.tell(raw(1)["hash"])
        with pytest.raises(ZeroDivisionError):
            await waiting


def test_old_transactions_have_one_price() -> None:
    legacy = raw(1, gasPrice="0x9", to=None)
    del legacy["maxFeePerGas"], legacy["maxPriorityFeePerGas"]
    transaction = to_pending(legacy, 5)
    assert (transaction.max_fee, transaction.priority_fee, transaction.to, transaction.seen_at) == (9, 9, None, 5)


@pytest.mark.parametrize("hashes_only", [False, True])
async def test_on_a_real_node_every_call_of_a_router_comes_and_its_effect_is_foreseen(
    fresh_replica: RunningReplica, hashes_only: bool
) -> None:
    """A block of pending calls: what the feed tells, applied in order, is what the block makes of the pools."""
    async with Node(fresh_replica.http_url) as node:
        specs = read_pool_specs(fresh_replica.state.pools_path)
        header = await node.block()
        pools = await load_pools(node, specs, header)
        await node.request("evm_setAutomine", False)
        draw = Draw(Random(4), dict(pools), addresses.TRADERS[0])
        feed: PendingFeed[Intent] = PendingFeed(fresh_replica.ws_url, node, Decoder(mainnet()))
        if hashes_only:
            feed._subscribe = _hashes_alone  # type: ignore[method-assign]
        events: list[PendingEvent[Intent]] = []
        async with feed, asyncio.timeout(BOUND):
            waiting = asyncio.ensure_future(anext(feed))
            while feed.connections == 0:
                await asyncio.wait({waiting}, timeout=0.01)
            calls = [kind(draw) for kind in (v2_tokens, v2_ether_in, v3_second, v3_second_pairs, v3_second, v2_tokens)]
            nonce = int(await node.request("eth_getTransactionCount", addresses.TRADERS[0], "latest"), 16)
            for number, call in enumerate(calls):
                transaction = {"from": addresses.TRADERS[0], "to": call.to, "data": "0x" + call.data.hex()}
                transaction |= {"value": hex(call.value), "gas": hex(2_000_000), "nonce": hex(nonce + number)}
                await node.request("eth_sendTransaction", transaction)
            events.append(await waiting)
            while len(events) < len(calls):
                events.append(await anext(feed))
        assert (feed.fetched > 0) is hashes_only
        events.sort(key=lambda event: event.transaction.nonce)
        assert [event.transaction.data for event in events] == [call.data for call in calls]
        after = dict(pools)
        touched = 0
        for event in events:
            effect = apply_intent(after, event.content, timestamp=NEVER - 1)
            assert effect.certain
            after |= effect.pools
            touched += len(effect.pools)
        assert touched >= 4
        await node.request("evm_mine")
        assert await load_pools(node, specs, await node.block()) == after


async def _hashes_alone(socket: Any) -> None:
    await socket.send(
        orjson.dumps({"jsonrpc": "2.0", "id": 1, "method": "eth_subscribe", "params": ["newPendingTransactions"]})
    )
    await socket.recv()
