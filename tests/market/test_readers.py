"""Pools of all venues as they are read from the replica, through Multicall3 at one block."""

from __future__ import annotations

from typing import Any

import pytest

from keeper.domain.errors import InputError
from keeper.domain.token import VenueKind
from keeper.domain.units import Address
from keeper.market.node import Node
from keeper.market.readers import PoolPlace, read_pools
from keeper.market.venues import Pool, load
from tests.conftest import RunningReplica
from tests.market.chain import address


def read(replica: RunningReplica, places: list[PoolPlace]) -> dict[PoolPlace, Pool]:
    async def work() -> dict[PoolPlace, Pool]:
        async with Node(replica.http_url) as node:
            return await read_pools(node, places, await node.block())

    return replica.background.run(work())


def entries(replica: RunningReplica, *kinds: str) -> list[dict[str, Any]]:
    found = [entry for entry in replica.state.other_pools() if entry["venue"] in kinds]
    assert {entry["venue"] for entry in found} == set(kinds)
    return found


def test_solidly_pools_are_read(replica: RunningReplica) -> None:
    for entry in entries(replica, "solidly_volatile", "solidly_stable"):
        place = PoolPlace.from_json(entry)
        pool = read(replica, [place])[place]
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
    places = [
        PoolPlace.from_json({**volatile, "venue": "solidly_stable"}),
        PoolPlace.from_json({**stable, "address": address(99)}),
        PoolPlace.from_json({**stable, "address": replica.pools[0]["address"]}),
        PoolPlace.from_json(stable),
    ]
    assert list(read(replica, places)) == places[3:]
    assert caplog.text.count("is left out") == 3


def test_a_kind_without_a_reader_is_refused(replica: RunningReplica) -> None:
    with pytest.raises(InputError, match=r"^venue: "):
        read(replica, [PoolPlace(Address(address(1)), VenueKind.CURVE_TRICRYPTO, "curve")])


def test_a_place_of_no_kind_is_refused() -> None:
    with pytest.raises(InputError, match=r"^venue: "):
        PoolPlace.from_json({"venue": "uniswap_v2", "address": address(1), "dex": "x"})
