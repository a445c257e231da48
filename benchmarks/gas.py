"""What the executor costs above the bare calls of the pools, beside others that could make them: `make bench-gas`."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import click

from benchmarks.contenders import allow_router, multicall_calldata, router_calldata, v4_router_calldata
from benchmarks.floor import floor_source, v4_floor_source
from keeper.domain.plan import Financing
from keeper.domain.route import Route
from keeper.domain.token import LenderKind, VenueKind
from keeper.domain.units import ZERO_ADDRESS, Address
from keeper.execution.codec import decode, encode
from keeper.execution.lenders import LOAN_GAS
from keeper.market.venues.uniswap_v4 import UniswapV4Pool
from keeper.replica.addresses import UNIVERSAL_ROUTER
from keeper.replica.build import BLOCK_SECONDS
from tests.conftest import RunningReplica
from tests.contracts.compiler import CHECKOUT, compile_sources, compile_yul, executor_sources, read_sources
from tests.contracts.market import MANAGER, V4Market, hops, load, spec_of
from tests.contracts.replica_node import running_replica
from tests.contracts.site import DAI, ETHER, FOREVER, GAS, OPERATOR, STRANGER, USDC, USDT, WETH, Site
from tests.market import balancer_v3_site

SNAPSHOT = CHECKOUT / "tests" / "contracts" / "gas-snapshot.json"
AMOUNT = 2 * ETHER
LOOPS = {2: (WETH, USDC), 3: (WETH, USDC, DAI), 4: (WETH, USDC, USDT, DAI)}
VENUES = {"2": VenueKind.UNISWAP_V2, "3": VenueKind.UNISWAP_V3}
ROUTES = ("22", "32", "23", "33", "222", "323", "333", "2222", "2323", "3333")
FAMILIES = (("22", "222", "2222"), ("33", "333", "3333"), ("23", "323", "2323"))
"""Each route has one hop more than the one before it."""
LOANS = tuple(kind for kind in LOAN_GAS if kind not in (LenderKind.FLASH_SWAP, LenderKind.ERC3156))
"""Sources of WETH; DssFlash lends DAI alone: `benchmarks.loans` has it."""
V4 = "44"
REPORTED = ("22", "32", "33", V4)

INTRINSIC, ZERO_BYTE, OTHER_BYTE = 21_000, 4, 16
L1_BASE_FEE = 10**9
BASE_FEE_SCALAR, BLOB_BASE_FEE_SCALAR = 2_269, 1_055_762
"""Base's scalars of the L1 fee since Fjord."""
FASTLZ_COEFFICIENT = 836_500


@dataclass(frozen=True)
class Measured:
    """Gas of one transaction, and its calldata."""

    gas: int
    data: bytes = b""

    @property
    def calldata_gas(self) -> int:
        zeros = self.data.count(0)
        return ZERO_BYTE * zeros + OTHER_BYTE * (len(self.data) - zeros)

    @property
    def l2_fee(self) -> int:
        """Wei that an OP-stack chain charges for these bytes, were they incompressible, at 1 gwei on L1 and idle blobs.

        Fjord: fee = 0.8365 * bytes * (16 * baseFeeScalar * l1BaseFee + blobBaseFeeScalar * blobBaseFee) / 1e6.
        """
        price = 16 * BASE_FEE_SCALAR * L1_BASE_FEE + BLOB_BASE_FEE_SCALAR
        return len(self.data) * FASTLZ_COEFFICIENT * price // 10**12


def key(order: str) -> str:
    """``v3_v2`` for the route whose first hop goes through V3 and its second one through V2."""
    return "_".join("v" + venue for venue in order)


class Bench:
    """Contracts and states in which everything is measured."""

    def __init__(self, node: RunningReplica) -> None:
        own = compile_sources(executor_sources())["Executor"]
        self.node = node
        self.site = Site(node, own.init_code)
        common = compile_sources(read_sources(Path(__file__).with_name("solidity")))["Multicall"]
        arguments = bytes(12) + bytes.fromhex(OPERATOR[2:]) + bytes(12) + bytes.fromhex(WETH[2:])
        self.multicall = self.site.create(common.init_code + arguments)
        self.site.give(WETH, self.site.executor, 1)

    def send(self, sender: Address, to: Address, data: bytes, access: Sequence[Any] = ()) -> Measured:
        """Gas of a transaction that is undone again; one slot later, so that pools note prices as on a chain."""
        site = self.site
        with site.undone():
            request = {"from": sender, "to": to, "data": "0x" + data.hex(), "gas": hex(GAS)}
            if access:
                request["accessList"] = access
            self._next_slot()
            receipt = site.rpc("eth_sendTransactionSync", request)
            if receipt["status"] != "0x1":
                raise RuntimeError(f"A contender's transaction reverts: {site.call(sender, to, data)}")
            return Measured(int(receipt["gasUsed"], 16), data)

    def access_list(self, data: bytes) -> list[Any]:
        """The node's list, without what is warm anyway: the accounts without slots that the transaction names."""
        request = {"from": OPERATOR, "to": self.site.executor, "data": "0x" + data.hex(), "gas": hex(GAS)}
        with self.site.undone():
            self._next_slot()
            self.site.rpc("evm_mine")
            entries = self.site.rpc("eth_createAccessList", request, "latest")["accessList"]
        warm = {OPERATOR.lower(), self.site.executor.lower()}
        return [entry for entry in entries if entry["storageKeys"] or entry["address"].lower() not in warm]

    def _next_slot(self) -> None:
        head = self.site.rpc("eth_getBlockByNumber", "latest", False)
        self.site.rpc("evm_setNextBlockTimestamp", int(head["timestamp"], 16) + BLOCK_SECONDS)

    @contextmanager
    def route(self, order: str) -> Iterator[Route]:
        """A profitable route whose pools have all been traded through in the direction of the route."""
        site = self.site
        with site.undone():
            tokens, venues = LOOPS[len(order)], [VENUES[venue] for venue in order]
            first = site.profitable_route(tokens, venues, AMOUNT)
            site.must(OPERATOR, site.executor, site.stream(first, LenderKind.FLASH_SWAP, 0))
            yield site.profitable_route(tokens, venues, AMOUNT)

    @contextmanager
    def v4_route(self) -> Iterator[Route]:
        """ETH through two pools of Uniswap V4, traded through before; the executor holds a wei of ETH."""
        site = self.site
        with site.undone():
            site.rpc("anvil_setBalance", site.executor, "0x1")
            spec = spec_of(self.node, VenueKind.UNISWAP_V4, ZERO_ADDRESS, USDC)
            (pool,) = load(self.node, [spec])
            assert isinstance(pool, UniswapV4Pool)
            market = V4Market(site, USDC, pool.sqrt_price_x96)
            market.sell_ether(market.key, AMOUNT * 200)

            def route() -> Route:
                pools = load(self.node, [spec, market.spec])
                return Route(hops(pools, (ZERO_ADDRESS, USDC, ZERO_ADDRESS), AMOUNT))

            first = route()
            site.must(OPERATOR, site.executor, encode(first, v4_financing(first), **self.terms(0)))
            yield route()

    def terms(self, min_profit: int) -> dict[str, Any]:
        return {"executor": self.site.executor, "min_profit": min_profit, "last_block": FOREVER}

    def floor(self, route: Route) -> Measured:
        stream = decode(self.site.stream(route, LenderKind.FLASH_SWAP, 0))
        contract = self.site.create(compile_yul(floor_source(stream)))
        self.site.give(WETH, contract, 1)
        return self._floor(route, contract, b"", lambda: self.site.balance(WETH, contract))

    def v4_floor(self, route: Route) -> Measured:
        contract = self.site.create(compile_yul(v4_floor_source(route)))
        self.site.rpc("anvil_setBalance", contract, "0x1")
        return self._floor(
            route, contract, b"\x01", lambda: int(self.site.rpc("eth_getBalance", contract, "latest"), 16)
        )

    def _floor(self, route: Route, contract: Address, data: bytes, balance: Callable[[], int]) -> Measured:
        before = balance()
        measured = self.send(STRANGER, contract, data)
        with self.site.undone():
            self.site.must(STRANGER, contract, data)
            if balance() - before != route.gross_profit:
                raise RuntimeError("The floor does not earn what the route does.")
        return measured

    def executor(self, route: Route) -> Measured:
        return self.send(
            OPERATOR, self.site.executor, self.site.stream(route, LenderKind.FLASH_SWAP, route.gross_profit)
        )

    def sources(self, route: Route) -> dict[str, Measured]:
        """The executor with every other source of its input."""
        from benchmarks.loans import financing

        site, found = self.site, {}
        with site.undone():
            site.give(WETH, MANAGER, AMOUNT)
            site.give(WETH, site.executor, AMOUNT)
            for kind in LOANS:
                loan = financing(route, kind, site.executor)
                data = encode(route, loan, **self.terms(route.gross_profit - loan.fee))
                found[kind.value] = self.send(OPERATOR, site.executor, data)
        return found

    def with_access_list(self, data: bytes) -> Measured:
        return self.send(OPERATOR, self.site.executor, data, self.access_list(data))

    def common(self, route: Route) -> Measured:
        site = self.site
        with site.undone():
            site.give(WETH, self.multicall, AMOUNT + 1)
            for hop in route.hops[1:]:
                site.give(hop.token_in, self.multicall, 1)
            data = multicall_calldata(route, self.multicall, route.gross_profit)
            return self.send(OPERATOR, self.multicall, data)

    def router(self, route: Route) -> Measured | None:
        """None where it cannot trade the route: it knows the pairs of one V2 factory alone."""
        if any(hop.dex == "sushiswap" for hop in route.hops):
            return None
        site = self.site
        with site.undone():
            site.give(WETH, OPERATOR, AMOUNT + 1)
            for hop in route.hops[1:]:
                site.give(hop.token_in, UNIVERSAL_ROUTER, 1)
            allow_router(site, OPERATOR)
            return self.send(OPERATOR, UNIVERSAL_ROUTER, router_calldata(route, route.gross_profit))


def measure(
    node: RunningReplica, orders: Sequence[str] = ROUTES, *, compare: bool = True
) -> dict[str, dict[str, Measured]]:
    """Gas by route and contender; with ``compare`` of the other contracts and the lenders too."""
    bench = Bench(node)
    if compare:
        balancer_v3_site.build(node)
    found: dict[str, dict[str, Measured]] = {}
    for order in orders:
        with bench.route(order) as route:
            found[order] = {
                "floor": bench.floor(route),
                "executor": bench.executor(route),
                "with access list": bench.with_access_list(
                    bench.site.stream(route, LenderKind.FLASH_SWAP, route.gross_profit)
                ),
            }
            if compare and len(order) == 2:
                found[order] |= bench.sources(route)
            if compare and len(order) <= 3:  # longer ones hold USDT, which returns nothing: the multicall cannot pay it
                found[order]["multicall"] = bench.common(route)
                router = bench.router(route)
                if router is not None:
                    found[order]["universal router"] = router
    with bench.v4_route() as route:
        data = encode(route, v4_financing(route), **bench.terms(route.gross_profit))
        found[V4] = {
            "floor": bench.v4_floor(route),
            "executor": bench.send(OPERATOR, bench.site.executor, data),
            "with access list": bench.with_access_list(data),
        }
        if compare:
            found[V4]["universal router"] = bench.send(OPERATOR, UNIVERSAL_ROUTER, v4_router_calldata(route))
    return found


def v4_financing(route: Route) -> Financing:
    return Financing(LenderKind.UNISWAP_V4, MANAGER, route.amount_in, 0, "the route's own account")


def above_floor(found: dict[str, dict[str, Measured]], order: str, name: str) -> int | None:
    contenders = found[order]
    return contenders[name].gas - contenders["floor"].gas if name in contenders else None


def per_extra_hop(found: dict[str, dict[str, Measured]]) -> int:
    """The most that a hop more adds to what the executor costs above the floor."""
    steps = [pair for family in FAMILIES for pair in pairwise(family)]
    return max(
        (above_floor(found, longer, "executor") or 0) - (above_floor(found, shorter, "executor") or 0)
        for shorter, longer in steps
    )


def report(found: dict[str, dict[str, Measured]]) -> dict[str, Any]:
    """The object of ``--json``: gas above the floor; null where it cannot be measured, and ``reasons`` says why."""

    def row(name: str) -> dict[str, int | None]:
        return {key(order): above_floor(found, order, name) for order in REPORTED}

    return {
        "overhead": row("executor"),
        "overhead_access_list": row("with access list"),
        "per_extra_hop": per_extra_hop(found),
        "multicall": row("multicall"),
        "universal_router": row("universal router"),
        "reasons": {
            "multicall.v4_v4": "It calls pools one after the other; the manager of V4 has to be unlocked around them.",
            "universal_router.v2_v2": "It knows one V2 factory, whose pair of two tokens is one pool.",
        },
        "calldata": {
            key(order): {
                name: {"bytes": len(one.data), "gas": one.calldata_gas, "l2_fee_wei": one.l2_fee}
                for name, one in contenders.items()
            }
            for order, contenders in found.items()
        },
        "gas": {key(order): {name: one.gas for name, one in row_.items()} for order, row_ in found.items()},
    }


def snapshot(found: dict[str, dict[str, Measured]]) -> dict[str, dict[str, int]]:
    """What `SNAPSHOT` holds: gas by route, of the floor and of the executor."""
    kept = ("floor", "executor", "with access list")
    return {key(order): {name: contenders[name].gas for name in kept} for order, contenders in found.items()}


def show(found: dict[str, dict[str, Measured]]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(title="Gas above the bare pool calls")
    for name in ("route", "contender"):
        table.add_column(name)
    for name in ("gas", "above floor", "calldata", "its gas", "L2 fee, gwei"):
        table.add_column(name, justify="right")
    for order, contenders in found.items():
        for name, one in contenders.items():
            above = one.gas - contenders["floor"].gas
            cells = (
                f"{one.gas:,}",
                f"{above:+,}",
                f"{len(one.data)}",
                f"{one.calldata_gas:,}",
                f"{one.l2_fee / 1e9:.2f}",
            )
            table.add_row(key(order) if name == "floor" else "", name, *cells, end_section=name == list(contenders)[-1])
    console = Console(stderr=True, width=110)
    console.print(table)
    console.print(f"A further hop adds at most {per_extra_hop(found):,}.")
    console.print("L2 fee: of these bytes on an OP-stack chain with Base's scalars, 1 gwei on L1, no compression.")


@click.command()
@click.option("--json", "as_json", is_flag=True, help="End with one JSON object on stdout.")
@click.option("--renew", is_flag=True, help=f"Write {SNAPSHOT.name}, which the tests compare with.")
def main(as_json: bool, renew: bool) -> None:
    """Measure the executor's gas on the replica, beside the bare pool calls and beside other contracts.

    Every contender trades the same route from the same state. Pools are warmed, the executor holds one wei of WETH and
    earns WETH.
    """
    with running_replica() as node:
        found = measure(node)
    show(found)
    if renew:
        SNAPSHOT.write_text(json.dumps(snapshot(found), indent=2) + "\n", encoding="utf-8")
    if as_json:
        sys.stdout.write(json.dumps(report(found)) + "\n")


if __name__ == "__main__":
    main()
