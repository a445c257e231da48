"""The adapter on a replica: deploys it, sends to it, and looks whether it keeps anything."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from eth_utils import keccak, to_checksum_address

from keeper.domain.route import Hop
from keeper.domain.token import LenderKind, VenueKind
from keeper.domain.units import Address
from keeper.execution.adapter import Lender, Step, route_of
from keeper.execution.deployment import creation_code
from keeper.replica.deploy import Deployer
from tests.conftest import RunningReplica
from tests.contracts.compiler import STAND_INS, Compiled, adapter_sources, compile_sources, read_sources
from tests.contracts.site import (
    DAI,
    GAS,
    LENDERS,
    OPERATOR,
    STRANGER,
    TREASURY,
    USDC,
    USDT,
    WETH,
    Outcome,
    Site,
    calldata,
)

USER = Address(to_checksum_address("0x" + "0d" * 20))
SUPPLIER = Address(to_checksum_address("0x" + "0e" * 20))
AAVE = LENDERS[LenderKind.AAVE_V3]
MORPHO = LENDERS[LenderKind.MORPHO]
BALANCER = LENDERS[LenderKind.BALANCER_V2]
ANY_LENDER = [Lender(kind, LENDERS[kind]) for kind in (LenderKind.MORPHO, LenderKind.BALANCER_V2, LenderKind.AAVE_V3)]
TOKENS = (WETH, USDC, USDT, DAI)
FOREVER = 2**64
SLOT_SECONDS = 12


def compiled_adapter() -> Compiled:
    return compile_sources(adapter_sources())["Adapter"]


def stand_in(name: str) -> Compiled:
    return compile_sources(read_sources(STAND_INS), quick=True)[name]


def error_selectors(abi: Iterable[dict[str, Any]]) -> dict[bytes, str]:
    return {
        keccak(text=f"{entry['name']}({','.join(field['type'] for field in entry['inputs'])})")[:4]: entry["name"]
        for entry in abi
        if entry["type"] == "error"
    }


class AdapterSite(Site):
    """A site whose contract under test is an adapter, for `OPERATOR` and `TREASURY`."""

    def __init__(self, replica: RunningReplica, compiled: Compiled) -> None:
        self.deployer = Deployer(replica.client, STRANGER)
        self.background = replica.background
        self.market: Any = None
        for account in (USER, SUPPLIER, STRANGER):
            replica.rpc("anvil_setBalance", account, hex(10**24))
        # in place, because a copy with planted bugs is larger than a contract may be
        address = Address(to_checksum_address("0x" + keccak(compiled.init_code)[:20].hex()))
        self.place(address, creation_code(compiled.init_code, OPERATOR, TREASURY))
        super().__init__(replica, address)
        self.adapter = address
        self._errors = error_selectors(compiled.abi)

    def place(self, address: Address, init_code: bytes) -> None:
        """Run ``init_code`` at ``address``."""
        self.background.run(self.deployer.deploy_in_place(address, init_code))

    # ------------------------------------------------------------------ calls

    def now(self) -> int:
        return int(self.rpc("eth_getBlockByNumber", "latest", False)["timestamp"], 16)

    def call(self, sender: str, to: str, data: bytes) -> Outcome:
        """Ask what a transaction would do in a block one slot later; nothing is kept."""
        request = {"from": sender, "to": to, "data": "0x" + data.hex(), "gas": hex(GAS)}
        head = self.rpc("eth_getBlockByNumber", "latest", False)
        number, time = int(head["number"], 16) + 1, int(head["timestamp"], 16) + SLOT_SECONDS
        overrides = {"number": hex(number), "time": hex(time), "baseFeePerGas": "0x0"}
        following = {"blockOverrides": overrides, "calls": [request]}
        (block,) = self.rpc("eth_simulateV1", {"blockStateCalls": [following]}, "latest")
        (result,) = block["calls"]
        output = bytes.fromhex(result["returnData"][2:])
        if result["status"] == "0x1":
            return Outcome("", int(result["gasUsed"], 16), output)
        revert = output or bytes.fromhex(result["error"].get("data", "0x")[2:] or "")
        return Outcome(self._errors.get(revert[:4], "another error: " + revert.hex()), 0, revert)

    def send(self, sender: str, to: str, data: bytes, value: int = 0) -> Outcome:
        """Mine a transaction one slot after the last one."""
        self.rpc("evm_setNextBlockTimestamp", hex(self.now() + SLOT_SECONDS))
        return super().send(sender, to, data, value)

    def run(self, data: bytes, sender: Address = OPERATOR) -> Outcome:
        return self.call(sender, self.adapter, data)

    # ------------------------------------------------------------------ routes

    def route(self, token_in: Address, amount_in: int, *pools: dict[str, Any]) -> tuple[tuple[Step, ...], int]:
        """The steps through ``pools``, and what comes out for ``amount_in``."""
        hops: list[Hop] = []
        for pool in pools:
            hops.append(self.quote(pool, token_in, amount_in))
            token_in, amount_in = hops[-1].token_out, hops[-1].amount_out
        return route_of(hops), amount_in

    def pool(self, venue: VenueKind, token_a: Address, token_b: Address, number: int = 0) -> dict[str, Any]:
        return self.pools(venue, token_a, token_b)[number]

    # ------------------------------------------------------------------ nothing stays

    def left(self, *also: str) -> dict[str, int]:
        """What the adapter holds of the usual tokens, of ``also`` and of the coin, and what it approves: nothing."""
        tokens = dict.fromkeys((*TOKENS, *also))
        spenders = (AAVE, MORPHO, BALANCER)
        held = {token: self.balance(token, self.adapter) for token in tokens}
        held["coin"] = int(self.rpc("eth_getBalance", self.adapter, "latest"), 16)
        held |= {f"{token} {spender}": self.allowance(token, spender) for token in tokens for spender in spenders}
        return {name: amount for name, amount in held.items() if amount}

    # ------------------------------------------------------------------ prices

    def set_price(self, name: str, answer: int) -> None:
        """Push an answer, 10^8 for a dollar, to a Chainlink feed of the replica."""
        from keeper.replica.addresses import BUILDER

        feeds = self.replica.state.feeds  # type: ignore[attr-defined]
        self.must(BUILDER, feeds[name], calldata("push(int256)", answer))


def grown(site: Site, token: str, owner: str, before: int) -> int:
    return site.balance(token, owner) - before
