"""What every kind of pool answers alike: its key, its pairs, what a swap of it needs, what stands behind its price."""

from __future__ import annotations

from fractions import Fraction
from itertools import combinations
from typing import Any

import pytest

from keeper.domain.errors import InputError
from keeper.domain.swap_detail import BalancerV2Id, BalancerV3Vault, CurveCoins, CurveInterface, V4Key
from keeper.domain.token import VenueKind
from keeper.domain.units import ZERO_ADDRESS
from keeper.market.venues import MultiTokenPool, PairView, Pool, UniswapV4Pool, load, pairs_of
from tests.market.chain import TOKEN0, TOKEN1, address
from tests.market.every_kind import STATES, TOKEN2, pools

STABLESWAP = next(state for state in STATES if state["venue"] == "curve_stableswap")


def test_every_kind_is_here() -> None:
    assert [pool.venue for pool in pools()] == [VenueKind(state["venue"]) for state in STATES]
    assert {pool.venue for pool in pools()} == set(VenueKind)


@pytest.mark.parametrize("pool", pools(), ids=lambda pool: pool.venue)
def test_its_key_is_its_address_unless_a_manager_holds_it(pool: Pool) -> None:
    if isinstance(pool, UniswapV4Pool):
        assert pool.key == pool.pool_id != pool.address
    else:
        assert pool.key == pool.address
    assert {pair.key for pair in pairs_of(pool)} == {pool.key}


@pytest.mark.parametrize("pool", pools(), ids=lambda pool: pool.venue)
def test_its_pairs_are_pools_of_two_tokens(pool: Pool) -> None:
    pairs = pairs_of(pool)
    if isinstance(pool, MultiTokenPool):
        wanted = {frozenset(pair) for pair in combinations(pool.tokens, 2)}
        assert all(isinstance(pair, PairView) and pair.pool is pool for pair in pairs)
    else:
        assert pairs == (pool,)
        wanted = {frozenset((pool.token0, pool.token1))}
    assert len(pairs) == len(wanted)
    assert {frozenset((pair.token0, pair.token1)) for pair in pairs} == wanted
    for pair in pairs:
        for token_in, token_out in ((pair.token0, pair.token1), (pair.token1, pair.token0)):
            bought = pair.amount_out(token_in, pair.spot_liquidity(token_in) // 1000)
            assert 0 < bought < pair.spot_liquidity(token_out)


@pytest.mark.parametrize("pool", pools(), ids=lambda pool: pool.venue)
def test_spot_liquidity_goes_with_the_price(pool: Pool) -> None:
    """Of pools that keep a product it makes the marginal price; nowhere can more be bought than a balance."""
    for pair in pairs_of(pool):
        held = {token: pair.spot_liquidity(token) for token in (pair.token0, pair.token1)}
        assert min(held.values()) > 0
        if pool.venue in (VenueKind.UNISWAP_V2, VenueKind.UNISWAP_V3, VenueKind.UNISWAP_V4):
            price = pair.marginal_price(pair.token0) / Fraction(10**6 - pair.fee_pips, 10**6)
            assert float(price) == pytest.approx(held[pair.token1] / held[pair.token0], rel=1e-9)
        with pytest.raises(InputError, match=r"^token: "):
            pair.spot_liquidity(address(99))
        with pytest.raises(InputError, match=r"^token_in: "):
            pair.swap_detail(address(99))


def test_a_pool_without_a_price_has_no_spot_liquidity() -> None:
    (state,) = (state for state in STATES if state["venue"] == "uniswap_v3")
    pool = load({**state, "sqrt_price_x96": 0, "tick": 0, "liquidity": 0, "ticks": []})
    assert pool.spot_liquidity(pool.token0) == pool.spot_liquidity(pool.token1) == 0


def test_what_a_swap_needs() -> None:
    found = {pool.venue: pairs_of(pool)[-1] for pool in pools()}
    for kind in ("uniswap_v2", "uniswap_v3", "pancakeswap_v3", "solidly_volatile", "solidly_stable"):
        assert found[VenueKind(kind)].swap_detail(TOKEN0) is None
    v4 = found[VenueKind.UNISWAP_V4]
    assert v4.swap_detail(TOKEN1) == V4Key(v4.address, ZERO_ADDRESS, TOKEN1, 3000, 60, ZERO_ADDRESS)
    for kind, byte in (("balancer_v2_weighted", "08"), ("balancer_v2_stable", "09")):
        vault = "0xBA12222222228d8Ba445958a75a0704d566BF2C8"
        assert found[VenueKind(kind)].swap_detail(TOKEN2) == BalancerV2Id(vault, "0x" + byte * 32)  # type: ignore[arg-type]
    for kind in ("balancer_v3_weighted", "balancer_v3_stable"):
        vault = "0xbA1333333333a1BA1108E8412f11850A5C319bA9"
        assert found[VenueKind(kind)].swap_detail(TOKEN2) == BalancerV3Vault(vault)  # type: ignore[arg-type]
    for kind, interface in (("curve_stableswap", CurveInterface.INT128), ("curve_tricrypto", CurveInterface.UINT256)):
        # the last pair is the second and the third token
        assert found[VenueKind(kind)].swap_detail(TOKEN0) == CurveCoins(1, 2, interface)
        assert found[VenueKind(kind)].swap_detail(TOKEN2) == CurveCoins(2, 1, interface)


@pytest.mark.parametrize(
    ("change", "interface"),
    [
        ({"variant": "v1"}, "int128"),
        ({"variant": "v2"}, "int128"),
        ({"variant": "ng"}, "received"),
        ({"variant": "ng", "interface": "int128"}, "int128"),
    ],
)
def test_the_interface_of_a_stableswap_pool_follows_from_its_variant(change: dict[str, Any], interface: str) -> None:
    pool = load({**STABLESWAP, **change})
    assert pool.to_json()["interface"] == interface
    assert load(pool.to_json()) == pool


@pytest.mark.parametrize("change", [{"interface": "received"}, {"variant": "ng", "interface": "uint256"}])
def test_an_interface_that_the_variant_does_not_have_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(InputError, match=r"^interface: "):
        load({**STABLESWAP, **change})
