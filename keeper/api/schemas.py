"""What the routes answer. Amounts of money are decimal strings of wei: exact in every language's JSON."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from pydantic import BaseModel, BeforeValidator, Field

from keeper.domain.opportunity import Fate
from keeper.domain.trade import TradeStatus

Wei = Annotated[
    str,
    BeforeValidator(lambda value: str(value) if isinstance(value, int) else value),
    Field(pattern=r"^-?[0-9]+$", description="wei, decimal", examples=["123456789000000000"]),
]
Count = Annotated[int, Field(ge=0, examples=[42])]
Cursor = Annotated[
    str | None,
    Field(description="pass it as `cursor` for the next older page; null on the last", examples=["WyIyMDI2LTAx"]),
]


class Run(BaseModel):
    """One start of the keeper."""

    id: UUID
    started_at: datetime
    ended_at: datetime | None = Field(description="null while it runs, and after a crash")
    mode: str = Field(examples=["replica"])
    network: str = Field(examples=["replica"])
    chain_id: int = Field(examples=[1])
    seed: int | None
    version: str = Field(examples=["0.1.0"])


class Keeper(BaseModel):
    """What the keeper says about itself on the bus; nulls while it does not run or the bus is away."""

    up: bool
    bus_up: bool
    state: str | None = Field(examples=["trading", "paused", "halted"])
    cause: str | None = Field(description="why it is paused or halted", examples=["pause by night-watch: maintenance"])
    since: datetime | None = Field(description="when this state began")
    mode: str | None = Field(examples=["replica", "paper", "live"])
    network: str | None = Field(examples=["replica"])
    chain_id: int | None = Field(examples=[1])
    run_id: UUID | None
    head_block: int | None = Field(examples=[24000039])
    head_seen_at: datetime | None = Field(description="when the keeper heard of the head block")
    beat_at: datetime | None = Field(description="last heartbeat")
    executor: str | None = Field(examples=["0x00000000000000000000000000000000e4EC0701"])


class Stats(BaseModel):
    """Aggregated figures, all read at one moment."""

    run_id: UUID | None = Field(description="the run they are of; null for all runs")
    keeper: Keeper
    opportunities: Count
    submitted: Count
    landed: Count
    lost: Count
    reverted: Count
    win_rate_bps: int | None = Field(
        description="landed per finished, basis points; null before the first has finished"
    )
    net_wei: Wei = Field(description="realised profit of all trades after gas")
    gas_wei: Wei
    predicted_wei: Wei = Field(description="of landed trades")
    realised_wei: Wei = Field(description="of landed trades")
    mismatched: Count = Field(description="landed trades whose profit differs from the prediction")


class Reason(BaseModel):
    fate: Fate
    reason: str = Field(examples=["below_minimum_profit"])
    count: Count


class CurvePoint(BaseModel):
    at: datetime
    net_wei: Wei = Field(description="cumulative net profit after this trade")


class Outcome(BaseModel):
    at: datetime
    block_number: int | None
    strategy: str
    predicted_wei: Wei
    realised_wei: Wei


class Contribution(BaseModel):
    name: str = Field(examples=["cross_dex"])
    trades: Count
    landed: Count
    lost: Count
    reverted: Count
    net_wei: Wei
    gas_wei: Wei


class Block(BaseModel):
    number: int
    hash: str
    timestamp: datetime
    base_fee_wei: Wei
    seen_at: datetime
    changed_pools: Count
    opportunities: Count
    stage_ns: dict[str, int] = Field(examples=[{"book": 210000, "search": 900000}])


class MissionControl(BaseModel):
    """Everything the overview shows, read at one moment."""

    stats: Stats
    fates: dict[Fate, Count]
    reasons: list[Reason] = Field(description="commonest reasons why opportunities did not become profit")
    profit_curve: list[CurvePoint]
    outcomes: list[Outcome] = Field(description="latest landed trades, oldest first")
    strategies: list[Contribution]
    lenders: list[Contribution]
    chains: list[Contribution]
    latest_block: Block | None
    runs: list[Run] = Field(description="the latest runs, newest first")


class OpportunityItem(BaseModel):
    """An opportunity and its present fate."""

    id: UUID
    run_id: UUID
    chain: str = Field(examples=["ethereum"])
    block_number: int
    strategy: str = Field(examples=["triangular"])
    risk: str = Field(examples=["LOW"])
    detected_at: datetime
    found_after_ns: int
    fate: Fate
    reason: str = Field(examples=["outbid"])
    predicted_gross_wei: Wei = Field(description="before loan fee, gas and bid")
    route: dict[str, Any]
    updated_at: datetime


class OpportunityPage(BaseModel):
    items: list[OpportunityItem] = Field(description="newest first")
    next_cursor: Cursor


class FateStep(BaseModel):
    seq: int
    fate: Fate
    reason: str
    at: datetime
    details: dict[str, Any]


class TradeItem(BaseModel):
    """A transaction that was sent and what the chain says became of it."""

    id: UUID
    run_id: UUID
    opportunity_id: UUID
    timestamp: datetime
    chain: str = Field(examples=["ethereum"])
    strategy: str = Field(examples=["cross_dex"])
    status: TradeStatus
    profit_wei: Wei = Field(description="net: after gas")
    transaction_hash: str
    block_number: int | None
    gas_cost_wei: Wei
    loan_amount_wei: Wei
    predicted_wei: Wei
    realised_wei: Wei
    lender: str = Field(examples=["balancer_v2"])
    details: dict[str, Any]


class OpportunityLife(BaseModel):
    """An opportunity from its detection to its end."""

    opportunity: OpportunityItem
    fates: list[FateStep] = Field(description="oldest first")
    trades: list[TradeItem]


class TradePage(BaseModel):
    items: list[TradeItem] = Field(description="newest first")
    next_cursor: Cursor
    page: int | None = Field(description="the number asked for; null when paged by cursor", examples=[1])
    as_of: str | None = Field(description="pass it with the next page numbers, so that new trades move none of them")
    total: int | None = Field(description="trades that fit, counted up to 10,000; null when paged by cursor")
    total_is_exact: bool | None = Field(description="false when there are more than `total`")


class Configuration(BaseModel):
    """Settings in force in the process that answers."""

    settings: dict[str, Any] = Field(
        description="by name; a secret one shows only whether it is set",
        examples=[{"mode": "paper", "rpc_url": "(set, not shown)", "min_profit_wei": "100000000000000"}],
    )


class Health(BaseModel):
    instance: str = Field(description="changes with each start of this process")
    version: str = Field(examples=["0.1.0"])


class Check(BaseModel):
    ok: bool
    detail: str = Field(examples=["answers", "no heartbeat"])


class Readiness(BaseModel):
    ready: bool
    database: Check
    bus: Check
    keeper: Check


class ControlRequest(BaseModel):
    """Why it is done; it is recorded."""

    model_config = {"extra": "forbid"}

    reason: str = Field("", max_length=500, examples=["maintenance of the node"])


class ResumeRequest(ControlRequest):
    release_halt: bool = Field(False, strict=True, description="also release the kill switch")


class ControlResult(BaseModel):
    """A control action as it is recorded."""

    id: UUID
    idempotency_key: str
    action: str = Field(examples=["pause"])
    actor: str = Field(description="name of the token", examples=["night-watch"])
    role: str = Field(examples=["operator"])
    requested_at: datetime
    finished_at: datetime | None
    result: str | None = Field(
        description="`done`, `refused`, `unanswered`, `failed`; null while under way", examples=["done"]
    )
    request: dict[str, Any]
    details: dict[str, Any] = Field(
        description="`state` and `before`; `in_flight`: transactions that may still land",
        examples=[{"state": "paused", "before": "trading", "in_flight": 2}],
    )


class AuditPage(BaseModel):
    items: list[ControlResult] = Field(description="newest first")
    next_cursor: Cursor
