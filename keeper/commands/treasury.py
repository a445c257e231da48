"""`keeper treasury`: the books and the key figures."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from keeper.commands.common import AS_JSON, print_json, read_settings, run_async

if TYPE_CHECKING:
    from uuid import UUID

    from keeper.domain.booking import Balance
    from keeper.domain.performance import Performance


@click.group()
def treasury() -> None:
    """The books: what was earned, what it cost, whose it is, and the key figures.

    A replica's chain ends with its run, so each run on the replica has a book of its own; a real network has one.
    The database is ORION_DATABASE_URL, or the private one of this home. docs/treasury.md explains the accounts.
    """


@treasury.command("kpis")
@click.option("--window", "length", default="all", show_default=True, help="How far back: 30m, 24h, 7d, 2w, or all.")
@click.option(
    "--by",
    "grouping",
    type=click.Choice(["strategy", "chain", "lender", "dex", "builder"]),
    help="The figures of each strategy, chain, lender, set of exchanges, or block builder.",
)
@click.option("--run", "run_id", type=click.UUID, help="Only this run of the keeper; default: all runs.")
@click.option("--check", is_flag=True, help="Compute them a second time from the records; exit 1 if they differ.")
@AS_JSON
def treasury_kpis(length: str, grouping: str | None, run_id: UUID | None, check: bool, as_json: bool) -> None:
    """Key figures: profit, win rate, Sharpe, Sortino, drawdown, profit factor, gas, lost races, break-even.

    \b
    keeper treasury kpis                          everything on record
    keeper treasury kpis --window 24h --by dex    yesterday's trades, for each set of exchanges

    Money is net of gas. docs/treasury.md defines each figure; a dash means that it is not defined here.
    """
    from datetime import UTC, datetime

    from keeper.domain.performance import Grouping, Window
    from keeper.ledger_access import opened_database
    from keeper.treasury import report

    now = datetime.now(UTC)

    async def read() -> tuple[Window, dict[str, Performance]]:
        back = report.window_length(length)
        window = Window(None if back is None else now - back, None, run_id)
        async with opened_database(read_settings()) as url:
            chosen = None if grouping is None else Grouping(grouping)
            return window, await report.read_figures(url, window, chosen, check=check)

    window, figures = run_async(read())
    report.show_figures(figures)
    if as_json:
        since = None if window.since is None else window.since.isoformat()
        document = {"since": since, "until": now.isoformat(), "by": grouping}
        print_json({**document, "groups": report.figures_document(figures)})


@treasury.command("balances")
@click.option("--network", help="Whose book; default: ORION_NETWORK.")
@click.option("--book", help="A book by its name; default: the latest of the network.")
@AS_JSON
def treasury_balances(network: str | None, book: str | None, as_json: bool) -> None:
    """Balances of every account: what is owned, spent, earned, reinvested and available for withdrawal."""
    from keeper.ledger_access import opened_database
    from keeper.store.journal import Journal
    from keeper.store.queries import Ledger
    from keeper.treasury import report

    settings = read_settings(network=network)

    async def read() -> tuple[str, list[Balance], dict[tuple[int, str], tuple[str, int]]]:
        async with opened_database(settings) as url:
            journal, ledger = Journal(url), Ledger(url)
            try:
                chosen = book or await journal.latest_book(settings.network) or settings.network
                async with ledger.view() as view:
                    return chosen, await journal.balances(chosen), await view.tokens()
            finally:
                await ledger.close()
                await journal.close()

    chosen, balances, symbols = run_async(read())
    report.show_balances(chosen, balances, symbols)
    if as_json:
        print_json({"book": chosen, "balances": report.balances_document(balances)})


@treasury.command("withdraw")
@click.option("--network", help="The network it happened on; default: ORION_NETWORK.")
@click.option("--transaction", required=True, help="Hash of the transaction that moved the money.")
@click.option(
    "--from",
    "share",
    type=click.Choice(["available_for_withdrawal", "trading_capital", "gas_reserve"]),
    default="available_for_withdrawal",
    show_default=True,
    help="The share that it is charged to. Money that refills the operator comes from gas_reserve.",
)
@AS_JSON
def treasury_withdraw(network: str | None, transaction: str, share: str, as_json: bool) -> None:
    """Book a withdrawal that has happened on chain.

    The money itself is moved by the treasury's own account, which the keeper does not hold:

    \b
    ape run withdraw --network ethereum:mainnet:node --account cold
    keeper treasury withdraw --network ethereum:mainnet --transaction 0x...

    Amount and block are read from the receipt. The same transaction is booked once, however often this is run.
    """
    from keeper.domain.booking import Account
    from keeper.ledger_access import opened_database
    from keeper.treasury.withdrawals import book_withdrawal

    settings = read_settings(network=network)

    async def record() -> dict[str, object]:
        async with opened_database(settings) as url:
            return await book_withdrawal(settings, url, transaction, Account(share))

    booked = run_async(record())
    click.echo("withdrew  {amount} of {token}, charged to {charged_to}, block {block}".format_map(booked), err=True)
    if as_json:
        print_json(booked)
