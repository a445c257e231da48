"""Made-up but consistent records for tests of the ledger and of the panel."""

from __future__ import annotations

import random
import time
from dataclasses import dataclass, field
from uuid import UUID

from keeper.domain.chain import BlockHeader
from keeper.domain.opportunity import Fate, FateChange, Opportunity, RiskClass
from keeper.domain.plan import AtomicPlan, Financing, Prediction
from keeper.domain.protocols import BlockReport
from keeper.domain.route import Hop, Route
from keeper.domain.token import LenderKind, Token, VenueKind
from keeper.domain.trade import Trade, TradeStatus
from keeper.domain.units import ZERO_ADDRESS, Address, Hash32, Wei, to_address
from keeper.store.recorder import PostgresRecorder, Run, new_run

WETH = Token(to_address("0xC02aaA39b223FE8D0A0e5C4F27eAD9083C756Cc2", "weth"), "WETH", 18)
USDC = Token(to_address("0xA0b86991c6218b36c1d19D4a2e9Eb0cE3606eB48", "usdc"), "USDC", 6)
WBTC = Token(to_address("0x2260FAC5E5542a773Aa44fBCfeDf7C193bc2C599", "wbtc"), "WBTC", 8)
DAI = Token(to_address("0x6B175474E89094C44Da98b954EedeAC495271d0F", "dai"), "DAI", 18)
TOKENS = (WETH, USDC, WBTC, DAI)

_DEXES = ("uniswap_v2", "sushiswap", "uniswap_v3")
_FEE_PIPS = {"uniswap_v2": 3000, "sushiswap": 3000, "uniswap_v3": 500}
EXECUTOR = to_address("0x00000000000000000000000000000000e4ec0701", "executor")


def replica_run(seed: int | None = 7) -> Run:
    return new_run(mode="replica", network="replica", chain_id=1, version="0.1.0", seed=seed)


def address(number: int) -> Address:
    return to_address(f"0x{number:040x}", "address")


def hash32(draw: random.Random) -> Hash32:
    return Hash32("0x" + draw.randbytes(32).hex())


def route(draw: random.Random, profit: int, *, hops: int = 2, amount_in: int = 5 * 10**18) -> Route:
    """A loop from WETH over other tokens back to WETH that earns ``profit`` wei."""
    middle = draw.sample((USDC, WBTC, DAI), hops - 1)
    path = (WETH, *middle, WETH)
    amounts = [amount_in, *(draw.randrange(1, 15_000) * 10**token.decimals for token in middle), amount_in + profit]
    pools = draw.sample(range(1, 1 << 60), hops)
    return Route(
        tuple(
            Hop(
                pool=address(pools[index]),
                venue=VenueKind.UNISWAP_V3 if dex == "uniswap_v3" else VenueKind.UNISWAP_V2,
                dex=dex,
                token_in=path[index].address,
                token_out=path[index + 1].address,
                zero_for_one=path[index].address.lower() < path[index + 1].address.lower(),
                amount_in=amounts[index],
                amount_out=amounts[index + 1],
                fee_pips=_FEE_PIPS[dex],
            )
            for index, dex in enumerate(draw.choices(_DEXES, k=hops))
        )
    )


def opportunity(draw: random.Random, profit: int = 10**16, *, block_number: int = 24_000_000) -> Opportunity:
    hops = draw.choice((2, 2, 3))
    return Opportunity(
        strategy="cross_dex" if hops == 2 else "triangular",
        chain_id=1,
        block_number=block_number,
        route=route(draw, profit, hops=hops),
        risk=draw.choice((RiskClass.LOW, RiskClass.LOW, RiskClass.MEDIUM)),
        found_after_ns=draw.randrange(200_000, 3_000_000),
        id=UUID(int=draw.getrandbits(128), version=4),
    )


def trade(
    draw: random.Random,
    found: Opportunity,
    status: TradeStatus = TradeStatus.LANDED,
    *,
    off_by: int = 0,
) -> Trade:
    """The outcome of ``found``; a landed one realises its prediction plus ``off_by`` wei."""
    gross = Wei(found.route.gross_profit)
    prediction = Prediction(gross, draw.randrange(180_000, 260_000), Wei(draw.randrange(10**9, 9 * 10**9)), Wei(10**9))
    lender = draw.choice(list(LenderKind))
    plan = AtomicPlan(
        opportunity=found,
        financing=Financing(lender, found.route.hops[0].pool, found.route.amount_in, 0, "cheapest for this route"),
        to=EXECUTOR,
        data=b"",
        min_profit=gross * 9 // 10,
        target_block=found.block_number + 1,
        gas_limit=prediction.gas_used * 5 // 4,
        max_fee=Wei(20 * 10**9),
        prediction=prediction,
    )
    return Trade(
        plan=plan,
        status=status,
        transaction_hash=hash32(draw),
        block_number=None if status is TradeStatus.LOST else found.block_number + 1,
        gross=Wei(gross + off_by) if status is TradeStatus.LANDED else Wei(0),
        gas_used=0 if status is TradeStatus.LOST else prediction.gas_used,
        gas_cost=Wei(0) if status is TradeStatus.LOST else prediction.gas_cost,
        reason={TradeStatus.LANDED: "", TradeStatus.LOST: "outbid", TradeStatus.REVERTED: "bug:Unprofitable()"}[status],
    )


def change(found: Opportunity, fate: Fate, reason: str = "", *, at: int | None = None) -> FateChange:
    return FateChange(found.id, fate, reason, time.time_ns() if at is None else at, {})


def block_report(draw: random.Random, number: int, opportunities: int, *, seen_at: int | None = None) -> BlockReport:
    seen = time.time_ns() if seen_at is None else seen_at
    header = BlockHeader(
        number=number,
        hash=hash32(draw),
        parent_hash=hash32(draw),
        timestamp=seen // 10**9,
        base_fee=Wei(draw.randrange(10**9, 9 * 10**9)),
        gas_limit=30_000_000,
        gas_used=12_000_000,
        coinbase=ZERO_ADDRESS,
    )
    return BlockReport(1, header, seen, draw.randrange(2, 12), opportunities, {"book": 210_000, "search": 900_000})


@dataclass
class Recorded:
    """What `record_blocks` wrote, to be compared with what the database says."""

    opportunities: dict[UUID, Opportunity] = field(default_factory=dict)
    fates: dict[UUID, list[Fate]] = field(default_factory=dict)
    trades: list[Trade] = field(default_factory=list)
    blocks: int = 0


async def record_blocks(
    recorder: PostgresRecorder, blocks: int, *, seed: int = 7, first: int = 24_000_000, off_by: int = 0
) -> Recorded:
    """Record ``blocks`` blocks of everyday life: most opportunities are filtered, some land, few are lost or revert."""
    draw = random.Random(seed)
    recorded = Recorded()
    await recorder.tokens(1, TOKENS)
    for number in range(first, first + blocks):
        found = [
            opportunity(draw, draw.randrange(10**14, 6 * 10**16), block_number=number)
            for _ in range(draw.randrange(1, 7))
        ]
        changes: list[FateChange] = []
        trades: list[Trade] = []
        for one in found:
            outcome = draw.choices(("filtered", "rejected", "landed", "lost", "reverted"), (55, 8, 25, 9, 3))[0]
            steps = {
                "filtered": [(Fate.FILTERED, "below_minimum_profit")],
                "rejected": [(Fate.SIMULATED, "ok"), (Fate.REJECTED, draw.choice(("gas_share", "shares_a_pool")))],
                "landed": [(Fate.SIMULATED, "ok"), (Fate.SUBMITTED, "local_relay"), (Fate.LANDED, "")],
                "lost": [(Fate.SIMULATED, "ok"), (Fate.SUBMITTED, "local_relay"), (Fate.LOST, "outbid")],
                "reverted": [(Fate.SIMULATED, "ok"), (Fate.SUBMITTED, "local_relay"), (Fate.REVERTED, "bug")],
            }[outcome]
            changes += [change(one, fate, reason) for fate, reason in steps]
            if outcome in TradeStatus._value2member_map_:
                trades.append(trade(draw, one, TradeStatus(outcome), off_by=off_by))
            recorded.opportunities[one.id] = one
            recorded.fates[one.id] = [Fate.DETECTED, *(fate for fate, _ in steps)]
        await recorder.opportunities(found)
        await recorder.fates(changes)
        await recorder.trades(trades)
        await recorder.block(block_report(draw, number, len(found)))
        recorded.trades += trades
        recorded.blocks += 1
    return recorded
