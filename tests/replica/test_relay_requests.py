"""The relay's signature check, error shapes and bookkeeping, in the dialect of the public relays."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx
import orjson
import pytest
from eth_utils import keccak

from keeper.replica.anvil import Anvil
from keeper.replica.block_builder import BundleFate
from keeper.replica.bundles import MAX_TRANSACTIONS, decode_transaction
from keeper.replica.relay import SignatureError, verify_signature
from tests.conftest import BackgroundLoop
from tests.replica.relay_setup import ALICE, BOB, PAYER, REVERTER, SEARCHER, Site, bare_node, headers, site, tx

BODY = b'{"jsonrpc":"2.0","id":1,"method":"eth_sendBundle","params":[]}'
UUID = "2c3b1c1e-6a5f-4a57-9d8c-0c8f1e1d8a10"
# made with `cast wallet sign` and with ethers over keccak("Hello"), as published in flashbots/go-utils
HELLO_SIGNER = "0x96216849c49358B10257cb55b28eA603c874b05E"
HELLO_SIGNATURE = (
    "0x1446053488f02d460c012c84c4091cd5054d98c6cfca01b65f6c1a72773e80e6"
    "0b8a4931aeee7ed18ce3adb45b2107e8c59e25556c1f871a8334e30e5bddbed21c"
)


@pytest.fixture(scope="module")
def node(background: BackgroundLoop, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Anvil]:
    with bare_node(background, tmp_path_factory.mktemp("node")) as running:
        yield running


@pytest.fixture
async def here(node: Anvil) -> AsyncIterator[Site]:
    async with site(node) as opened:
        yield opened


@pytest.mark.parametrize("price", [{"gasPrice": 10}, {"maxFeePerGas": 10, "maxPriorityFeePerGas": 1}])
def test_access_lists_are_read(price: dict[str, int]) -> None:
    entry = {"address": "0x" + "12" * 20, "storageKeys": ["0x" + "00" * 31 + "05", "0x" + "ff" * 32]}
    fields = {"chainId": 1, "nonce": 0, "to": ALICE.address, "value": 0, "gas": 50_000, "accessList": [entry], **price}
    signed = ALICE.sign_transaction(fields | {"type": 2 if len(price) == 2 else 1})
    assert decode_transaction("0x" + signed.raw_transaction.hex(), "txs[0]", 1).request["accessList"] == [entry]


def test_signature_of_other_tools_is_accepted() -> None:
    assert verify_signature(f"{HELLO_SIGNER}:{HELLO_SIGNATURE}", b"Hello") == HELLO_SIGNER
    assert verify_signature(f"{HELLO_SIGNER.lower()}:{HELLO_SIGNATURE}", b"Hello") == HELLO_SIGNER


def test_recovery_id_may_count_from_0_or_27() -> None:
    assert HELLO_SIGNATURE.endswith("1c")
    assert verify_signature(f"{HELLO_SIGNER}:{HELLO_SIGNATURE[:-2]}01", b"Hello") == HELLO_SIGNER


@pytest.mark.parametrize(
    ("header", "body", "message"),
    [
        (None, b"Hello", "no signature provided"),
        ("", b"Hello", "no signature provided"),
        ("nonsense", b"Hello", "missing separator"),
        (f"{HELLO_SIGNER}:{HELLO_SIGNATURE}", b"hello", "mismatch"),
        (f"{HELLO_SIGNER}:{HELLO_SIGNATURE}", b"", "mismatch"),
        (f"{SEARCHER.address}:{HELLO_SIGNATURE}", b"Hello", "mismatch"),
        (f"{HELLO_SIGNER}:{HELLO_SIGNATURE[2:]}", b"Hello", "0x prefix"),
        (f"{HELLO_SIGNER}:{HELLO_SIGNATURE}00", b"Hello", "wrong length"),
        (f"{HELLO_SIGNER}:{HELLO_SIGNATURE[:-4]}", b"Hello", "wrong length"),
        (f"{HELLO_SIGNER}:{HELLO_SIGNATURE[:-2]}1b", b"Hello", "invalid signature provided"),
        (f"{HELLO_SIGNER}:{HELLO_SIGNATURE[:-2]}1e", b"Hello", "recovery id"),
        (f"{HELLO_SIGNER}:0x{'00' * 65}", b"Hello", "invalid signature provided"),
        (f"{HELLO_SIGNER}:0xzz", b"Hello", "invalid signature provided"),
    ],
)
def test_wrong_signatures_are_refused(header: str | None, body: bytes, message: str) -> None:
    with pytest.raises(SignatureError, match=message):
        verify_signature(header, body)


def test_the_mirrored_signature_is_refused() -> None:
    """(r, n - s) recovers to the same signer with the other v; go-ethereum's verification refuses it."""
    order = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
    raw = bytes.fromhex(HELLO_SIGNATURE[2:])
    mirrored = raw[:32] + (order - int.from_bytes(raw[32:64], "big")).to_bytes(32, "big") + b"\x1b"
    with pytest.raises(SignatureError, match="upper half"):
        verify_signature(f"{HELLO_SIGNER}:0x{mirrored.hex()}", b"Hello")


async def test_unsigned_requests_never_reach_a_method(here: Site) -> None:
    altered = BODY.replace(b"1", b"2")
    for content, given in ((BODY, {}), (altered, headers(BODY))):
        response = await here.http.post(here.relay.url, content=content, headers=given)
        assert response.status_code == 403
        answer = response.json()
        assert (answer["jsonrpc"], answer["error"]["code"]) == ("2.0", -32600)
        assert "signature provided" in answer["error"]["message"]
    assert here.pool.received == 0


async def raw_post(here: Site, body: bytes) -> httpx.Response:
    return await here.http.post(here.relay.url, content=body, headers=headers(body))


async def test_what_is_no_json_rpc_gets_a_client_error(here: Site) -> None:
    for body, code in ((b"{", -32700), (b"[]", -32600), (b'{"id":1,"method":"eth_sendBundle"}', -32600)):
        response = await raw_post(here, body)
        assert response.status_code == 400
        assert response.json()["error"]["code"] == code


async def test_unknown_method(here: Site) -> None:
    answer = await here.post("mev_sendBundle", {})
    assert answer["error"]["code"] == -32601
    assert "mev_sendBundle" in answer["error"]["message"]


def _params(**changes: Any) -> dict[str, Any]:
    good = {"txs": [tx(ALICE, 0, PAYER).raw_hex], "blockNumber": hex(24_000_001)}
    return {**good, **changes}


BAD_PARAMETERS: list[tuple[str, object]] = [
    ("txs", None),
    ("txs", []),
    ("txs", ["0x00"] * (MAX_TRANSACTIONS + 1)),
    ("txs", ["0x" + "00" * 300_001]),
    ("txs[0]", ["no hex"]),
    ("txs[0]", ["0x02c0"]),
    ("txs[0]", ["0x"]),
    ("txs[0]", [7]),
    ("blockNumber", 24_000_001),
    ("blockNumber", "24000001"),
    ("blockNumber", "0x016e3601"),
    ("minTimestamp", "1800000000"),
    ("maxTimestamp", -1),
    ("revertingTxHashes", ["0x12"]),
    ("revertingTxHashes", "all"),
    ("replacementUuid", 5),
    ("version", "v2"),
    ("refundPercent", 90),
]


async def test_bad_parameters_are_named(here: Site) -> None:
    for field, value in BAD_PARAMETERS:
        answer = await here.post("eth_sendBundle", _params(**{field.partition("[")[0]: value}))
        assert answer["error"]["code"] == -32602, (field, value)
        assert answer["error"]["message"].startswith(f"{field}:")
    assert here.pool.received == 0


async def test_limits_are_inclusive(here: Site) -> None:
    block = await here.coming()
    txs = [tx(ALICE, nonce, PAYER) for nonce in range(MAX_TRANSACTIONS)]
    expected = keccak(b"".join(bytes.fromhex(one.hash[2:]) for one in txs))
    assert await here.send(txs, block) == "0x" + expected.hex()
    built = await here.build()
    assert [one.hash for one in txs] == list(built.transactions)


async def test_transactions_of_another_chain_are_refused(here: Site) -> None:
    fields = {"nonce": 0, "to": PAYER, "value": 0, "gas": 21_000, "gasPrice": 10**11, "chainId": 137}
    raw = "0x" + bytes(ALICE.sign_transaction(fields).raw_transaction).hex()
    answer = await here.post("eth_sendBundle", _params(txs=[raw]))
    assert (answer["error"]["code"], "chain 1" in answer["error"]["message"]) == (-32602, True)


async def test_legacy_transactions_are_taken(here: Site) -> None:
    fields = {"nonce": 0, "to": PAYER, "value": 5, "gas": 100_000, "gasPrice": 50 * 10**9, "chainId": 1}
    signed = ALICE.sign_transaction(fields)
    block = await here.coming()
    answer = await here.post(
        "eth_sendBundle", {"txs": ["0x" + bytes(signed.raw_transaction).hex()], "blockNumber": hex(block)}
    )
    assert "error" not in answer
    built = await here.build()
    assert built.transactions == ("0x" + bytes(signed.hash).hex(),)


async def test_bundles_for_past_blocks_are_refused_and_late_ones_expire(here: Site) -> None:
    block = await here.coming()
    answer = await here.post("eth_sendBundle", _params(blockNumber=hex(block - 1)))
    assert (answer["error"]["code"], "is past" in answer["error"]["message"]) == (-32000, True)
    await here.send([tx(ALICE, 0, PAYER)], block)
    await here.rpc("evm_mine")  # the block goes by without the builder
    await here.build()
    assert [outcome.fate for outcome in here.builder.outcomes] == [BundleFate.EXPIRED]
    assert len(here.pool) == 0


async def test_bundles_wait_for_their_block(here: Site) -> None:
    block = await here.coming()
    await here.send([tx(ALICE, 0, PAYER)], block + 1)
    assert (await here.build()).transactions == ()
    assert len((await here.build()).transactions) == 1


async def test_replacement_and_cancellation_belong_to_uuid_and_signer(here: Site) -> None:
    block = await here.coming()
    first, second, third = (tx(ALICE, 0, PAYER, value=value) for value in (1, 2, 3))
    await here.send([first], block, replacementUuid=UUID)
    await here.send([second], block, replacementUuid=UUID)
    assert (len(here.pool), here.pool.replaced) == (1, 1)
    await here.send([third], block, replacementUuid=UUID, signer=BOB)
    assert len(here.pool) == 2
    assert (await here.post("eth_cancelBundle", {"replacementUuid": UUID}, signer=BOB))["result"] == []
    built = await here.build()
    assert built.transactions == (second.hash,)
    assert here.builder.totals == {BundleFate.CANCELLED: 1, BundleFate.LANDED: 1}


async def test_empty_bundle_with_uuid_cancels(here: Site) -> None:
    block = await here.coming()
    await here.send([tx(ALICE, 0, PAYER)], block, replacementUuid=UUID)
    answer = await here.post("eth_sendBundle", {"txs": [], "blockNumber": hex(block), "replacementUuid": UUID})
    assert "error" not in answer
    assert (await here.build()).transactions == ()
    missing = await here.post("eth_cancelBundle", {})
    assert missing["error"]["message"].startswith("replacementUuid:")


async def test_private_transaction_reaches_the_builder_alone(here: Site) -> None:
    sent = tx(ALICE, 0, PAYER)
    answer = await here.post("eth_sendPrivateTransaction", {"tx": sent.raw_hex})
    assert answer["result"] == sent.hash
    assert here.private == [sent]
    assert (await here.rpc("txpool_status"))["pending"] == "0x0"


async def test_call_bundle_tells_what_mining_then_does(here: Site) -> None:
    block = await here.coming()
    txs = [tx(ALICE, 0, PAYER, value=12_345), tx(BOB, 0, ALICE.address, value=1), tx(ALICE, 1, REVERTER)]
    params = {"txs": [one.raw_hex for one in txs], "blockNumber": hex(block), "stateBlockNumber": "latest"}
    called = (await here.post("eth_callBundle", params))["result"]
    await here.send(txs, block, revertingTxHashes=[txs[2].hash])
    context = await here.builder.next_block()
    before = await here.balance(context.coinbase)
    await here.builder.build(context, ())
    receipts = await here.rpc("eth_getBlockReceipts", hex(block))

    assert [result["gasUsed"] for result in called["results"]] == [int(one["gasUsed"], 16) for one in receipts]
    assert called["totalGasUsed"] == sum(int(one["gasUsed"], 16) for one in receipts)
    assert int(called["coinbaseDiff"]) == await here.balance(context.coinbase) - before
    assert called["ethSentToCoinbase"] == "12345"
    assert int(called["gasFees"]) == int(called["coinbaseDiff"]) - 12_345
    assert int(called["bundleGasPrice"]) == int(called["coinbaseDiff"]) // called["totalGasUsed"]
    assert called["stateBlockNumber"] == block - 1
    assert [result["ethSentToCoinbase"] for result in called["results"]] == ["12345", "0", "0"]
    assert [result["txHash"] for result in called["results"]] == [one["transactionHash"] for one in receipts]
    assert called["results"][0]["fromAddress"] == ALICE.address
    assert called["results"][0]["toAddress"] == PAYER
    assert called["results"][0]["value"] == "0x"
    assert called["results"][2]["revert"] == "no luck"
    assert "revert" in called["results"][2]["error"]


async def test_call_bundle_refuses_what_cannot_run(here: Site) -> None:
    cases: list[tuple[int, dict[str, int], str]] = [
        (1, {}, "nonce too high"),
        (0, {"max_fee": 1, "tip": 1}, "max fee per gas less than block base fee"),
        (0, {"value": 10**30}, "Insufficient funds"),
        (0, {"gas": 16_777_217}, "gas limit too high"),
    ]
    block = await here.coming()
    for nonce, options, message in cases:
        raw = tx(ALICE, nonce, PAYER, **options).raw_hex
        answer = await here.post(
            "eth_callBundle", {"txs": [raw], "blockNumber": hex(block), "stateBlockNumber": "latest"}
        )
        assert answer["error"]["code"] == -32000
        assert message in answer["error"]["message"]


async def test_call_bundle_on_an_older_state(here: Site) -> None:
    spent = tx(ALICE, 0, PAYER)
    block = await here.coming()
    await here.send([spent], block)
    await here.build()
    params = {"txs": [spent.raw_hex], "blockNumber": hex(block), "stateBlockNumber": hex(block - 1)}
    assert (await here.post("eth_callBundle", params))["result"]["totalGasUsed"] > 21_000
    params["stateBlockNumber"] = "latest"
    assert "error" in await here.post("eth_callBundle", params)


async def test_oversized_body(here: Site) -> None:
    body = orjson.dumps({"jsonrpc": "2.0", "id": 1, "method": "eth_sendBundle", "params": ["0" * 1_300_000]})
    assert (await raw_post(here, body)).status_code == 413
