"""Pools of all venues as they are read from the replica, through Multicall3 at one block."""

from __future__ import annotations

from typing import Any

import pytest

from keeper.domain.errors import InputError
from keeper.domain.token import VenueKind
from keeper.domain.units import Address
from keeper.market.loader import load_pools
from keeper.market.node import Node
from keeper.market.readers import READERS
from keeper.market.specs import PoolSpec
from keeper.market.venues import Pool, load
from tests.conftest import RunningReplica
from tests.market.chain import address


def read(replica: RunningReplica, specs: list[PoolSpec]) -> dict[Address, Pool]:
    async def work() -> dict[Address, Pool]:
        async with Node(replica.http_url) as node:
            return await load_pools(node, specs, await node.block())

    return replica.background.run(work())


def entries(replica: RunningReplica, *kinds: str) -> list[dict[str, Any]]:
    found = [entry for entry in replica.state.other_pools() if entry["venue"] in kinds]
    assert {entry["venue"] for entry in found} == set(kinds)
    return found


def test_solidly_pools_are_read(replica: RunningReplica) -> None:
    for entry in entries(replica, "solidly_volatile", "solidly_stable"):
        spec = PoolSpec.from_json(entry)
        pool = read(replica, [spec])[spec.key]
        assert (pool.venue, [pool.token0, pool.token1], pool.fee_pips) == (
            entry["venue"],
            entry["tokens"],
            entry["fee_pips"],
        )
        assert load(pool.to_json()) == pool
        token_in = replica.tokens["USDC"]["address"]
        price = pool.marginal_price(token_in)
        decimals_out = 18
        # a dollar is a dollar of DAI or a 3000th of an ether
        worth = float(price) / 10 ** (decimals_out - 6)
        assert worth == pytest.approx(1 if entry["venue"] == "solidly_stable" else 1 / 3000, rel=0.05)


def test_a_pool_that_is_another_kind_is_left_out(replica: RunningReplica, caplog: pytest.LogCaptureFixture) -> None:
    volatile, stable = (entries(replica, kind)[0] for kind in ("solidly_volatile", "solidly_stable"))
    specs = [
        PoolSpec.from_json({**volatile, "venue": "solidly_stable"}),
        PoolSpec.from_json({**stable, "address": address(99)}),
        PoolSpec.from_json({**stable, "address": replica.pools[0]["address"]}),
        PoolSpec.from_json(stable),
    ]
    assert list(read(replica, specs)) == [specs[3].key]
    assert caplog.text.count("is left out") == 3


def test_every_kind_has_a_reader() -> None:
    assert READERS.keys() == set(VenueKind)


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"venue": "uniswap_v9"}, "venue"),
        ({"address": "0x12"}, "address"),
        ({"tokens": [address(1)]}, "tokens"),
        ({"tokens": None}, "token0"),
        ({"tick_spacing": 0}, "tick_spacing"),
        ({"hooks": address(7)}, "hooks"),
    ],
)
def test_a_spec_that_does_not_fit_is_refused(change: dict[str, Any], field: str) -> None:
    entry = {"venue": "uniswap_v4", "address": address(1), "dex": "x", "tokens": [address(0), address(2)]}
    entry |= {"fee_pips": 3000, "tick_spacing": 60}
    assert PoolSpec.from_json(entry).token1 == address(2)
    with pytest.raises(InputError, match=rf"^{field}: "):
        PoolSpec.from_json({**entry, **change})
