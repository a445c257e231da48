"""What the treasury tells an operator: key figures and balances, as tables and as JSON."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import timedelta
from typing import Any

from keeper.domain.booking import COIN, Account, Balance
from keeper.domain.errors import InputError
from keeper.domain.performance import Grouping, Performance, Window
from keeper.domain.units import WAD, Address
from keeper.store.performance import PerformanceView, opportunity_records, performance, trade_records
from keeper.treasury.kpis import grouped_performance

_UNITS = {"m": timedelta(minutes=1), "h": timedelta(hours=1), "d": timedelta(days=1), "w": timedelta(weeks=1)}
_LENGTH = re.compile(r"(\d{1,5})([mhdw])")
_AMOUNTS = frozenset(
    {
        *("total_profit", "average_profit", "gross_win", "gross_loss", "gas_burned", "gas_reverted"),
        *("max_drawdown", "break_even_gross"),
    }
)
DASH = "–"


def window_length(text: str) -> timedelta | None:
    """``30m``, ``24h``, ``7d``, ``2w``; None for ``all``; raises `InputError` for anything else."""
    if text == "all":
        return None
    found = _LENGTH.fullmatch(text)
    if found is None or int(found[1]) == 0:
        raise InputError("--window", text, "Give a number of m, h, d or w, such as 24h, or `all`.")
    return int(found[1]) * _UNITS[found[2]]


async def read_figures(
    url: str, window: Window, grouping: Grouping | None, *, check: bool = False
) -> dict[str, Performance]:
    """The figures by SQL.

    Args:
        check: compute them a second time in Python, from the records.

    Raises:
        InputError: the two differ, which means that one of them is wrong.
    """
    view = PerformanceView(url)
    try:
        async with view.reading() as connection:
            found = await performance(connection, window, grouping)
            if check:
                trades = await trade_records(connection, window)
                again = grouped_performance(trades, await opportunity_records(connection, window), grouping)
                for name in sorted({*found, *again}):
                    _require_same(name, found.get(name), again.get(name))
    finally:
        await view.close()
    return found


def _require_same(group: str, by_sql: Performance | None, by_code: Performance | None) -> None:
    left, right = (asdict(one) if one else {} for one in (by_sql, by_code))
    for name in sorted({*left, *right}):
        one, other = left.get(name), right.get(name)
        same = math.isclose(one, other, rel_tol=1e-9) if isinstance(one, float) and other is not None else one == other
        if not same:
            raise InputError(f"{name} of {group}", f"{one} by SQL, {other} by code", "Report it: they must agree.")


def figures_document(figures: Mapping[str, Performance]) -> dict[str, dict[str, Any]]:
    """JSON-ready: amounts as decimal strings under names that end in ``_wei``."""
    return {
        group: {
            (f"{name}_wei" if name in _AMOUNTS else name): (
                str(value) if name in _AMOUNTS and value is not None else value
            )
            for name, value in asdict(one).items()
        }
        for group, one in figures.items()
    }


def balances_document(balances: Sequence[Balance]) -> list[dict[str, Any]]:
    """JSON-ready: amounts as decimal strings, in the account's usual sense."""
    return [
        {"chain_id": one.chain_id, "token": one.token, "account": one.account.value, "amount": str(one.shown)}
        for one in balances
    ]


_COLUMNS = (
    *("opportunities", "executed", "successful", "lost_races", "reverted", "win_rate"),
    *("total_profit", "average_profit", "max_drawdown", "gas_burned", "profit_factor", "sharpe", "sortino"),
)


def show_figures(figures: Mapping[str, Performance]) -> None:
    """Print every figure of one group, or the main ones of several, a line for each group; money in ETH."""
    from rich.console import Console
    from rich.table import Table

    if len(figures) == 1:
        ((group, one),) = figures.items()
        table = Table("", group, box=None)
        for name in Performance.__dataclass_fields__:
            table.add_row(name, _cell(name, getattr(one, name)))
    else:
        table = Table("", *(name.replace("_", " ") for name in _COLUMNS), box=None)
        for group, one in figures.items():
            table.add_row(group, *(_cell(name, getattr(one, name)) for name in _COLUMNS))
    Console(stderr=True).print(table)


def show_balances(book: str, balances: Sequence[Balance], symbols: Mapping[tuple[int, str], tuple[str, int]]) -> None:
    """Print a line for each account and token; ``symbols`` has symbol and decimals by chain and address."""
    from rich.console import Console
    from rich.table import Table

    table = Table("account", "token", "amount", box=None, title=f"book {book}", title_justify="left")
    order = list(Account)
    for one in sorted(balances, key=lambda one: (order.index(one.account), one.token)):
        symbol, decimals = _token(one.chain_id, one.token, symbols)
        table.add_row(one.account.value, symbol, _decimal(one.shown, decimals))
    Console(stderr=True).print(table)


def _token(chain_id: int, token: Address, symbols: Mapping[tuple[int, str], tuple[str, int]]) -> tuple[str, int]:
    return ("coin", 18) if token == COIN else symbols.get((chain_id, token), (token, 0))


def _decimal(amount: int, decimals: int) -> str:
    """Every digit: these are books."""
    whole, rest = divmod(abs(amount), 10**decimals)
    fraction = f".{rest:0{decimals}d}" if decimals else ""
    return f"{'-' if amount < 0 else ''}{whole:,}{fraction}"


def _cell(name: str, value: float | None) -> str:
    if value is None:
        return DASH
    if name in _AMOUNTS:
        return f"{value / WAD:,.5f}"
    return f"{value:,}" if isinstance(value, int) else f"{value:.4f}"
