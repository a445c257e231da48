"""What a loan costs in gas beyond trading from inventory, of every source the planner knows: `make bench-loans`.

Routes of two hops that earn WETH; DssFlash, which lends DAI alone, on one that earns DAI. Balancer V3 and DssFlash are
not mainnet's bytecode, so their figures are of the right order only.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable

import click

from benchmarks.gas import Bench
from keeper.domain.plan import Financing
from keeper.domain.route import Route
from keeper.domain.token import LenderKind, VenueKind
from keeper.domain.units import Address
from keeper.execution import codec
from keeper.execution.lenders import LENDERS, LOAN_GAS
from keeper.replica.addresses import DODO_WETH_USDC
from tests.conftest import RunningReplica
from tests.contracts.replica_node import running_replica
from tests.contracts.site import DAI, ETHER, FOREVER, OPERATOR, USDC, WETH
from tests.market import balancer_v3_site

ROUTES = ("22", "32", "23", "33")
OUTSIDE = Address("0x11b815efB8f581194ae79006d24E0d814B7697F6")
"""The V3 pool of WETH and USDT with a fee of 0.05%: no route of the bench goes through it."""
OUTSIDE_FEE_PIPS = 500
AAVE_PREMIUM_BPS = 5


def financing(route: Route, kind: LenderKind, executor: Address) -> Financing:
    """A loan of what ``route`` takes in."""
    known, amount = LENDERS[1], route.amount_in
    lenders = {
        LenderKind.INVENTORY: executor,
        LenderKind.FLASH_SWAP: route.hops[0].pool,
        LenderKind.MORPHO: known.morpho,
        LenderKind.BALANCER_V2: known.balancer_v2_vault,
        LenderKind.AAVE_V3: known.aave_v3_pool,
        LenderKind.SPARK: known.spark_pool,
        LenderKind.UNISWAP_V4: known.uniswap_v4_manager,
        LenderKind.UNISWAP_V3: OUTSIDE,
        LenderKind.DODO: DODO_WETH_USDC,
        LenderKind.BALANCER_V3: known.balancer_v3_vault,
        LenderKind.ERC3156: known.erc3156[0] if route.token == DAI else None,
    }
    fees = {
        LenderKind.AAVE_V3: (amount * AAVE_PREMIUM_BPS + 5_000) // 10_000,
        LenderKind.UNISWAP_V3: -(-amount * OUTSIDE_FEE_PIPS // 1_000_000),
    }
    lender = lenders.get(kind)
    assert lender is not None, kind
    return Financing(kind, lender, amount, fees.get(kind, 0), "measured", token0=True)


def measure(node: RunningReplica) -> dict[str, dict[LenderKind, int]]:
    """Gas of each route by source; the executor has enough of its own for all of them."""
    bench = Bench(node)
    site, manager = bench.site, LENDERS[1].uniswap_v4_manager
    assert manager is not None
    balancer_v3_site.build(node)
    site.give(WETH, site.executor, 10 * ETHER)
    site.give(WETH, manager, 10 * ETHER)
    found: dict[str, dict[LenderKind, int]] = {}
    for order in ROUTES:
        with bench.route(order) as route:
            found[order] = _by_source(bench, route, [kind for kind in LOAN_GAS if kind is not LenderKind.ERC3156])
    with site.undone():
        site.give(DAI, site.executor, 10_000 * ETHER)
        route = site.profitable_route((DAI, USDC), (VenueKind.UNISWAP_V3, VenueKind.UNISWAP_V2), 2_000 * ETHER)
        found["DAI"] = _by_source(bench, route, [LenderKind.INVENTORY, LenderKind.ERC3156])
    return found


def _by_source(bench: Bench, route: Route, kinds: Iterable[LenderKind]) -> dict[LenderKind, int]:
    executor = bench.site.executor
    gas = {}
    for kind in kinds:
        loan = financing(route, kind, executor)
        profit = route.gross_profit - loan.fee
        stream = codec.encode(route, loan, executor=executor, min_profit=profit, last_block=FOREVER)
        gas[kind] = bench.send(OPERATOR, executor, stream).gas
    return gas


def over_inventory(found: dict[str, dict[LenderKind, int]]) -> dict[LenderKind, int]:
    """The mean over the routes on which a source was measured, rounded to 100 gas."""
    extra: dict[LenderKind, list[int]] = {kind: [] for kind in LOAN_GAS}
    for row in found.values():
        for kind, gas in row.items():
            extra[kind].append(gas - row[LenderKind.INVENTORY])
    return {kind: round(sum(more) / len(more) / 100) * 100 for kind, more in extra.items()}


@click.command()
@click.option("--json", "as_json", is_flag=True, help="End with one JSON object on stdout.")
def main(as_json: bool) -> None:
    """Measure the gas of every source on the replica, over trading from the executor's own balance."""
    with running_replica() as node:
        found = measure(node)
    means = over_inventory(found)
    click.echo(f"{'source':<14}" + "".join(f"{order:>10}" for order in found) + f"{'mean':>10}{'table':>10}", err=True)
    for kind, mean in means.items():
        cells = (f"{row[kind] - row[LenderKind.INVENTORY]:,}" if kind in row else "" for row in found.values())
        click.echo(
            f"{kind:<14}" + "".join(f"{cell:>10}" for cell in cells) + f"{mean:>10,}{LOAN_GAS[kind]:>10,}", err=True
        )
    if as_json:
        sys.stdout.write(json.dumps({"gas": found, "over_inventory": means}) + "\n")


if __name__ == "__main__":
    main()
