"""What the signer refuses. Each check is also tried with the check taken out: the same attempt then goes through."""

from __future__ import annotations

import copy
import json
import pickle
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from eth_account import Account
from eth_account.typed_transactions import TypedTransaction
from eth_utils.crypto import keccak
from hexbytes import HexBytes

from keeper.config import Mode
from keeper.domain.errors import ComponentError, InputError, SigningRefused
from keeper.domain.plan import AtomicPlan, Financing, Prediction
from keeper.domain.token import LenderKind
from keeper.domain.units import Address, Wei
from keeper.execution import signer as signer_module
from keeper.execution.kill_switch import KillSwitch
from keeper.execution.signer import (
    DEVELOPMENT_ADDRESSES,
    DEVELOPMENT_KEY,
    Signer,
    is_loopback,
    keystore_path,
    unlock,
)
from tests.execution.bytecode import EXECUTOR_ADDRESS
from tests.execution.site import Socket, chain, listening
from tests.routes import loop, opportunity

OWN_KEY = "0x" + "42" * 32
PASSPHRASE = "correct horse"


def node_answer(
    version: str = "anvil/v1.7.1", chain_id: int = 1
) -> Callable[[dict[str, str], bytes], tuple[int, bytes]]:
    def answer(_: dict[str, str], body: bytes) -> tuple[int, bytes]:
        call = json.loads(body)
        value = {"web3_clientVersion": version, "eth_chainId": hex(chain_id)}[call["method"]]
        return 200, json.dumps({"jsonrpc": "2.0", "id": call["id"], "result": value}).encode()

    return answer


def a_plan(**changes: Any) -> AtomicPlan:
    found = opportunity(loop((0x1000, 0x1001), 10**16))
    plan = AtomicPlan(
        opportunity=found,
        financing=Financing(LenderKind.FLASH_SWAP, found.route.hops[0].pool, 10**18, 0, "free"),
        to=EXECUTOR_ADDRESS,
        data=b"\x01\x02",
        min_profit=10**16,
        target_block=101,
        gas_limit=200_000,
        max_fee=Wei(11 * 10**9),
        prediction=Prediction(Wei(10**16), 120_000, Wei(10**9), Wei(10**10)),
    )
    return replace(plan, **changes)


@asynccontextmanager
async def made(mode: Mode, url: str, home: Path, **options: Any) -> AsyncIterator[Signer]:
    signer = Signer(mode, chain_id=1, executor=EXECUTOR_ADDRESS, node_url=url, kill_switch=KillSwitch(home), **options)
    try:
        yield signer
    finally:
        await signer.close()


@pytest.fixture
async def node() -> AsyncIterator[Socket]:
    async with listening(node_answer()) as socket:
        yield socket


async def test_a_signature_is_what_the_plan_says(node: Socket, tmp_path: Path) -> None:
    plan = a_plan()
    async with made(Mode.REPLICA, node.url, tmp_path) as signer:
        first, second = await signer.sign([(plan, 7), (plan, 8)])
    assert Account.recover_transaction(first.raw) == signer.address == "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266"
    fields = TypedTransaction.from_bytes(HexBytes(first.raw)).as_dict()
    assert fields["type"] == 2
    assert (fields["chainId"], fields["nonce"], fields["gas"], fields["value"]) == (1, 7, 200_000, 0)
    assert (fields["maxFeePerGas"], fields["maxPriorityFeePerGas"]) == (11 * 10**9, 10**10)
    assert "0x" + fields["to"].hex() == EXECUTOR_ADDRESS.lower()
    assert bytes(fields["data"]) == plan.data
    assert first.transaction_hash == "0x" + keccak(first.raw).hex()
    assert second.nonce == 8
    assert second.transaction_hash != first.transaction_hash
    assert first.raw.hex() not in repr(first)


async def test_paper_signs_nothing_and_asks_nobody(node: Socket, tmp_path: Path) -> None:
    async with made(Mode.PAPER, node.url, tmp_path) as signer:
        assert signer.address is None
        with pytest.raises(SigningRefused, match="paper mode"):
            await signer.sign([(a_plan(), 0)])
    assert node.requests == []
    with pytest.raises(SigningRefused, match="takes no key"):
        Signer(
            Mode.PAPER,
            chain_id=1,
            executor=EXECUTOR_ADDRESS,
            node_url=node.url,
            kill_switch=KillSwitch(tmp_path),
            account=Account.from_key(OWN_KEY),
        )


async def test_development_key_stays_on_loopback(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with made(Mode.REPLICA, "http://203.0.113.5:1", tmp_path) as signer:
        with pytest.raises(SigningRefused, match="loopback only"):
            await signer.sign([(a_plan(), 0)])
        # without the check, the signer would go on to speak to that node
        monkeypatch.setattr(signer_module, "is_loopback", lambda _: True)

        async def called(method: str, *_: object) -> str:
            return {"web3_clientVersion": "anvil/v1.7.1", "eth_chainId": "0x1"}[method]

        monkeypatch.setattr(signer._node, "request", called)
        assert len(await signer.sign([(a_plan(), 0)])) == 1


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("http://127.0.0.1:8545", True),
        ("http://127.9.9.9:8545", True),
        ("http://localhost:8545/", True),
        ("http://[::1]:8545", True),
        ("http://0.0.0.0:8545", False),
        ("http://10.0.0.1:8545", False),
        ("http://localhost.example.com:8545", False),
        ("http://127.0.0.1@example.com:8545", False),
        ("http://127.0.0.1.example.com", False),
        ("https://eth.example.com/127.0.0.1", False),
        ("http://[::ffff:203.0.113.5]:8545", False),
        ("http:///127.0.0.1", False),
    ],
)
def test_what_counts_as_loopback(url: str, expected: bool) -> None:
    assert is_loopback(url) is expected


@pytest.mark.parametrize(
    ("answer", "refusal"),
    [
        (node_answer(version="Geth/v1.16.4"), "anvil only"),
        (node_answer(version="not anvil"), "anvil only"),
        (node_answer(chain_id=5), "on chain 5"),
    ],
)
async def test_development_key_wants_anvil_with_its_chain_id(
    answer: Any, refusal: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with listening(answer) as node, made(Mode.REPLICA, node.url, tmp_path) as signer:
        with pytest.raises(SigningRefused, match=refusal):
            await signer.sign([(a_plan(), 0)])

        async def unchecked() -> None:
            return None

        monkeypatch.setattr(signer, "_check_node", unchecked)
        assert len(await signer.sign([(a_plan(), 0)])) == 1


async def test_a_node_that_is_gone_gives_no_signature(tmp_path: Path) -> None:
    async with listening(node_answer()) as node:
        url = node.url
    async with made(Mode.REPLICA, url, tmp_path) as signer:
        with pytest.raises(ComponentError):
            await signer.sign([(a_plan(), 0)])


async def test_development_keys_are_refused_live(node: Socket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    options = {"account": Account.from_key(DEVELOPMENT_KEY)}
    with pytest.raises(SigningRefused, match="key is public"):
        async with made(Mode.LIVE, node.url, tmp_path, **options):
            pass
    monkeypatch.setattr(signer_module, "DEVELOPMENT_ADDRESSES", frozenset())
    async with made(Mode.LIVE, node.url, tmp_path, **options) as signer:
        assert len(await signer.sign([(a_plan(), 0)])) == 1


async def test_the_development_addresses_are_those_of_the_node(tmp_path: Path) -> None:
    async with chain(tmp_path) as site:
        theirs = {address.lower() for address in await site.rpc("eth_accounts")}
    assert {address.lower() for address in DEVELOPMENT_ADDRESSES} <= theirs
    assert Account.from_key(DEVELOPMENT_KEY).address in DEVELOPMENT_ADDRESSES


async def test_live_signs_with_the_operators_key_on_the_right_chain(node: Socket, tmp_path: Path) -> None:
    own = Account.from_key(OWN_KEY)
    async with made(Mode.LIVE, node.url, tmp_path, account=own) as signer:
        (signed,) = await signer.sign([(a_plan(), 3)])
        assert Account.recover_transaction(signed.raw) == own.address
    async with (
        listening(node_answer("Geth/v1.16.4", 8453)) as other,
        made(Mode.LIVE, other.url, tmp_path, account=own) as signer,
    ):
        with pytest.raises(SigningRefused, match="on chain 8453"):
            await signer.sign([(a_plan(), 3)])
    with pytest.raises(SigningRefused, match="needs an account"):
        async with made(Mode.LIVE, node.url, tmp_path):
            pass


@pytest.mark.parametrize(
    ("change", "refusal"),
    [
        ({"to": Address("0x00000000000000000000000000000000DeaDBeef")}, "not the executor"),
        ({"gas_limit": 16_777_217}, "above the cap"),
        ({"opportunity": replace(opportunity(loop((0x1000, 0x1001), 1)), chain_id=10)}, "for chain 10"),
    ],
)
async def test_only_plans_of_the_executor_on_its_chain(
    change: dict[str, Any], refusal: str, node: Socket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with made(Mode.REPLICA, node.url, tmp_path) as signer:
        with pytest.raises(SigningRefused, match=refusal):
            await signer.sign([(a_plan(), 0), (a_plan(**change), 1)])
        monkeypatch.setattr(signer, "_check_plan", lambda _: None)
        assert len(await signer.sign([(a_plan(**change), 1)])) == 1


async def test_the_kill_switch_is_effective_before_the_next_signature(
    node: Socket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    switch = KillSwitch(tmp_path)
    async with made(Mode.REPLICA, node.url, tmp_path) as signer:
        assert len(await signer.sign([(a_plan(), 0)])) == 1
        switch.engage("drawdown")  # another object, even another process: the file is what counts
        with pytest.raises(SigningRefused, match="drawdown"):
            await signer.sign([(a_plan(), 0)])
        switch.release()
        (tmp_path / "HALT").touch()
        with pytest.raises(SigningRefused, match="HALT exists"):
            await signer.sign([(a_plan(), 0)])
        (tmp_path / "HALT").unlink()
        (tmp_path / "HALT").symlink_to(tmp_path / "nowhere")
        with pytest.raises(SigningRefused, match="HALT exists"):
            await signer.sign([(a_plan(), 0)])
        monkeypatch.setattr(signer, "_check_kill_switch", lambda: None)
        assert len(await signer.sign([(a_plan(), 0)])) == 1


async def test_the_kill_switch_stops_between_two_signatures(
    node: Socket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with made(Mode.REPLICA, node.url, tmp_path) as signer:
        sign_one = signer._signature

        def sign_and_halt(*arguments: Any) -> Any:
            (tmp_path / "HALT").write_text("now\n")
            return sign_one(*arguments)

        monkeypatch.setattr(signer, "_signature", sign_and_halt)
        with pytest.raises(SigningRefused, match="now"):
            await signer.sign([(a_plan(), 0), (a_plan(), 1)])


async def test_the_engaged_switch_outlives_its_file(tmp_path: Path) -> None:
    switch = KillSwitch(tmp_path)
    switch.engage("breaker")
    switch.file.unlink()
    assert switch.reason == "breaker"
    switch.release()
    assert switch.reason is None
    assert KillSwitch(Path("/dev/null/nowhere")).reason is not None  # what cannot be looked at counts as on


async def test_the_key_is_not_shown_or_stored(node: Socket, tmp_path: Path) -> None:
    own = Account.from_key(OWN_KEY)
    async with made(Mode.LIVE, node.url, tmp_path, account=own) as signer:
        assert OWN_KEY[2:] not in repr(signer) + str(signer)
        for store in (pickle.dumps, copy.copy, copy.deepcopy):
            with pytest.raises(TypeError, match="holds a key"):
                store(signer)


@pytest.fixture
def keystore(tmp_path: Path) -> Path:
    file = tmp_path / "accounts" / "hot.json"
    file.parent.mkdir()
    file.write_text(json.dumps(Account.encrypt(OWN_KEY, PASSPHRASE, kdf="pbkdf2", iterations=2)))
    return file


def test_keystores_open_by_path_and_by_ape_alias(keystore: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("APE_DATA_FOLDER", str(keystore.parent.parent))
    assert keystore_path("hot") == keystore
    own = Account.from_key(OWN_KEY)
    assert unlock(str(keystore), PASSPHRASE).address == unlock("hot", PASSPHRASE).address == own.address


def test_keystores_that_do_not_open_say_why_and_no_more(keystore: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="passphrase does not fit") as refused:
        unlock(str(keystore), "wrong horse")
    assert "wrong horse" not in str(refused.value)
    assert refused.value.__cause__ is None
    with pytest.raises(InputError, match="ape accounts list"):
        unlock(str(tmp_path / "missing.json"), PASSPHRASE)
    other = tmp_path / "other.json"
    for content in ("{}", "[]", '{"version": 3}', '{"version": 3, "crypto": {}}', "not json"):
        other.write_text(content)
        with pytest.raises(InputError, match="ORION_ACCOUNT"):
            unlock(str(other), PASSPHRASE)
