"""The JSON documents beside the columns: routes and trades in full, amounts as decimal strings."""

from __future__ import annotations

from typing import Any

from keeper.domain.route import Route
from keeper.domain.trade import Trade

CHAINS = {1: "ethereum", 10: "optimism", 137: "polygon", 8453: "base", 42161: "arbitrum"}


def chain_name(chain_id: int) -> str:
    """The name of a chain in the ``chain`` column; ``chain-<id>`` for one without a name here."""
    return CHAINS.get(chain_id, f"chain-{chain_id}")


def clean_text(text: str) -> str:
    """``text`` as PostgreSQL can hold it: NUL and lone surrogates, which a revert reason may carry, become U+FFFD."""
    return text.replace("\x00", "\ufffd").encode("utf-8", "surrogatepass").decode("utf-8", "replace")


def clean(value: Any) -> Any:
    """`clean_text` on every string of a JSON-ready value."""
    if isinstance(value, str):
        return clean_text(value)
    if isinstance(value, dict):
        return {clean_text(str(key)): clean(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [clean(item) for item in value]
    return value


def route_document(route: Route) -> dict[str, Any]:
    return {
        "token": route.token,
        "amount_in": str(route.amount_in),
        "amount_out": str(route.amount_out),
        "gross_profit": str(route.gross_profit),
        "hops": [
            {
                "pool": hop.pool,
                "venue": hop.venue.value,
                "dex": hop.dex,
                "token_in": hop.token_in,
                "token_out": hop.token_out,
                "zero_for_one": hop.zero_for_one,
                "amount_in": str(hop.amount_in),
                "amount_out": str(hop.amount_out),
                "fee_pips": hop.fee_pips,
            }
            for hop in route.hops
        ],
    }


def trade_document(trade: Trade) -> dict[str, Any]:
    """Everything about a trade that has no column of its own."""
    plan = trade.plan
    return {
        "chain_id": plan.opportunity.chain_id,
        "reason": trade.reason,
        "gross": str(trade.gross),
        "gas_used": trade.gas_used,
        "executor": plan.to,
        "target_block": plan.target_block,
        "gas_limit": plan.gas_limit,
        "max_fee": str(plan.max_fee),
        "min_profit": str(plan.min_profit),
        "prediction": {
            "gross": str(plan.prediction.gross),
            "gas_used": plan.prediction.gas_used,
            "base_fee": str(plan.prediction.base_fee),
            "priority_fee": str(plan.prediction.priority_fee),
            "builder_payment": str(plan.prediction.builder_payment),
        },
        "financing": {
            "kind": plan.financing.kind.value,
            "lender": plan.financing.lender,
            "amount": str(plan.financing.amount),
            "fee": str(plan.financing.fee),
            "reason": plan.financing.reason,
        },
        "route": route_document(plan.opportunity.route),
    }
