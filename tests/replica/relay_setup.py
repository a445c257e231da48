"""A node with a builder and a relay in front, and a searcher who signs, for the tests of both."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import orjson
from eth_account import Account
from eth_account.messages import encode_defunct
from eth_account.signers.local import LocalAccount
from eth_utils import keccak, to_checksum_address

from keeper.domain.units import Address
from keeper.replica.anvil import Anvil
from keeper.replica.block_builder import BlockBuilder
from keeper.replica.bundles import BundlePool, SignedTransaction
from keeper.replica.relay import Relay
from keeper.replica.rpc import Rpc
from keeper.replica.swaps import GWEI, sign
from tests.conftest import BackgroundLoop

ALICE: LocalAccount = Account.from_key("0xac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80")
BOB: LocalAccount = Account.from_key("0x59c6995e998f97a5a0044966f0945389dc9e86dae88c7a8412f4603b6b78690d")
CAROL: LocalAccount = Account.from_key("0x5de4111afa1a4b94908f83103eb1f1706367c2e68ca870fc3fb9a804cdab365a")
SEARCHER: LocalAccount = Account.from_key("0x" + "51" * 32)
PAYER = Address(to_checksum_address("0x00000000000000000000000000000000000Cc001"))
"""Sends the value it is called with to the fee recipient."""
PAYER_CODE = "0x5f5f5f5f34415af100"
REVERTER = Address(to_checksum_address("0x00000000000000000000000000000000000CC002"))
"""Reverts with Error("no luck")."""
REVERTER_CODE = (
    "0x7f08c379a0" + 28 * "00" + "5f52"  # the selector of Error(string)
    "6020600452"
    "6007602452"  # offset and length of the text
    "666e6f206c75636b60c81b604452"
    "60645ffd"
)
GATE = Address(to_checksum_address("0x00000000000000000000000000000000000cC003"))
"""Lets one call through and reverts all later ones: SLOAD(0), revert when set, else SSTORE(0, 1)."""
GATE_CODE = "0x5f54600a5760015f55005b5f5ffd"


def headers(body: bytes, signer: LocalAccount = SEARCHER) -> dict[str, str]:
    signature = signer.sign_message(encode_defunct(text="0x" + keccak(body).hex())).signature
    return {
        "content-type": "application/json",
        "X-Flashbots-Signature": f"{signer.address}:0x{bytes(signature).hex()}",
    }


@dataclass
class Site:
    rpc: Rpc
    pool: BundlePool
    builder: BlockBuilder
    relay: Relay
    http: httpx.AsyncClient
    private: list[SignedTransaction]

    async def post(self, method: str, *params: Any, signer: LocalAccount = SEARCHER) -> dict[str, Any]:
        body = orjson.dumps({"jsonrpc": "2.0", "id": 7, "method": method, "params": params})
        response = await self.http.post(self.relay.url, content=body, headers=headers(body, signer))
        answer: dict[str, Any] = response.json()
        assert answer["id"] == 7
        return answer

    async def send(
        self, txs: Iterable[SignedTransaction], block: int, *, signer: LocalAccount = SEARCHER, **options: Any
    ) -> str:
        params = {"txs": [tx.raw_hex for tx in txs], "blockNumber": hex(block), **options}
        answer = await self.post("eth_sendBundle", params, signer=signer)
        assert "error" not in answer, answer
        return str(answer["result"]["bundleHash"])

    async def coming(self) -> int:
        return (await self.builder.next_block()).number

    async def build(self) -> Any:
        return await self.builder.build(await self.builder.next_block(), ())

    async def balance(self, address: str) -> int:
        return int(await self.rpc("eth_getBalance", address, "latest"), 16)


@asynccontextmanager
async def site(anvil: Anvil) -> AsyncIterator[Site]:
    """Builder and relay on a running bare node, which is as it was before when the test is over."""
    private: list[SignedTransaction] = []
    async with Rpc(anvil.http_url) as rpc, httpx.AsyncClient(trust_env=False) as http:
        snapshot = await rpc("evm_snapshot")
        pool = BundlePool()
        builder = BlockBuilder(rpc, pool, block_seconds=12)
        relay = Relay(builder, pool, chain_id=1, submit_private=lambda tx, _: private.append(tx))
        await builder.start()
        for address, code in ((PAYER, PAYER_CODE), (REVERTER, REVERTER_CODE), (GATE, GATE_CODE)):
            await rpc("anvil_setCode", address, code)
        await relay.start()
        try:
            yield Site(rpc, pool, builder, relay, http, private)
        finally:
            await relay.stop()
            await rpc("evm_setAutomine", False)
            await rpc("anvil_dropAllTransactions")
            await rpc("evm_revert", snapshot)


@contextmanager
def bare_node(background: BackgroundLoop, log_dir: Path) -> Iterator[Anvil]:
    """A node without any contract, which mines only when told to."""
    anvil = Anvil(log_dir=log_dir, timestamp=1_800_000_000, number=24_000_000, automine=False)
    background.run(anvil.start())
    try:
        yield anvil
    finally:
        background.run(anvil.stop())


def tx(
    account: LocalAccount,
    nonce: int,
    to: str,
    *,
    tip: int = GWEI,
    value: int = 0,
    gas: int = 100_000,
    max_fee: int = 100 * GWEI,
) -> SignedTransaction:
    return sign(account, 1, nonce, Address(to), gas=gas, tip=tip, max_fee=max_fee, value=value)
