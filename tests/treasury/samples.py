"""Outcomes and drawn amounts for the tests of the treasury."""

from __future__ import annotations

import random
from dataclasses import replace

from hypothesis import strategies as st

from keeper.domain.trade import Trade, TradeStatus
from keeper.domain.units import Wei, to_address
from keeper.treasury.ledger import Settled
from tests.store import samples

BOOK = "ethereum:mainnet"
WETH = samples.WETH.address
BUILDER = to_address("0x4838B106FCe9647Bdf1E7877BF73cE8B0BAD5f97", "builder")

wei = st.integers(0, 2**100)
rates = st.integers(0, 10_000)


def trade_of(
    gross: int,
    gas_used: int = 200_000,
    price: int = 3 * 10**9,
    *,
    status: TradeStatus = TradeStatus.LANDED,
    loan_fee: int = 0,
    seed: int = 1,
    block_number: int = 101,
) -> Trade:
    """An outcome with these figures; ``price`` is what each unit of gas cost, wei."""
    draw = random.Random(seed)
    found = samples.trade(draw, samples.opportunity(draw, block_number=block_number - 1), status)
    return replace(
        found,
        plan=replace(found.plan, financing=replace(found.plan.financing, fee=loan_fee)),
        gross=Wei(gross),
        gas_used=gas_used,
        gas_cost=Wei(gas_used * price),
    )


def settled_of(trade: Trade) -> Settled:
    settled = Settled.of(trade)
    assert settled is not None
    return settled


@st.composite
def trades(draw: st.DrawFn) -> Trade:
    """Transactions that the chain included: most landed, some reverted, with profits, losses and any fee."""
    status = draw(st.sampled_from([TradeStatus.LANDED, TradeStatus.LANDED, TradeStatus.REVERTED]))
    return trade_of(
        draw(wei) if status is TradeStatus.LANDED else 0,
        draw(st.integers(21_000, 2**24)),
        draw(st.integers(1, 10**13)),
        status=status,
        loan_fee=draw(wei),
        seed=draw(st.integers(0, 2**32)),
    )
