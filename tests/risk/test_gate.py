"""The risk gate: loan limit and the breaker on reverted transactions."""

from __future__ import annotations

from keeper.domain.opportunity import Fate
from keeper.domain.plan import AtomicPlan, Financing, Prediction
from keeper.domain.token import LenderKind
from keeper.domain.trade import Trade, TradeStatus
from keeper.domain.units import Hash32, Wei
from keeper.risk.gate import RiskGate
from tests.routes import loop, opportunity, pool_address


def outcome(status: TradeStatus) -> Trade:
    found = opportunity(loop((1, 2), 10**16))
    plan = AtomicPlan(
        opportunity=found,
        financing=Financing(LenderKind.FLASH_SWAP, pool_address(1), 10**18, 0, "free"),
        to=pool_address(99),
        data=b"",
        min_profit=10**16,
        target_block=101,
        gas_limit=300_000,
        max_fee=Wei(10**9),
        prediction=Prediction(Wei(10**16), 150_000, Wei(10**9), Wei(0)),
    )
    return Trade(plan, status, Hash32("0x" + "11" * 32), 101, Wei(0), 0, Wei(0))


def test_a_loan_above_the_limit_is_rejected_with_the_figures() -> None:
    gate = RiskGate(max_loan=10**18, max_reverts=3)
    small, large = opportunity(loop((1, 2), 1)), opportunity(loop((3, 4), 1, amount_in=10**18 + 1))
    allowed, rejected = gate.check([small, large])
    assert allowed == [small]
    assert (rejected[0].fate, rejected[0].reason) == (Fate.REJECTED, "loan_above_limit")
    assert rejected[0].details == {"loan": str(10**18 + 1), "limit": str(10**18)}


def test_reverts_in_a_row_lock_and_a_landed_trade_clears() -> None:
    gate = RiskGate(max_loan=10**18, max_reverts=2)
    gate.observe([outcome(TradeStatus.REVERTED)])
    gate.observe([outcome(TradeStatus.LANDED)])
    gate.observe([outcome(TradeStatus.REVERTED)])
    assert gate.locked is None
    gate.observe([outcome(TradeStatus.REVERTED)])
    assert gate.locked is not None
    _, rejected = gate.check([opportunity(loop((1, 2), 1))])
    assert rejected[0].reason == "breaker_reverts"


def test_lost_races_never_lock() -> None:
    gate = RiskGate(max_loan=10**18, max_reverts=1)
    gate.observe([outcome(TradeStatus.LOST)] * 100)
    assert gate.locked is None
