"""What each key figure means, as code over records; `keeper.store.performance` has the same figures by SQL alone.

A *settled* trade is one that the chain included, landed or reverted: it has a profit, which is negative when gas was
more than the gross. Lost ones cost nothing and earn nothing; they count as executed, not as settled.

Flash loans tie up no capital, so the returns of the ratios are amounts, wei per trade or wei per day; a ratio does not
depend on their scale. The risk-free rate and the target are zero.

- average_profit: total profit per settled trade, rounded down.
- win_rate: landed per executed.
- profit_factor: sum of the profits above zero over the sum of those below, sign dropped.
- max_drawdown: the deepest fall of the cumulated profit below its highest value so far, which begins at zero.
- break_even_win_rate: share of winners among winners and losers at which their averages would cancel out,
  ``L / (W + L)`` with the average win W and the average loss L; 0 without losers, 1 without winners.
- break_even_gross: gross profit that a landed trade needs so that landed trades together pay for all gas, rounded up.
- sharpe: mean over the standard deviation (n - 1) of the profits of settled trades.
- sortino: mean over the downside deviation, the root of the mean of ``min(profit, 0)**2`` over all settled trades.
- sharpe_annual, sortino_annual: the same over the profits of UTC days, from the first day with a settled trade to the
  last, days without one as zero; times the root of 365, since chains never close.

None where a ratio would divide by zero, and with fewer than two returns for those that need a deviation.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC
from fractions import Fraction
from itertools import accumulate

from keeper.domain.performance import EVERYTHING, Grouping, OpportunityRecord, Performance, TradeRecord
from keeper.domain.trade import TradeStatus

DAYS_A_YEAR = 365
LOST_RACE = "lost_race"
"""The reason of a lost trade whose pools somebody else's transaction took."""


def sharpe_ratio(returns: Sequence[int], periods: int) -> float | None:
    """Mean over sample standard deviation; ``periods`` counts the returns, those of zero that are left out included."""
    first, second = sum(returns), sum(value * value for value in returns)
    spread = periods * second - first * first  # variance * n * (n - 1)
    if periods < 2 or spread == 0:
        return None
    return math.copysign(math.sqrt(Fraction(first * first * (periods - 1), periods * spread)), first)


def sortino_ratio(returns: Sequence[int], periods: int) -> float | None:
    """Mean over downside deviation; ``periods`` as in `sharpe_ratio`."""
    first, downside = sum(returns), sum(min(value, 0) ** 2 for value in returns)
    if periods < 2 or downside == 0:
        return None
    return math.copysign(math.sqrt(Fraction(first * first, periods * downside)), first)


def max_drawdown(profits: Iterable[int]) -> int:
    """The deepest fall below the highest cumulated value so far; ``profits`` in order of time."""
    deepest = peak = 0
    for value in accumulate(profits):
        peak = max(peak, value)
        deepest = max(deepest, peak - value)
    return deepest


def performance(trades: Sequence[TradeRecord], opportunities: int) -> Performance:
    """The figures of ``trades``, in any order."""
    settled = sorted((one for one in trades if one.status is not TradeStatus.LOST), key=lambda one: (one.at, one.id))
    profits = [one.profit for one in settled]
    wins, losses = [value for value in profits if value > 0], [-value for value in profits if value < 0]
    total, win, loss = sum(profits), sum(wins), sum(losses)
    statuses = Counter(one.status for one in trades)
    successful, gas = statuses[TradeStatus.LANDED], sum(one.gas_cost for one in trades)
    by_day: Counter[int] = Counter()
    for one in settled:
        by_day[one.at.astimezone(UTC).toordinal()] += one.profit
    days = max(by_day) - min(by_day) + 1 if by_day else 0
    return Performance(
        opportunities=opportunities,
        executed=len(trades),
        successful=successful,
        lost=statuses[TradeStatus.LOST],
        lost_races=sum(one.status is TradeStatus.LOST and one.reason == LOST_RACE for one in trades),
        reverted=statuses[TradeStatus.REVERTED],
        total_profit=total,
        average_profit=total // len(settled) if settled else None,
        gross_win=win,
        gross_loss=loss,
        gas_burned=gas,
        gas_reverted=sum(one.gas_cost for one in trades if one.status is TradeStatus.REVERTED),
        max_drawdown=max_drawdown(profits),
        win_rate=successful / len(trades) if trades else None,
        profit_factor=float(Fraction(win, loss)) if loss else None,
        break_even_win_rate=_break_even(win, len(wins), loss, len(losses)),
        break_even_gross=-(-gas // successful) if successful else None,
        sharpe=sharpe_ratio(profits, len(profits)),
        sortino=sortino_ratio(profits, len(profits)),
        sharpe_annual=_annual(sharpe_ratio(list(by_day.values()), days)),
        sortino_annual=_annual(sortino_ratio(list(by_day.values()), days)),
    )


_TRADE_KEYS: Mapping[Grouping, Callable[[TradeRecord], str]] = {
    Grouping.STRATEGY: lambda one: one.strategy,
    Grouping.CHAIN: lambda one: one.chain,
    Grouping.LENDER: lambda one: one.lender,
    Grouping.DEX: lambda one: one.dex,
    Grouping.BUILDER: lambda one: one.builder,
}
_OPPORTUNITY_KEYS: Mapping[Grouping, Callable[[OpportunityRecord], str]] = {
    Grouping.STRATEGY: lambda one: one.strategy,
    Grouping.CHAIN: lambda one: one.chain,
    Grouping.DEX: lambda one: one.dex,
}


def grouped_performance(
    trades: Sequence[TradeRecord], opportunities: Sequence[OpportunityRecord], grouping: Grouping | None = None
) -> dict[str, Performance]:
    """The figures of each group by its name; one group `EVERYTHING` without a grouping."""
    if grouping is None:
        return {EVERYTHING: performance(trades, len(opportunities))}
    members: defaultdict[str, list[TradeRecord]] = defaultdict(list)
    for trade in trades:
        members[_TRADE_KEYS[grouping](trade)].append(trade)
    if grouping in _OPPORTUNITY_KEYS:
        counts = Counter(map(_OPPORTUNITY_KEYS[grouping], opportunities))
    else:
        counts = Counter({name: len({one.opportunity_id for one in group}) for name, group in members.items()})
    return {name: performance(members.get(name, ()), counts[name]) for name in sorted({*members, *counts})}


def _break_even(win: int, wins: int, loss: int, losses: int) -> float | None:
    if wins == losses == 0:
        return None
    return float(Fraction(loss * wins, win * losses + loss * wins)) if wins and losses else float(wins == 0)


def _annual(ratio: float | None) -> float | None:
    return None if ratio is None else ratio * math.sqrt(DAYS_A_YEAR)
