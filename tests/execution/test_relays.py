"""Both relay backends against relays on sockets: signatures, every shape of answer, dead relays and their return."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from uuid import UUID

import pytest
from eth_account import Account

from keeper.domain.errors import InputError
from keeper.execution.flashbots_backend import FlashbotsRelays
from keeper.execution.relay_answer import RelayAnswer, read_response
from keeper.execution.relays import BundleRelays, RelayAccount, Relays, bundle_hash, relay_name
from tests.execution.site import Socket, bundle_hash_of, listening, relay_answer, result, signature_is_valid

KEY = "0x" + "17" * 32
TX = bytes.fromhex("02f8") + bytes(range(40))
HASH = "0x" + "ab" * 32
UUID4 = UUID("6f1d2c55-3a0a-4f0e-9c57-1ad0b8c7c111")
Answer = Callable[[dict[str, str], bytes], tuple[int, bytes]]
Backend = Callable[[Sequence[str]], BundleRelays]


@pytest.fixture(params=["keeper", "flashbots"])
def backend(request: pytest.FixtureRequest) -> Backend:
    account = RelayAccount(KEY)
    if request.param == "keeper":
        return lambda urls: Relays(urls, account, timeout=5.0)
    return lambda urls: FlashbotsRelays(urls, account)


@asynccontextmanager
async def asking(backend: Backend, *answers: Answer) -> AsyncIterator[tuple[BundleRelays, list[Socket]]]:
    async with listening(answers[0]) as first, listening(answers[-1]) as last:
        sockets = [first, last][: len(answers)]
        relays = backend([socket.url for socket in sockets])
        try:
            yield relays, sockets
        finally:
            await relays.aclose()


def error(code: int, message: str, status: int = 200) -> Answer:
    return lambda _, body: (
        status,
        json.dumps(
            {"jsonrpc": "2.0", "id": json.loads(body)["id"], "error": {"code": code, "message": message}}
        ).encode(),
    )


def raw(status: int, body: bytes) -> Answer:
    return lambda _h, _b: (status, body)


# ------------------------------------------------------------------ the contract of both backends


async def test_a_bundle_reaches_every_relay_signed_over_the_bytes_sent(backend: Backend) -> None:
    async with asking(backend, relay_answer, relay_answer) as (relays, sockets):
        answers = await relays.send_bundle([TX, TX + b"\x01"], 123, UUID4, [HASH])
        assert relays.names == tuple(relay_name(socket.url) for socket in sockets)
    for socket, answer in zip(sockets, answers, strict=True):
        ((headers, body),) = socket.requests
        assert signature_is_valid(headers, body)
        assert headers["x-flashbots-signature"].startswith(Account.from_key(KEY).address + ":0x")
        (params,) = json.loads(body)["params"]
        assert params["txs"] == ["0x" + TX.hex(), "0x" + TX.hex() + "01"]
        assert params["blockNumber"] == "0x7b"
        assert params["replacementUuid"] == str(UUID4)
        assert params["revertingTxHashes"] == [HASH]
        assert answer.ok
        assert answer.relay == relay_name(socket.url)
        assert answer.bundle_hash == bundle_hash_of(params)
        assert (answer.error_code, answer.error_message) == (None, "")
        assert answer.elapsed_ns > 0


async def test_simulation_and_cancellation(backend: Backend) -> None:
    async with asking(backend, relay_answer) as (relays, (socket,)):
        (called,) = await relays.call_bundle([TX], 123, timestamp=1_800_000_012)
        assert called.ok
        assert called.result["coinbaseDiff"] == "0"
        (cancelled,) = await relays.cancel_bundle(UUID4)
        assert cancelled.ok
        assert socket.calls("eth_callBundle") == [
            [
                {
                    "txs": ["0x" + TX.hex()],
                    "blockNumber": "0x7b",
                    "stateBlockNumber": "latest",
                    "timestamp": 1_800_000_012,
                }
            ]
        ]
        assert socket.calls("eth_cancelBundle") == [[{"replacementUuid": str(UUID4)}]]


@pytest.mark.parametrize(
    ("answer", "ok", "code", "message"),
    [
        (result({"bundleHash": HASH}), True, None, ""),
        (result(HASH), True, None, ""),
        (result({"bundleHash": HASH, "smart": True}), True, None, ""),
        (error(-32000, "bundle too late"), False, -32000, "bundle too late"),
        (error(-32602, "bad params", 400), False, -32602, "bad params"),
        (error(-32600, "signature missing", 403), False, -32600, "signature missing"),
        (raw(200, b"<html><body>down for maintenance</body></html>"), False, None, "not JSON"),
        (raw(200, b"[]"), False, None, "not a JSON-RPC"),
        (raw(200, b"\xff\xfe\x00garbage"), False, None, "not JSON"),
        (result("0x1234"), False, None, "not a bundle hash"),
        (result({"bundleHash": "yes"}), False, None, "not a bundle hash"),
        (result(42), False, None, "not a bundle hash"),
    ],
)
async def test_every_shape_of_answer(
    backend: Backend, answer: Answer, ok: bool, code: int | None, message: str
) -> None:
    async with asking(backend, answer) as (relays, _):
        (given,) = await relays.send_bundle([TX], 1)
    assert given.ok is ok
    assert given.error_code == code
    assert message in given.error_message
    assert given.bundle_hash == (HASH if ok else None)
    assert json.dumps(given.as_details())


async def test_nobody_listens(backend: Backend) -> None:
    async with listening(relay_answer) as socket:
        url = socket.url
    relays = backend([url])
    try:
        (given,) = await relays.send_bundle([TX], 1)
    finally:
        await relays.aclose()
    assert not given.ok
    assert "Connect" in given.error_message


# ------------------------------------------------------------------ our own client


def test_signature_vector() -> None:
    """The account's address and a signature that recovers to it over the hexadecimal text of the hash."""
    account = RelayAccount(KEY)
    body = b'{"jsonrpc":"2.0","id":1,"method":"eth_sendBundle","params":[]}'
    header = account.header(body)
    assert header.split(":")[0] == account.address == Account.from_key(KEY).address
    assert signature_is_valid({"x-flashbots-signature": header}, body)
    assert not signature_is_valid({"x-flashbots-signature": header}, body + b" ")
    assert KEY[2:] not in repr(account)
    assert RelayAccount().address != RelayAccount().address


def test_a_bad_relay_key_is_not_shown() -> None:
    with pytest.raises(InputError) as refused:
        RelayAccount("0xnot-a-key-but-secret")
    assert "secret" not in str(refused.value)
    assert refused.value.__cause__ is None


def test_bundle_hash_is_of_the_transaction_hashes() -> None:
    from eth_utils.crypto import keccak

    hashes = ["0x" + keccak(TX).hex(), "0x" + keccak(TX + b"\x01").hex()]
    assert bundle_hash(hashes) == bundle_hash_of({"txs": ["0x" + TX.hex(), "0x" + TX.hex() + "01"]})


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("https://relay.flashbots.net", "relay.flashbots.net"),
        ("https://user:pass@mev.example.com:8443/v1/secret", "mev.example.com:8443"),
        ("http://127.0.0.1:9000", "127.0.0.1:9000"),
        ("http://10.1.2.3", "10.1.2.3"),
    ],
)
def test_names_show_the_host_only(url: str, name: str) -> None:
    assert relay_name(url) == name


@pytest.mark.parametrize(
    "url", ["relay.flashbots.net", "ftp://x", "http://relay.flashbots.net", "http://8.8.8.8", "https://x:99999"]
)
def test_urls_that_will_not_do(url: str) -> None:
    with pytest.raises(InputError, match="ORION_RELAY_URLS"):
        relay_name(url)


def test_one_relay_is_not_named_twice() -> None:
    with pytest.raises(InputError, match="once"):
        Relays(["https://a.example", "https://a.example/"], RelayAccount(KEY))


@asynccontextmanager
async def own(urls: Sequence[str], **options: object) -> AsyncIterator[Relays]:
    relays = Relays(urls, RelayAccount(KEY), **options)  # type: ignore[arg-type]
    try:
        yield relays
    finally:
        await relays.aclose()


async def one(relays: Relays) -> RelayAnswer:
    (answer,) = await relays.send_bundle([TX], 1)
    return answer


async def test_overload_is_tried_again_a_bounded_number_of_times() -> None:
    async with listening(raw(503, b"overloaded")) as socket, own([socket.url]) as relays:
        answer = await one(relays)
        assert (answer.ok, answer.error_code) == (False, 503)
        assert len(socket.requests) == 3
        assert len({body for _, body in socket.requests}) == 1  # the same signed bytes
    limits = error(-32005, "rate limited", 429)

    def limited_once(headers: dict[str, str], body: bytes) -> tuple[int, bytes]:
        return (limits if len(socket.requests) == 1 else relay_answer)(headers, body)

    async with listening(limited_once) as socket, own([socket.url]) as relays:
        assert (await one(relays)).ok
        assert len(socket.requests) == 2


async def test_a_refusal_is_not_tried_again() -> None:
    async with listening(error(-32000, "no")) as socket, own([socket.url]) as relays:
        for count in (1, 2, 3):
            assert (await one(relays)).error_message == "no"
            assert len(socket.requests) == count


async def test_a_silent_relay_does_not_hold_up_the_others() -> None:
    async def silence(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    server = await asyncio.start_server(silence, "127.0.0.1", 0)
    silent = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        async with listening(relay_answer) as socket, own([silent, socket.url], timeout=0.3) as relays:
            slow, good = await relays.send_bundle([TX], 1)
            assert good.ok
            assert not slow.ok
            assert "no answer within 0.3 s" in slow.error_message
    finally:
        server.close()
        await server.wait_closed()


async def test_an_endless_answer_is_cut_off() -> None:
    async with listening(raw(200, b"[" * (1 << 21))) as socket, own([socket.url]) as relays:
        assert "over 1048576 bytes" in (await one(relays)).error_message


async def test_what_a_relay_says_cannot_forge_log_lines() -> None:
    async with listening(error(-1, "bad\r\n\x1b[31mERROR fake" + "x" * 500)) as socket, own([socket.url]) as relays:
        message = (await one(relays)).error_message
    assert message.isprintable()
    assert len(message) <= 200


async def test_a_dead_relay_is_reported_once_left_alone_and_taken_back(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    now = 0.0
    working = False
    async with (
        listening(lambda h, b: relay_answer(h, b) if working else (200, b"rubbish")) as socket,
        own([socket.url], clock=lambda: now) as relays,
    ):
        assert "not JSON" in (await one(relays)).error_message
        for _ in range(5):
            assert (await one(relays)).error_message == "left alone after failures"
        assert len(socket.requests) == 1
        waits = []
        for _ in range(10):
            before = now
            while len(socket.requests) == len(waits) + 1:
                now += 0.5
                await one(relays)
            waits.append(now - before)
        assert waits == [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0, 60.0, 60.0]
        assert [record.levelname for record in caplog.records if record.name.startswith("keeper")] == ["ERROR"]
        assert "relay 127.0.0.1" in caplog.text

        working = True
        now += 60.0
        assert (await one(relays)).ok
        assert (await one(relays)).ok
        levels = [record.levelname for record in caplog.records if record.name.startswith("keeper")]
        assert levels == ["ERROR", "INFO"]


async def test_an_open_circuit_lets_one_request_through_at_a_time() -> None:
    now = 0.0
    async with listening(raw(200, b"rubbish")) as socket, own([socket.url], clock=lambda: now) as relays:
        await one(relays)
        now = 1.0
        await asyncio.gather(*(one(relays) for _ in range(5)))
        assert len(socket.requests) == 2


@pytest.mark.parametrize(
    "body", [b"", b"null", b"1", b'"x"', b"{}", b'{"result"', b'{"error": 5}', b'{"error": {}}', b'{"error": "x"}']
)
@pytest.mark.parametrize("status", [200, 302, 400, 429, 500])
def test_reading_never_fails(status: int, body: bytes) -> None:
    reading = read_response("eth_sendBundle", status, body)
    assert not reading.ok
    assert reading.error_message
