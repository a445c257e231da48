"""The base fee against its vectors and a node that mines; the bid and the gas limit against their definitions."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keeper.domain.units import Wei
from keeper.execution.gas import MAX_TRANSACTION_GAS, GasLimitExceeded, gas_limit, next_base_fee, priority_fee
from tests.execution.site import GWEI, RIVAL, chain
from tests.market.chain import header

GUZZLER = "0x" + "00" * 18 + "6a5e"


@pytest.mark.parametrize(
    ("used", "expected"),
    [
        (10_000_000, 1_000_000_000),
        (9_000_000, 987_500_000),
        (11_000_000, 1_012_500_000),
        (20_000_000, 1_125_000_000),
        (0, 875_000_000),
    ],
)
def test_base_fee_vectors(used: int, expected: int) -> None:
    parent = replace(header(1), base_fee=Wei(10**9), gas_limit=20_000_000, gas_used=used)
    assert next_base_fee(parent) == expected


def test_base_fee_rises_by_at_least_one_wei() -> None:
    assert next_base_fee(replace(header(1), base_fee=Wei(7), gas_limit=30_000_000, gas_used=15_000_001)) == 8
    assert next_base_fee(replace(header(1), base_fee=Wei(7), gas_limit=30_000_000, gas_used=14_999_999)) == 7


async def test_base_fee_is_what_the_node_mines(tmp_path: Path) -> None:
    """Blocks from empty to full, each with a random base fee before it."""
    draw = random.Random(1559)
    # burns gas in a loop until less is left than calldata asks for: PUSH0 CALLDATALOAD GAS GT PUSH0 JUMPI STOP
    code = "0x5b" + "5f35" + "5a" + "11" + "5f" + "57" + "00"
    full = empty = 0
    async with chain(tmp_path) as site:
        await site.rpc("anvil_setCode", GUZZLER, code)
        for _ in range(25):
            base = draw.choice([draw.randrange(1, 1000), draw.randrange(10**6, 10**12)])
            await site.rpc("anvil_setNextBlockBaseFeePerGas", hex(base))
            for _ in range(draw.randrange(0, 5)):
                keep = draw.randrange(0, 15_000_000)
                data = "0x" + keep.to_bytes(32, "big").hex()
                fees = {"maxFeePerGas": hex(10**13), "maxPriorityFeePerGas": hex(GWEI), "gas": hex(MAX_TRANSACTION_GAS)}
                await site.rpc("eth_sendTransaction", {"from": RIVAL, "to": GUZZLER, "data": data, **fees})
            parent = await site.mine()
            assert parent.base_fee == base
            full += parent.gas_used > parent.gas_limit // 2
            empty += parent.gas_used < parent.gas_limit // 2
            assert (await site.mine()).base_fee == next_base_fee(parent)
    assert full > 2
    assert empty > 2


@settings(deadline=None)
@given(
    gross=st.integers(0, 10**24),
    gas=st.integers(21_000, 10**7),
    base=st.integers(0, 10**13),
    bps=st.integers(0, 9_999),
)
def test_bid_is_the_share_rounded_down(gross: int, gas: int, base: int, bps: int) -> None:
    bid = priority_fee(gross, gas, base, bps)
    left = gross - gas * base
    if left <= 0:
        assert bid == 0
        return
    assert bid * gas * 10_000 <= left * bps  # never more than the share
    assert (bid + 1) * gas * 10_000 > left * bps - 10_000  # and the most that is not
    assert gross - gas * (base + bid) > 0


@settings(deadline=None)
@given(st.integers(21_000, 20_000_000))
def test_gas_limit_covers_refunds_and_nested_calls(gas_used: int) -> None:
    spent = -(-gas_used * 5 // 4)  # refunds are at most a fifth of what was spent
    if spent * 13 // 10 > MAX_TRANSACTION_GAS:
        with pytest.raises(GasLimitExceeded, match="fewer hops"):
            gas_limit(gas_used)
        return
    limit = gas_limit(gas_used)
    assert limit <= MAX_TRANSACTION_GAS
    for _ in range(16):
        limit -= limit // 64  # what the next call in may take
    assert limit >= spent
