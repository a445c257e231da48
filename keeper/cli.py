"""The command line: every way an operator starts, checks and looks at the keeper."""

from __future__ import annotations

import asyncio
import json
import logging
import sys
from collections.abc import Awaitable, Callable, Coroutine
from typing import TYPE_CHECKING, Any

import click

from keeper.config import Mode, Settings, load_settings
from keeper.domain.errors import OrionError

if TYPE_CHECKING:
    from uuid import UUID

    from keeper.domain.booking import Balance
    from keeper.domain.performance import Performance
    from keeper.store.access import Grant, TokenBook


class Failure(click.ClickException):
    """An error that was foreseen: one line on stderr, exit code 1."""

    def show(self, file: Any = None) -> None:  # noqa: ARG002  (click's signature)
        click.secho(f"error: {self.message}", err=True, fg="red")


def _log_to_stderr(verbose: bool) -> None:
    logging.basicConfig(
        stream=sys.stderr,
        level=logging.DEBUG if verbose else logging.INFO,
        format="%(asctime)s %(levelname).1s %(message)s",
        datefmt="%H:%M:%S",
    )
    for chatty in ("httpx", "httpcore", "web3", "websockets", "alembic", "asyncio", "numba"):
        logging.getLogger(chatty).setLevel(logging.WARNING)


def _run(work: Coroutine[Any, Any, Any]) -> Any:
    try:
        return asyncio.run(work)
    except OrionError as error:
        raise Failure(str(error)) from error


def _settings(**overrides: object) -> Settings:
    try:
        return load_settings(**{name: value for name, value in overrides.items() if value is not None})
    except OrionError as error:
        raise Failure(str(error)) from error


def _print_json(value: object) -> None:
    sys.stderr.flush()
    print(json.dumps(value), flush=True)


AS_JSON = click.option("--json", "as_json", is_flag=True, help="Print one JSON object as the last line on stdout.")


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.option("-v", "--verbose", is_flag=True, help="Log at debug level.")
def main(verbose: bool) -> None:
    """Alpha-Orion: finds flash-loan arbitrage, proves it to the wei, sends it as bundles, keeps the books.

    Start with `keeper run`: without any settings it builds an offline replica of mainnet and trades on it.
    Settings are environment variables with the prefix ORION_; `keeper settings` lists them.
    """
    _log_to_stderr(verbose)


@main.command()
@click.option("--network", help="`replica` (default), or an ape choice such as ethereum:mainnet with ORION_RPC_URL.")
@click.option("--blocks", type=click.IntRange(min=1), help="Stop after this many blocks; default: run until Ctrl-C.")
@click.option("--seed", type=click.IntRange(min=0), default=None, help="Replica: the same seed gives the same blocks.")
@click.option("--block-time", type=click.FloatRange(min=0.1), default=2.0, show_default=True, help="Replica: seconds.")
@click.option("--rival", is_flag=True, help="Replica: a competing searcher takes part and wins some races.")
@click.option("--panel/--no-panel", default=None, help="Serve Mission Control; default: unless --blocks is given.")
@click.option(
    "--live",
    is_flag=True,
    help="Sign and send on a real network. Without it every network but the replica "
    "is paper trading: plans are proven and recorded, nothing is signed.",
)
@AS_JSON
def run(
    network: str | None,
    blocks: int | None,
    seed: int | None,
    block_time: float,
    rival: bool,
    panel: bool | None,
    live: bool,
    as_json: bool,
) -> None:
    """Run the keeper.

    \b
    keeper run                                the offline replica, until Ctrl-C
    keeper run --blocks 30 --seed 7 --json    a bounded, repeatable run and its figures
    keeper run --rival --block-time 12        a competitor, mainnet's pace
    ORION_RPC_URL=http://... keeper run --network ethereum:mainnet     paper trading on a real chain
    """
    from keeper.launch import ReplicaOptions, run_keeper

    settings = _settings(network=network)
    if settings.network == "replica":
        if live:
            raise Failure("--live is for real networks; the replica signs with its development key already.")
        settings = settings.model_copy(update={"mode": Mode.REPLICA})
    elif live:
        settings = settings.model_copy(update={"mode": Mode.LIVE})
    options = ReplicaOptions(seed=seed, block_time=block_time, rival=rival)
    summary = _run(run_keeper(settings, options, blocks=blocks, with_panel=blocks is None if panel is None else panel))
    if as_json:
        _print_json(summary)


@main.command()
@AS_JSON
def doctor(as_json: bool) -> None:
    """Check every component and say how to mend what is wrong. Exits 1 when something is."""
    from keeper import doctor as checks

    found = _run(checks.examine(_settings()))
    checks.render(found)
    if as_json:
        _print_json(checks.to_json(found))
    if not all(check.ok for check in found):
        raise SystemExit(1)


@main.command("settings")
@AS_JSON
def show_settings(as_json: bool) -> None:
    """List every setting with its variable, its value in force and what it means."""
    settings = _settings()
    shown = settings.public()
    for name, info in Settings.model_fields.items():
        click.echo(f"ORION_{name.upper()} = {shown[name]}    {info.description or ''}", err=True)
    if as_json:
        _print_json(shown)


@main.command()
@AS_JSON
def panel(as_json: bool) -> None:
    """Serve Mission Control on the database and bus given by ORION_DATABASE_URL and ORION_REDIS_URL."""
    from keeper.launch import serve_panel

    _run(serve_panel(_settings()))
    if as_json:
        _print_json({"stopped": True})


@main.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen at; others need --no-panel.")
@click.option("--port", type=click.IntRange(0, 65_535), default=None, help="0, or a taken one, picks a free port.")
@click.option("--panel/--no-panel", default=True, help="Serve Mission Control on the same port; default: yes.")
@AS_JSON
def api(host: str, port: int | None, panel: bool, as_json: bool) -> None:
    """Serve the API on the database and bus given by ORION_DATABASE_URL and ORION_REDIS_URL.

    `keeper run` does so by itself. Every path but /healthz and /readyz needs a token; docs/api.md tells more.
    """
    from keeper.launch import serve_api

    _run(serve_api(_settings(panel_port=port), host=host, with_panel=panel))
    if as_json:
        _print_json({"stopped": True})


@main.group()
def token() -> None:
    """Tokens for the API: make, list and revoke them.

    \b
    keeper token create --role viewer --name grafana
    keeper token list
    keeper token revoke grafana
    """


async def _with_tokens(work: Callable[[TokenBook], Awaitable[Any]]) -> Any:
    from keeper.ledger_access import opened_database
    from keeper.store.access import TokenBook

    async with opened_database(_settings()) as url:
        book = TokenBook(url)
        try:
            return await work(book)
        finally:
            await book.close()


def _grant_document(grant: Grant) -> dict[str, object]:
    return {
        "name": grant.name,
        "role": grant.role.value,
        "key": grant.key,
        "created_at": grant.created_at.isoformat(),
        "revoked_at": None if grant.revoked_at is None else grant.revoked_at.isoformat(),
    }


@token.command("create")
@click.option("--role", type=click.Choice(["viewer", "operator", "treasurer"]), required=True, help="What it may do.")
@click.option("--name", required=True, help="Whose it is; stands in the record of every action.")
@AS_JSON
def token_create(role: str, name: str, as_json: bool) -> None:
    """Make a token and print it, this once: only its hash is kept.

    A viewer looks at everything, an operator also pauses, resumes and halts, a treasurer also moves money.
    """
    from keeper.store.access import Role

    secret, grant = _run(_with_tokens(lambda book: book.create(name, Role(role))))
    click.echo(f"token {grant.name!r}, role {grant.role.value}; keep it safe, it is not shown again", err=True)
    if as_json:
        _print_json({**_grant_document(grant), "token": secret})
    else:
        click.echo(secret)


@token.command("list")
@AS_JSON
def token_list(as_json: bool) -> None:
    """List every token there ever was, without its secret."""
    grants = [_grant_document(grant) for grant in _run(_with_tokens(lambda book: book.all()))]
    for grant in grants:
        ended = f"revoked {grant['revoked_at']}" if grant["revoked_at"] else "valid"
        click.echo(f"{grant['name']}  {grant['role']}  made {grant['created_at']}  {ended}", err=True)
    if as_json:
        _print_json({"tokens": grants})


@token.command("revoke")
@click.argument("name")
@AS_JSON
def token_revoke(name: str, as_json: bool) -> None:
    """End the token NAME; requests with it are refused from this moment."""
    grant = _run(_with_tokens(lambda book: book.revoke(name)))
    click.echo(f"token {grant.name!r} is revoked", err=True)
    if as_json:
        _print_json(_grant_document(grant))


@main.group()
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
        async with opened_database(_settings()) as url:
            chosen = None if grouping is None else Grouping(grouping)
            return window, await report.read_figures(url, window, chosen, check=check)

    window, figures = _run(read())
    report.show_figures(figures)
    if as_json:
        since = None if window.since is None else window.since.isoformat()
        document = {"since": since, "until": now.isoformat(), "by": grouping}
        _print_json({**document, "groups": report.figures_document(figures)})


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

    settings = _settings(network=network)

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

    chosen, balances, symbols = _run(read())
    report.show_balances(chosen, balances, symbols)
    if as_json:
        _print_json({"book": chosen, "balances": report.balances_document(balances)})


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

    settings = _settings(network=network)

    async def record() -> dict[str, object]:
        async with opened_database(settings) as url:
            return await book_withdrawal(settings, url, transaction, Account(share))

    booked = _run(record())
    click.echo("withdrew  {amount} of {token}, charged to {charged_to}, block {block}".format_map(booked), err=True)
    if as_json:
        _print_json(booked)


@main.group()
def replica() -> None:
    """The offline mainnet: build it, see what it is made of."""


@replica.command("build")
@AS_JSON
def replica_build(as_json: bool) -> None:
    """Build the replica's state and cache it; quick when it is there already."""
    from keeper.replica.build import ensure_state
    from keeper.replica.progress import shown

    with shown() as progress:
        state = _run(ensure_state(_settings().home, progress=progress))
    click.echo(f"replica: block {state.block_number}, {state.path}", err=True)
    if as_json:
        _print_json({"path": str(state.path), "block": state.block_number, "timestamp": state.timestamp})


@replica.command("status")
@AS_JSON
def replica_status(as_json: bool) -> None:
    """List each contract of the replica: where it is, and whether it is mainnet's bytecode or a stand-in."""
    from keeper.replica import status

    rows = _run(status.status(_settings().home))
    status.render(rows)
    if as_json:
        _print_json({"components": status.to_json(rows)})


if __name__ == "__main__":
    main()
