"""The books beside a real chain and a real database: equal to the wei, and unequal when a wei is missing."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from eth_utils.crypto import keccak

from keeper.cli import main
from keeper.config import load_settings
from keeper.domain.booking import COIN, Account, Reconciliation
from keeper.domain.errors import ComponentError, InputError
from keeper.domain.opportunity import Fate, FateChange
from keeper.domain.trade import Trade
from keeper.domain.units import Hash32, Wei, to_address
from keeper.embedded.postgres import EmbeddedPostgres
from keeper.execution.deployment import Deployment, save_deployment
from keeper.market.node import Node
from keeper.outbox import Outbox
from keeper.store.journal import Journal, book_of
from keeper.store.recorder import PostgresRecorder, Run, new_run
from keeper.treasury.auditor import Auditor, holding
from keeper.treasury.recovery import take_up
from keeper.treasury.treasurer import Treasurer
from keeper.treasury.withdrawals import book_withdrawal
from tests.conftest import RunningReplica
from tests.store.servers import bring_back, kill
from tests.treasury.samples import WETH, trade_of

EXECUTOR, OPERATOR, TREASURY, MARKET = (
    to_address(f"0x{number:040x}", "account") for number in (0xE0E0, 0x0505, 0x7E7E, 0x4D4D)
)
NETWORK = "ethereum:mainnet"


class Ground:
    """A chain on which ``MARKET`` pays the executor, and everything that keeps the books of it."""

    def __init__(self, replica: RunningReplica, node: Node, recorder: PostgresRecorder, journal: Journal) -> None:
        self.replica, self.node, self.recorder, self.journal = replica, node, recorder, journal
        self.book = book_of(NETWORK, recorder.run.id)
        self.treasurer = Treasurer(book=self.book, token=WETH, confirmations=1, reinvestment_bps=5_000)
        self.auditor = Auditor(
            node, journal, book=self.book, chain_id=1, token=WETH, executor=EXECUTOR, operator=OPERATOR
        )

    async def rpc(self, method: str, *params: Any) -> Any:
        return await self.node.request(method, *params)

    async def send(self, sender: str, to: str, data: bytes = b"", value: int = 0) -> dict[str, Any]:
        transaction = {"from": sender, "to": to, "data": "0x" + data.hex(), "value": hex(value)}
        transaction |= {
            "gas": hex(200_000),
            "gasPrice": hex(10**11),
        }  # whatever the base fee: equal hashes after a reorg
        receipt: dict[str, Any] = await self.rpc("eth_sendTransactionSync", transaction)
        assert receipt["status"] == "0x1"
        return receipt

    async def pay(self, sender: str, to: str, amount: int) -> dict[str, Any]:
        data = keccak(text="transfer(address,uint256)")[:4] + bytes.fromhex(to[2:]).rjust(32, b"\0")
        return await self.send(sender, WETH, data + amount.to_bytes(32, "big"))

    async def head(self) -> int:
        return await self.node.block_number()

    async def trade(self, gross: int) -> Trade:
        """A transaction of the operator by which the executor's balance grows by ``gross``."""
        receipt = await self.pay(OPERATOR, EXECUTOR, gross)
        gas, price = int(receipt["gasUsed"], 16), int(receipt["effectiveGasPrice"], 16)
        done = trade_of(gross, gas, price, seed=gross, block_number=int(receipt["blockNumber"], 16))
        return replace(done, transaction_hash=Hash32(receipt["transactionHash"]))

    async def observe(self, trades: list[Trade], fates: list[FateChange] | None = None) -> list[Any]:
        header = await self.node.block("latest")
        landed = [FateChange(one.plan.opportunity.id, Fate.LANDED, "", 1, {}) for one in trades]
        return self.treasurer.observe(header, trades, landed if fates is None else fates)

    async def differences(self) -> list[int]:
        return [one.difference for one in await self.compare()]

    async def compare(self) -> list[Reconciliation]:
        assert self.treasurer.head is not None
        return await self.auditor.compare(self.treasurer.booked_up_to(self.treasurer.head))


def live_run() -> Run:
    return new_run(mode="live", network=NETWORK, chain_id=1, version="0")


@pytest.fixture
async def ground(replica: RunningReplica, database_url: str) -> AsyncIterator[Ground]:
    journal = Journal(database_url)
    async with Node(replica.http_url) as node, PostgresRecorder(database_url, live_run()) as recorder:
        ground = Ground(replica, node, recorder, journal)
        for account in (EXECUTOR, OPERATOR, TREASURY, MARKET):
            await ground.rpc("anvil_setBalance", account, hex(10**20))
        for account in (MARKET, OPERATOR):
            await ground.send(account, WETH, keccak(text="deposit()")[:4], value=10**19)
        await ground.pay(MARKET, EXECUTOR, 12_345)
        await recorder.entries(await ground.auditor.open(await ground.head()))
        yield ground
    await journal.close()


async def test_the_books_equal_the_chain_to_the_wei_and_show_a_missing_one(ground: Ground) -> None:
    for gross in (10**16 + 1, 7, 10**18 // 3):
        await ground.recorder.entries(await ground.observe([await ground.trade(gross)]))
        assert await ground.differences() == [0, 0]
    found = {one.account: one for one in await ground.compare()}
    assert found[Account.EXECUTOR_BALANCE].on_chain >= 12_345 + 10**16 + 8 + 10**18 // 3
    await ground.pay(MARKET, EXECUTOR, 1)
    await ground.send(OPERATOR, MARKET, value=5)
    await ground.observe([])
    executor, operator = await ground.differences()
    assert executor == -1, "a wei that nobody booked"
    assert operator > 5, "a transaction that nobody booked"

    await ground.recorder.reconciliations(await ground.compare())
    assert await ground.journal.difference(ground.recorder.run.id) == 1 + operator


async def test_a_book_begins_once(ground: Ground) -> None:
    assert await ground.auditor.open(await ground.head()) == []


async def test_a_reorg_that_takes_a_trade_takes_it_out_of_the_books(ground: Ground) -> None:
    """The chain is set back and grows again without the trade: the books follow."""
    await ground.observe([])
    snapshot = await ground.rpc("evm_snapshot")
    trade = await ground.trade(10**17)
    await ground.recorder.entries(await ground.observe([trade]))
    assert await ground.differences() == [0, 0]
    assert await ground.rpc("evm_revert", snapshot)
    await ground.rpc("anvil_mine", "0x2")
    reopened = FateChange(trade.plan.opportunity.id, Fate.SUBMITTED, "", 1, {})
    await ground.recorder.entries(await ground.observe([], [reopened]))
    assert await ground.differences() == [0, 0]
    again = await ground.trade(10**17)
    moved = replace(trade, block_number=again.block_number, gas_used=again.gas_used, gas_cost=again.gas_cost)
    await ground.recorder.entries(await ground.observe([moved]))
    assert await ground.differences() == [0, 0]


async def test_what_lacks_confirmations_is_neither_booked_nor_compared(ground: Ground) -> None:
    ground.treasurer = Treasurer(book=ground.book, token=WETH, confirmations=3, reinvestment_bps=5_000)
    assert await ground.observe([await ground.trade(10**17)]) == []
    assert await ground.differences() == [0, 0]
    await ground.rpc("anvil_mine", "0x2")
    entries = await ground.observe([])
    assert len(entries) == 2
    assert (await ground.differences())[0] == -(10**17), "deep enough, and not yet booked"
    await ground.recorder.entries(entries)
    assert await ground.differences() == [0, 0]


async def test_nothing_is_lost_while_the_database_is_away(
    ground: Ground, postgres: EmbeddedPostgres, background: Any, database_url: str
) -> None:
    async with PostgresRecorder(database_url, live_run(), patience=0.2) as recorder:
        outbox = Outbox(recorder)
        await kill(postgres, background)
        for gross in (10**15, 10**16):
            outbox.entries(await ground.observe([await ground.trade(gross)]))
            assert not await outbox.flush()
        assert outbox.waiting == 4
        await bring_back(postgres, background)
        assert await outbox.flush()
        assert await ground.differences() == [0, 0]


async def restarted(ground: Ground) -> int:
    """A new run of the keeper on the same book: how many trades it takes up; they are booked with its first block."""
    ground.treasurer = Treasurer(book=ground.book, token=WETH, confirmations=1, reinvestment_bps=5_000)
    found = await take_up(ground.treasurer, ground.node, ground.journal, network=NETWORK, token=WETH, executor=EXECUTOR)
    await ground.recorder.entries(await ground.observe([]))
    return found


async def recorded(ground: Ground, gross: int) -> Trade:
    trade = await ground.trade(gross)
    await ground.recorder.opportunities([trade.plan.opportunity])
    await ground.recorder.trades([trade])
    return trade


async def test_what_a_killed_run_did_not_book_is_booked_by_the_next(ground: Ground) -> None:
    booked = await recorded(ground, 10**15)
    await ground.recorder.entries(await ground.observe([booked]))
    await recorded(ground, 10**16)
    snapshot = await ground.rpc("evm_snapshot")
    await recorded(ground, 10**17)
    assert await restarted(ground) == 2
    assert await ground.differences() == [0, 0]
    assert await restarted(ground) == 0, "once"

    await ground.rpc("evm_revert", snapshot)
    await recorded(ground, 10**14)
    assert await restarted(ground) == 1
    assert (await ground.differences())[0] == 10**17, "booked before the chain dropped it; nobody was there to see"


async def test_a_trade_that_was_dropped_meanwhile_is_not_booked(ground: Ground) -> None:
    snapshot = await ground.rpc("evm_snapshot")
    trade = await recorded(ground, 10**17)
    entries = await ground.observe([trade])
    back = await ground.observe([], [FateChange(trade.plan.opportunity.id, Fate.SUBMITTED, "", 1, {})])
    await ground.rpc("evm_revert", snapshot)
    await ground.recorder.entries([*entries, *back])
    assert await restarted(ground) == 0
    await ground.rpc("anvil_mine")
    again = await ground.trade(10**17)
    assert again.transaction_hash == trade.transaction_hash, "the same transaction, back in a later block"
    assert await restarted(ground) == 1
    assert await ground.differences() == [0, 0]


async def test_an_address_that_is_no_token_is_named(ground: Ground) -> None:
    with pytest.raises(ComponentError, match="does not answer as a token"):
        await holding(ground.node, MARKET, EXECUTOR, await ground.head())
    assert await holding(ground.node, COIN, TREASURY, await ground.head()) == 10**20


def environment(ground: Ground, home: Path) -> dict[str, Any]:
    save_deployment(home, 1, Deployment(EXECUTOR, OPERATOR, TREASURY, Hash32("0x" + "00" * 32), 1))
    return {"home": home, "network": NETWORK, "rpc_url": ground.replica.http_url}


async def test_a_withdrawal_is_booked_from_its_receipt_and_once(
    ground: Ground, database_url: str, tmp_path: Path
) -> None:
    await ground.recorder.entries(await ground.observe([await ground.trade(10**17)]))
    settings = load_settings(**environment(ground, tmp_path))
    share = Account.AVAILABLE_FOR_WITHDRAWAL
    before = {one.account: one.shown for one in await ground.journal.balances(ground.book) if one.token == WETH}
    receipt = await ground.pay(EXECUTOR, TREASURY, 10**16)

    booked = await book_withdrawal(settings, database_url, receipt["transactionHash"], share)
    assert (booked["amount"], booked["new"]) == (str(10**16), True)
    again = await book_withdrawal(settings, database_url, receipt["transactionHash"], share)
    assert again == {**booked, "new": False}
    with pytest.raises(InputError, match="booked with other lines"):
        await book_withdrawal(settings, database_url, receipt["transactionHash"], Account.GAS_RESERVE)

    after = {one.account: one.shown for one in await ground.journal.balances(ground.book) if one.token == WETH}
    assert after[share] == before[share] - 10**16
    assert after[Account.TREASURY] == 10**16
    await ground.observe([])
    assert await ground.differences() == [0, 0]


async def test_what_is_no_withdrawal_is_refused(ground: Ground, database_url: str, tmp_path: Path) -> None:
    settings = load_settings(**environment(ground, tmp_path))
    share = Account.AVAILABLE_FOR_WITHDRAWAL

    async def refused(settings: Any, transaction: str, match: str) -> None:
        with pytest.raises(InputError, match=match):
            await book_withdrawal(settings, database_url, transaction, share)

    elsewhere = (await ground.pay(EXECUTOR, MARKET, 5))["transactionHash"]
    await refused(settings, elsewhere, "does not move")
    await refused(settings, (await ground.pay(MARKET, TREASURY, 5))["transactionHash"], "does not move")
    await refused(settings, "0x" + "12" * 32, "no receipt")
    await refused(settings, "0x12", "--transaction")
    right = (await ground.pay(EXECUTOR, TREASURY, 5))["transactionHash"]
    await refused(settings.model_copy(update={"confirmations": 4}), right, "Wait for 3 more blocks")
    await refused(settings.model_copy(update={"chain_id": 137}), right, "executor")
    await refused(settings.model_copy(update={"rpc_url": None}), right, "ORION_RPC_URL")


async def test_commands_print_the_books_and_the_figures(
    ground: Ground, database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trade = await ground.trade(10**17)
    await ground.recorder.opportunities([trade.plan.opportunity])
    await ground.recorder.trades([trade])
    await ground.recorder.entries(await ground.observe([trade]))
    monkeypatch.setenv("ORION_DATABASE_URL", database_url)
    monkeypatch.setenv("ORION_HOME", str(tmp_path))

    def keeper(*arguments: str) -> dict[str, Any]:
        with ThreadPoolExecutor(1) as pool:  # a command runs an event loop of its own
            done = pool.submit(CliRunner().invoke, main, ["treasury", *arguments, "--json"]).result(60)
        assert done.exit_code == 0, done.output
        return dict(json.loads(done.stdout.strip().splitlines()[-1]))

    for grouping in ("strategy", "chain", "lender", "dex", "builder"):
        found = keeper("kpis", "--by", grouping, "--check", "--window", "24h")
        ((name, figures),) = found["groups"].items()
        assert figures["total_profit_wei"] == str(trade.net), (grouping, name)
    assert keeper("kpis")["groups"]["all"]["successful"] == 1
    books = keeper("balances", "--network", NETWORK)
    assert books["book"] == ground.book
    amounts = {(line["account"], line["token"]): int(line["amount"]) for line in books["balances"]}
    capital, available = (amounts[name, WETH] for name in ("trading_capital", "available_for_withdrawal"))
    opened = next(one.amount for one in (await ground.journal.entries(ground.book))[0]["legs"] if one.token == WETH)
    assert capital + available == Wei(opened + trade.net)
    assert amounts["executor_balance", WETH] == opened + trade.gross
