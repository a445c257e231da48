"""A replica with an executor on it: deploys, quotes, sends, and reads what came of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

from eth_abi.abi import decode, encode
from eth_utils import function_signature_to_4byte_selector, keccak, to_checksum_address

from keeper.domain.plan import Financing
from keeper.domain.route import Hop, Route
from keeper.domain.token import LenderKind, VenueKind
from keeper.domain.units import Address
from keeper.execution import codec
from keeper.execution.deployment import creation_code, executor_abi

WETH = Address("0xC02aaA39b223FE8D0A0e5C4F27eAD9083C756Cc2")
USDC = Address("0xA0b86991c6218b36c1d19D4a2e9Eb0cE3606eB48")
USDT = Address("0xdAC17F958D2ee523a2206206994597C13D831ec7")
DAI = Address("0x6B175474E89094C44Da98b954EedeAC495271d0F")
QUOTER = Address("0x61fFE014bA17989E743c5F6cB21bF9697530B21e")
ROUTER = Address("0x68b3465833fb72A70ecDF485E0e4C7bD8665Fc45")
LENDERS = {
    LenderKind.MORPHO: Address("0xBBBBBbbBBb9cC5e90e3b3Af64bdAF62C37EEFFCb"),
    LenderKind.BALANCER_V2: Address("0xBA12222222228d8Ba445958a75a0704d566BF2C8"),
    LenderKind.AAVE_V3: Address("0x87870Bca3F3fD6335C3F4ce8392D69350B4fA4E2"),
    LenderKind.UNISWAP_V4: Address("0x000000000004444c5dc75cB358380D2e3dE08A90"),
}
BORROWED = tuple(LENDERS)
"""The kinds that lend every one of the tokens here."""
AAVE_PREMIUM_BPS = 5
OPERATOR = Address(to_checksum_address("0x" + "0a" * 20))
TREASURY = Address(to_checksum_address("0x" + "0b" * 20))
STRANGER = Address(to_checksum_address("0x" + "0c" * 20))
GAS = 10_000_000
FOREVER = 2**28 - 1
ETHER = 10**18

ERRORS = {
    keccak(text=f"{entry['name']}({','.join(field['type'] for field in entry['inputs'])})")[:4]: entry["name"]
    for entry in executor_abi()
}


def above(profit: int) -> int:
    """The least minimum above ``profit`` that a stream can ask for: minimums are rounded down to 24 bits."""
    shift = max(profit.bit_length() - 24, 0)
    return ((profit >> shift) + 1) << shift


@dataclass(frozen=True)
class Outcome:
    """What a call or transaction came to: ``error`` is the executor's error by name, ``""`` on success."""

    error: str
    gas_used: int = 0
    output: bytes = b""

    @property
    def ok(self) -> bool:
        return not self.error


def calldata(signature: str, *arguments: Any) -> bytes:
    types = _split_types(signature[signature.index("(") + 1 : -1])
    return function_signature_to_4byte_selector(signature) + encode(types, arguments)


def _split_types(text: str) -> list[str]:
    parts, depth, start = [], 0, 0
    for position, character in enumerate(text):
        depth += (character == "(") - (character == ")")
        if character == "," and depth == 0:
            parts.append(text[start:position])
            start = position + 1
    return [*parts, text[start:]] if text else []


class Node(Protocol):
    """An anvil node that impersonates every sender, and the pools to trade in."""

    @property
    def pools(self) -> list[dict[str, Any]]: ...

    def rpc(self, method: str, *params: Any) -> Any: ...


class Site:
    """One executor on one node."""

    def __init__(self, replica: Node, executor: Address | bytes) -> None:
        """``executor`` is its address, or the init code to deploy for `OPERATOR` and `TREASURY`."""
        self.replica = replica
        self.rpc = replica.rpc
        for account in (OPERATOR, TREASURY, STRANGER):
            self.rpc("anvil_setBalance", account, hex(10**7 * ETHER))
        if isinstance(executor, bytes):
            executor = self.create(creation_code(executor, OPERATOR, TREASURY))
        self.executor = executor

    # ------------------------------------------------------------------ chain

    def create(self, code: bytes) -> Address:
        receipt = self.rpc("eth_sendTransactionSync", {"from": STRANGER, "data": "0x" + code.hex(), "gas": hex(GAS)})
        assert receipt["status"] == "0x1"
        return Address(to_checksum_address(receipt["contractAddress"]))

    def call(self, sender: str, to: str, data: bytes) -> Outcome:
        """Ask what a transaction would do in the next block; nothing is kept."""
        request = {"from": sender, "to": to, "data": "0x" + data.hex(), "gas": hex(GAS)}
        number = int(self.rpc("eth_blockNumber"), 16) + 1
        following = {"blockOverrides": {"number": hex(number)}, "calls": [request]}
        (block,) = self.rpc("eth_simulateV1", {"blockStateCalls": [following]}, "latest")
        (result,) = block["calls"]
        output = bytes.fromhex(result["returnData"][2:])
        gas = int(result["gasUsed"], 16)
        if result["status"] == "0x1":
            return Outcome("", gas, output)
        revert = output or bytes.fromhex(result["error"].get("data", "0x")[2:] or "")
        return Outcome(ERRORS.get(revert[:4], "another error: " + revert.hex()), gas, revert)

    def calls(self, sender: str, data: bytes) -> list[tuple[str, bytes]]:
        """Target and input of each call that the executor would make for ``data``, in order of their start."""
        request = {"from": sender, "to": self.executor, "data": "0x" + data.hex(), "gas": hex(GAS)}
        root = self.rpc("debug_traceCall", request, "latest", {"tracer": "callTracer"})
        found: list[tuple[str, bytes]] = []

        def walk(frame: dict[str, Any]) -> None:
            for call in frame.get("calls", ()):
                if call["from"].lower() == self.executor.lower():
                    found.append((to_checksum_address(call["to"]), bytes.fromhex(call["input"][2:])))
                walk(call)

        walk(root)
        return found

    def send(self, sender: str, to: str, data: bytes, value: int = 0) -> Outcome:
        """Mine a transaction."""
        request = {"from": sender, "to": to, "data": "0x" + data.hex(), "gas": hex(GAS), "value": hex(value)}
        receipt = self.rpc("eth_sendTransactionSync", request)
        return Outcome("" if receipt["status"] == "0x1" else "reverted", int(receipt["gasUsed"], 16))

    def must(self, sender: str, to: str, data: bytes, value: int = 0) -> Outcome:
        outcome = self.send(sender, to, data, value)
        assert outcome.ok, (sender, to, data.hex(), self.call(sender, to, data))
        return outcome

    def read(self, to: str, signature: str, answer: Sequence[str], *arguments: Any) -> Any:
        data = "0x" + calldata(signature, *arguments).hex()
        found = self.rpc("eth_call", {"to": to, "data": data}, "latest")
        values = decode(answer, bytes.fromhex(found[2:]))
        return values[0] if len(values) == 1 else values

    @contextmanager
    def undone(self) -> Iterator[None]:
        """Whatever happens inside leaves no trace on the chain."""
        snapshot = self.rpc("evm_snapshot")
        try:
            yield
        finally:
            self.rpc("evm_revert", snapshot)
            # a transaction that was mined a moment ago may still be in the pool, and would be mined again
            self.rpc("anvil_dropAllTransactions")

    # ------------------------------------------------------------------ tokens

    def balance(self, token: str, owner: str) -> int:
        return int(self.read(token, "balanceOf(address)", ["uint256"], owner))

    def allowance(self, token: str, spender: str) -> int:
        return int(self.read(token, "allowance(address,address)", ["uint256"], self.executor, spender))

    def give(self, token: str, owner: str, amount: int) -> None:
        """Set a balance."""
        if token == WETH:
            self.must(STRANGER, WETH, calldata("deposit()"), amount)
            self.must(STRANGER, WETH, calldata("transfer(address,uint256)", owner, amount))
        else:
            self.rpc("anvil_dealERC20", owner, token, hex(self.balance(token, owner) + amount))

    # ------------------------------------------------------------------ routes

    def pools(self, venue: VenueKind, token_a: str, token_b: str) -> list[dict[str, Any]]:
        pair = {token_a, token_b}
        return [p for p in self.replica.pools if p["venue"] == venue and {p["token0"], p["token1"]} == pair]

    def choose_pools(self, tokens: Sequence[Address], venues: Sequence[VenueKind]) -> list[dict[str, Any]]:
        """A pool of the wanted venue for each hop of the loop through ``tokens``, none of them twice."""
        chosen: list[dict[str, Any]] = []
        for token_in, token_out, venue in zip(tokens, [*tokens[1:], tokens[0]], venues, strict=True):
            free = [pool for pool in self.pools(venue, token_in, token_out) if pool not in chosen]
            assert free, (token_in, token_out, venue)
            chosen.append(free[0])
        return chosen

    def cheapen(self, pool: dict[str, Any], token: Address, amount: int) -> None:
        """Let a stranger sell ``token`` to ``pool``, so that it pays more of it for the other token."""
        if pool["venue"] == VenueKind.UNISWAP_V2:
            self.give(token, pool["address"], amount)
            self.must(STRANGER, pool["address"], calldata("sync()"))
            return
        self.give(token, STRANGER, amount)
        other = pool["token1"] if token == pool["token0"] else pool["token0"]
        self.must(STRANGER, token, calldata("approve(address,uint256)", ROUTER, amount))
        terms = (token, other, pool["fee_pips"], STRANGER, amount, 0, 0)
        signature = "exactInputSingle((address,address,uint24,address,uint256,uint256,uint160))"
        self.must(STRANGER, ROUTER, calldata(signature, terms))

    def quote(self, pool: dict[str, Any], token_in: Address, amount_in: int) -> Hop:
        """The hop through ``pool``, its output from the pair's reserves or Uniswap's own quoter."""
        zero_for_one = token_in == pool["token0"]
        token_out = Address(pool["token1"] if zero_for_one else pool["token0"])
        if pool["venue"] == VenueKind.UNISWAP_V2:
            reserves = self.read(pool["address"], "getReserves()", ["uint112", "uint112", "uint32"])[:2]
            reserve_in, reserve_out = reserves if zero_for_one else reserves[::-1]
            with_fee = amount_in * 997
            amount_out = with_fee * reserve_out // (reserve_in * 1000 + with_fee)
        else:
            terms = (token_in, token_out, amount_in, pool["fee_pips"], 0)
            signature = "quoteExactInputSingle((address,address,uint256,uint24,uint160))"
            amount_out = self.read(QUOTER, signature, ["uint256", "uint160", "uint32", "uint256"], terms)[0]
        return Hop(
            pool=Address(pool["address"]),
            venue=VenueKind(pool["venue"]),
            dex=pool["dex"],
            token_in=token_in,
            token_out=token_out,
            zero_for_one=zero_for_one,
            amount_in=amount_in,
            amount_out=amount_out,
            fee_pips=pool["fee_pips"],
        )

    def profitable_route(self, tokens: Sequence[Address], venues: Sequence[VenueKind], amount_in: int) -> Route:
        """A loop that earns: its last pool is first sold some of the token that the loop earns."""
        pools = self.choose_pools(tokens, venues)
        depth = self.balance(tokens[0], pools[-1]["address"])
        self.cheapen(pools[-1], tokens[0], depth // 3)
        hops: list[Hop] = []
        for pool, token in zip(pools, tokens, strict=True):
            hops.append(self.quote(pool, token, hops[-1].amount_out if hops else amount_in))
        route = Route(tuple(hops))
        assert route.gross_profit > 0
        return route

    def financing(self, route: Route, kind: LenderKind) -> Financing:
        fee = -(-route.amount_in * AAVE_PREMIUM_BPS // 10_000) if kind is LenderKind.AAVE_V3 else 0
        if kind is LenderKind.AAVE_V3:  # Aave rounds half up
            fee = (route.amount_in * AAVE_PREMIUM_BPS + 5_000) // 10_000
        lender = LENDERS.get(kind, route.hops[0].pool)
        return Financing(kind, lender, route.amount_in, fee, "chosen by the test")

    def stream(self, route: Route, kind: LenderKind, min_profit: int, **guards: Any) -> bytes:
        guards.setdefault("last_block", FOREVER)
        financing = self.financing(route, kind)
        return codec.encode(route, financing, executor=self.executor, min_profit=min_profit, **guards)
