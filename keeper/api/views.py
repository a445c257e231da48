"""From rows of the ledger and fields of the status hash to what the routes answer."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from uuid import UUID

from redis.exceptions import RedisError

from keeper.api import schemas
from keeper.store.audit import ControlAction
from keeper.store.bus import STATUS, connect
from keeper.store.documents import chain_name
from keeper.store.queries import LedgerView, Row

Status = Mapping[str, str]


async def keeper_status(redis_url: str) -> Status | None:
    """The status hash, empty when no keeper runs; None when the bus is away."""
    client = connect(redis_url)
    try:
        found = await client.hgetall(STATUS)
        return {str(name): str(value) for name, value in found.items()}
    except (RedisError, OSError):
        return None
    finally:
        await client.aclose()


def moment(nanoseconds: str | int) -> datetime | None:
    """Unix nanoseconds as a time; None for what is no such number."""
    try:
        return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=int(nanoseconds) // 1_000)
    except (ValueError, OverflowError):
        return None


def keeper(status: Status | None) -> schemas.Keeper:
    known = status or {}

    def number(name: str) -> int | None:
        text = known.get(name, "")
        return int(text) if text.isdecimal() and len(text) < 20 else None

    try:
        run = UUID(known.get("run_id", ""))
    except ValueError:
        run = None
    return schemas.Keeper(
        up=bool(known),
        bus_up=status is not None,
        state=known.get("state"),
        cause=known.get("cause"),
        since=moment(known.get("since", "")),
        mode=known.get("mode"),
        network=known.get("network"),
        chain_id=number("chain_id"),
        run_id=run,
        head_block=number("head_block"),
        head_seen_at=moment(known.get("seen_at", "")),
        beat_at=moment(known.get("beat_at", "")),
        executor=known.get("executor"),
    )


async def stats(view: LedgerView, run: UUID | None, status: Status | None) -> schemas.Stats:
    totals = await view.totals(run)
    accuracy = await view.accuracy(run)
    return schemas.Stats(
        run_id=run,
        keeper=keeper(status),
        opportunities=totals.opportunities,
        submitted=totals.submitted,
        landed=totals.landed,
        lost=totals.lost,
        reverted=totals.reverted,
        win_rate_bps=totals.win_rate_bps,
        net_wei=str(totals.net),
        gas_wei=str(totals.gas),
        predicted_wei=str(accuracy.predicted),
        realised_wei=str(accuracy.realised),
        mismatched=accuracy.mismatched,
    )


async def mission_control(view: LedgerView, run: UUID | None, status: Status | None) -> schemas.MissionControl:
    block = await view.latest_block(run)
    return schemas.MissionControl(
        stats=await stats(view, run, status),
        fates=await view.fate_counts(run),
        reasons=[schemas.Reason(**row) for row in await view.reason_counts(run)],
        profit_curve=[schemas.CurvePoint(at=at, net_wei=str(net)) for at, net in await view.profit_curve(run)],
        outcomes=[
            schemas.Outcome(
                at=row["timestamp"],
                block_number=row["block_number"],
                strategy=row["strategy"],
                predicted_wei=row["predicted_wei"],
                realised_wei=row["realised_wei"],
            )
            for row in await view.landed_outcomes(run)
        ],
        strategies=[_contribution(row) for row in await view.contributions(run, "strategy")],
        lenders=[_contribution(row) for row in await view.contributions(run, "lender")],
        chains=[_contribution(row) for row in await view.contributions(run, "chain")],
        latest_block=None if block is None else schemas.Block(base_fee_wei=block["base_fee"], **block),
        runs=[schemas.Run(**row) for row in await view.runs()],
    )


def _contribution(row: Row) -> schemas.Contribution:
    return schemas.Contribution(net_wei=row["net"], gas_wei=row["gas"], **row)


def opportunity(row: Row) -> schemas.OpportunityItem:
    return schemas.OpportunityItem(chain=chain_name(row["chain_id"]), predicted_gross_wei=row["predicted_gross"], **row)


def trade(row: Row) -> schemas.TradeItem:
    return schemas.TradeItem(
        profit_wei=row["profit"], gas_cost_wei=row["gas_cost"], loan_amount_wei=row["loan_amount"], **row
    )


def life(row: Row) -> schemas.OpportunityLife:
    steps = [schemas.FateStep(at=moment(step["at_ns"]), **step) for step in row["fates"]]
    return schemas.OpportunityLife(
        opportunity=opportunity(row), fates=steps, trades=[trade(one) for one in row["trades"]]
    )


def action(row: ControlAction) -> schemas.ControlResult:
    return schemas.ControlResult(
        id=row.id,
        idempotency_key=row.idempotency_key,
        action=row.action,
        actor=row.actor,
        role=row.role,
        requested_at=row.requested_at,
        finished_at=row.finished_at,
        result=row.result,
        request=row.request,
        details=row.details,
    )
