"""The reader of Curve's tricrypto, against a stand-in that answers as the contracts' interface says.

No contract of these pools is in any npm package; what their maths answers is held against recorded answers elsewhere.
"""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path

import pytest

from keeper.config import load_settings
from keeper.domain.token import VenueKind
from keeper.domain.units import Address
from keeper.market.specs import PoolSpec
from keeper.market.venues.curve_tricrypto import CurveTricryptoPool, Variant
from keeper.replica.abi import call_data
from keeper.replica.compile import Unit, compile_unit
from tests.conftest import RunningReplica
from tests.market.chain import address, word
from tests.market.test_curve_tricrypto import a_pool
from tests.market.test_readers import read
from tests.replica.chain import Chain

VIEWS = {"A": "a", "gamma": "gamma", "D": "d", "mid_fee": "mid_fee", "out_fee": "out_fee", "fee_gamma": "fee_gamma"}


@pytest.fixture(scope="module")
def code(replica: RunningReplica) -> bytes:
    unit = Unit(
        compiler="solc",
        entries=("FixedAnswers.sol",),
        roots={"": Path(__file__).with_name("solidity")},
        settings={"optimizer": {"enabled": True, "runs": 200}, "evmVersion": "cancun"},
    )
    return replica.background.run(compile_unit(unit, load_settings().home))["FixedAnswers"]


def stand_in(replica: RunningReplica, code: bytes, variant: Variant) -> CurveTricryptoPool:
    """A contract that answers the views of a pool of real tokens, and the pool."""
    chain = Chain(replica)
    place = chain.create(code)
    tokens = tuple(Address(replica.tokens[symbol]["address"]) for symbol in ("USDT", "WBTC", "WETH"))
    pool = replace(a_pool(variant), address=place, tokens=tokens)

    def tell(question: bytes, answer: int) -> None:
        chain.execute(place, "tell(bytes,bytes)", question, word(answer))

    for view, name in VIEWS.items():
        tell(call_data(f"{view}()"), getattr(pool, name))
    if variant is Variant.NG:
        tell(call_data("MATH()"), 77)
    for k in range(3):
        tell(call_data("coins(uint256)", k), int(tokens[k], 16))
        tell(call_data("balances(uint256)", k), pool.balances[k])
    for k in range(2):
        tell(call_data("price_scale(uint256)", k), pool.price_scale[k])
    for i, j in ((0, 1), (2, 0)):
        amount = pool.balances[i] // 50
        tell(call_data("get_dy(uint256,uint256,uint256)", i, j, amount), pool.get_dy(i, j, amount))
    return pool


@pytest.mark.parametrize("variant", list(Variant))
def test_a_pool_is_read(replica: RunningReplica, code: bytes, variant: Variant) -> None:
    pool = stand_in(replica, code, variant)
    spec = PoolSpec(pool.address, VenueKind.CURVE_TRICRYPTO, "curve")
    assert read(replica, [spec]) == {pool.key: pool}


def test_a_pool_that_answers_otherwise_is_left_out(
    replica: RunningReplica, code: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    pool = stand_in(replica, code, Variant.NG)
    specs = [PoolSpec(place, VenueKind.CURVE_TRICRYPTO, "curve") for place in (pool.address, address(99))]
    amount = pool.balances[2] // 50
    paid = pool.get_dy(2, 0, amount) + 1
    question = call_data("get_dy(uint256,uint256,uint256)", 2, 0, amount)
    Chain(replica).execute(pool.address, "tell(bytes,bytes)", question, word(paid))
    with caplog.at_level(logging.WARNING):
        assert read(replica, specs) == {}
    assert "get_dy answers otherwise" in caplog.text
    assert "a does not answer" in caplog.text
