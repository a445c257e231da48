"""A node with a few pools to take, relays on sockets, and everything that execution needs."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from eth_account import Account
from eth_account.messages import encode_defunct
from eth_utils.crypto import keccak

from keeper.config import Mode
from keeper.domain.chain import BlockEvent, BlockHeader
from keeper.domain.opportunity import Opportunity
from keeper.domain.plan import Financing
from keeper.domain.route import Route
from keeper.domain.units import Address, Hash32
from keeper.execution.executor import AtomicExecution
from keeper.execution.kill_switch import KillSwitch
from keeper.execution.nonce import NonceLeases
from keeper.execution.planner import Planner
from keeper.execution.relays import BundleRelays, RelayAccount, Relays
from keeper.execution.revert import RevertDecoder
from keeper.execution.signer import Signer
from keeper.execution.simulate import Simulator
from keeper.execution.tracker import Tracker
from keeper.market.node import Node
from keeper.replica.anvil import Anvil
from tests.execution.bytecode import (
    ERRORS_ABI,
    EXECUTOR,
    EXECUTOR_ADDRESS,
    POOL,
    TOKEN,
    TOKEN_ADDRESS,
    executor_call,
)
from tests.routes import loop, opportunity, pool_address

OPERATOR = Address("0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266")
RIVAL = Address("0x70997970C51812dc3A010C7d01b50e0d17dc79C8")
DECODER = RevertDecoder(ERRORS_ABI)
GWEI = 10**9
PROFIT = 10**16


@dataclass
class Socket:
    """An HTTP server on loopback that keeps every request and answers as it is told.

    Attributes:
        answer: from headers and body to status and body.
    """

    answer: Callable[[dict[str, str], bytes], tuple[int, bytes]]
    requests: list[tuple[dict[str, str], bytes]] = field(default_factory=list)
    url: str = ""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                lines = head.decode().split("\r\n")[1:-2]
                headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}
                body = await reader.readexactly(int(headers.get("content-length", "0")))
                self.requests.append((headers, body))
                status, content = self.answer(headers, body)
                writer.write(f"HTTP/1.1 {status} X\r\ncontent-length: {len(content)}\r\n\r\n".encode() + content)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass  # the client is done
        finally:
            writer.close()

    def calls(self, method: str) -> list[Any]:
        """Parameters of the calls of ``method``."""
        return [
            call["params"] for call in map(json.loads, (body for _, body in self.requests)) if call["method"] == method
        ]


@asynccontextmanager
async def listening(answer: Callable[[dict[str, str], bytes], tuple[int, bytes]]) -> AsyncIterator[Socket]:
    socket = Socket(answer)
    server = await asyncio.start_server(socket.serve, "127.0.0.1", 0)
    socket.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield socket
    finally:
        server.close()


def result(value: object) -> Callable[[dict[str, str], bytes], tuple[int, bytes]]:
    return lambda _, body: (200, json.dumps({"jsonrpc": "2.0", "id": json.loads(body)["id"], "result": value}).encode())


def signature_is_valid(headers: dict[str, str], body: bytes) -> bool:
    """As a relay checks it: the named address signed the hexadecimal text of keccak(body)."""
    address, signature = headers["x-flashbots-signature"].split(":")
    message = encode_defunct(text="0x" + keccak(body).hex())
    return signature.startswith("0x") and Account.recover_message(message, signature=signature) == address


def bundle_hash_of(params: dict[str, Any]) -> str:
    return "0x" + keccak(b"".join(keccak(bytes.fromhex(tx[2:])) for tx in params["txs"])).hex()


def relay_answer(headers: dict[str, str], body: bytes) -> tuple[int, bytes]:
    """A relay that works: checks the signature and takes everything."""
    call = json.loads(body)
    if not signature_is_valid(headers, body):
        answer: dict[str, Any] = {"error": {"code": -32600, "message": "invalid signature"}}
        return 403, json.dumps({"jsonrpc": "2.0", "id": call["id"], **answer}).encode()
    params = call["params"][0]
    results: dict[str, Callable[[], Any]] = {
        "eth_sendBundle": lambda: {"bundleHash": bundle_hash_of(params)},
        "eth_callBundle": lambda: {"bundleHash": bundle_hash_of(params), "coinbaseDiff": "0", "results": []},
        "eth_cancelBundle": list,
    }
    return 200, json.dumps({"jsonrpc": "2.0", "id": call["id"], "result": results[call["method"]]()}).encode()


def encode(
    route: Route,
    financing: Financing,
    *,
    executor: Address,
    min_profit: int,
    last_block: int,
    parent_hash: Hash32 | None = None,
    builder_bps: int = 0,
) -> bytes:
    """Calldata of the test's executor: it takes the route's first pool for what the route should earn."""
    assert executor == EXECUTOR_ADDRESS
    assert financing.amount == route.amount_in
    assert last_block
    assert parent_hash is None
    assert builder_bps == 0
    return executor_call(route.hops[0].pool, min_profit)


def first_pool(number: int) -> int:
    """The number of the first pool of opportunity ``number``: past the addresses of precompiled contracts."""
    return 0x1000 + 2 * number


@dataclass
class Chain:
    """A development node whose blocks are made by hand."""

    node: Node
    url: str

    async def rpc(self, method: str, *params: object) -> Any:
        return await self.node.request(method, *params)

    async def head(self) -> BlockHeader:
        return await self.node.block("latest")

    async def event(self, *, reverted: Sequence[Hash32] = ()) -> BlockEvent:
        header = await self.head()
        return BlockEvent(header, await self.node.logs(header.hash), tuple(reverted), 0)

    async def pool(self, number: int, *, taken: int = 0) -> Address:
        """Put a pool at this number that was taken so many times, with a slot whose clearing gives a refund."""
        address = pool_address(number)
        await self.rpc("anvil_setCode", address, POOL)
        await self.rpc("anvil_setStorageAt", address, "0x" + "00" * 32, f"0x{taken:064x}")
        await self.rpc("anvil_setStorageAt", address, "0x" + "00" * 31 + "01", "0x" + "00" * 31 + "01")
        return address

    async def mine(self, *, seconds: int = 12) -> BlockHeader:
        head = await self.head()
        await self.rpc("evm_setNextBlockTimestamp", hex(head.timestamp + seconds))
        await self.rpc("evm_mine")
        return await self.head()

    async def send_raw(self, raw: bytes) -> Hash32:
        return Hash32(await self.rpc("eth_sendRawTransaction", "0x" + raw.hex()))

    async def send_as_rival(self, pool: Address, amount: int = 1, tip: int = 50 * GWEI) -> Hash32:
        fees = {"maxFeePerGas": hex(200 * GWEI), "maxPriorityFeePerGas": hex(tip), "gas": hex(300_000)}
        data = "0x" + executor_call(pool, amount).hex()
        return Hash32(
            await self.rpc("eth_sendTransaction", {"from": RIVAL, "to": EXECUTOR_ADDRESS, "data": data, **fees})
        )

    async def opportunities(self, numbers: Sequence[int], profits: Sequence[int] | None = None) -> list[Opportunity]:
        """One opportunity per number, each in a pool of its own, on the block that is mined with them."""
        for number in numbers:
            await self.pool(first_pool(number))
        head = await self.mine()
        return [
            opportunity(loop((first_pool(number), first_pool(number) + 1), profit), block_number=head.number)
            for number, profit in zip(numbers, profits or [PROFIT] * len(numbers), strict=True)
        ]


@asynccontextmanager
async def chain(log_dir: Path) -> AsyncIterator[Chain]:
    async with (
        Anvil(log_dir=log_dir, timestamp=1_800_000_000, number=24_000_000, automine=False) as anvil,
        Node(anvil.http_url) as node,
    ):
        for address, code in ((TOKEN_ADDRESS, TOKEN), (EXECUTOR_ADDRESS, EXECUTOR)):
            await node.request("anvil_setCode", address, code)
        yield Chain(node, anvil.http_url)


@dataclass
class Desk:
    """Execution with its parts at hand."""

    execution: AtomicExecution
    tracker: Tracker
    signer: Signer
    relays: BundleRelays
    kill_switch: KillSwitch
    simulator: Simulator


@asynccontextmanager
async def desk(
    node: Node,
    node_url: str,
    relay_urls: Sequence[str],
    home: Path,
    *,
    mode: Mode = Mode.REPLICA,
    encoder: Any = encode,
    min_net: int = 1,
    **options: Any,
) -> AsyncIterator[Desk]:
    """``options`` go to `AtomicExecution`."""
    kill_switch = KillSwitch(home)
    signer = Signer(mode, chain_id=1, executor=EXECUTOR_ADDRESS, node_url=node_url, kill_switch=kill_switch)
    relays = Relays(relay_urls, RelayAccount())
    tracker = Tracker(node, executor=EXECUTOR_ADDRESS, token=TOKEN_ADDRESS, decoder=DECODER)
    simulator = Simulator(node, operator=OPERATOR, executor=EXECUTOR_ADDRESS, token=TOKEN_ADDRESS, decoder=DECODER)
    execution = AtomicExecution(
        executor=EXECUTOR_ADDRESS,
        token=TOKEN_ADDRESS,
        encode=encoder,
        planner=Planner(node, chain_id=1, weth=TOKEN_ADDRESS),
        simulator=simulator,
        nonces=NonceLeases(node, OPERATOR),
        signer=signer,
        relays=relays,
        tracker=tracker,
        bid_bps=2_000,
        min_net=min_net,
        **options,
    )
    try:
        yield Desk(execution, tracker, signer, relays, kill_switch, simulator)
    finally:
        await relays.aclose()
        await signer.close()
