"""The command line: every way an operator starts, checks and looks at the keeper."""

from __future__ import annotations

import logging
import sys

import click

from keeper.commands import replica, token, treasury
from keeper.commands.common import AS_JSON, Failure, print_json, read_settings, run_async
from keeper.config import Mode, Settings


def _log_to_stderr(verbose: bool) -> None:
    logging.basicConfig(
        stream=sys.stderr,
        level=logging.DEBUG if verbose else logging.INFO,
        format="%(asctime)s %(levelname).1s %(message)s",
        datefmt="%H:%M:%S",
    )
    for chatty in ("httpx", "httpcore", "web3", "websockets", "alembic", "asyncio", "numba"):
        logging.getLogger(chatty).setLevel(logging.WARNING)


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

    settings = read_settings(network=network)
    if settings.network == "replica":
        if live:
            raise Failure("--live is for real networks; the replica signs with its development key already.")
        settings = settings.model_copy(update={"mode": Mode.REPLICA})
    elif live:
        settings = settings.model_copy(update={"mode": Mode.LIVE})
    options = ReplicaOptions(seed=seed, block_time=block_time, rival=rival)
    summary = run_async(
        run_keeper(settings, options, blocks=blocks, with_panel=blocks is None if panel is None else panel)
    )
    if as_json:
        print_json(summary)


@main.command()
@AS_JSON
def doctor(as_json: bool) -> None:
    """Check every component and say how to mend what is wrong. Exits 1 when something is."""
    from keeper import doctor as checks

    found = run_async(checks.examine(read_settings()))
    checks.render(found)
    if as_json:
        print_json(checks.to_json(found))
    if not all(check.ok for check in found):
        raise SystemExit(1)


@main.command("settings")
@AS_JSON
def show_settings(as_json: bool) -> None:
    """List every setting with its variable, its value in force and what it means."""
    settings = read_settings()
    shown = settings.public()
    for name, info in Settings.model_fields.items():
        click.echo(f"ORION_{name.upper()} = {shown[name]}    {info.description or ''}", err=True)
    if as_json:
        print_json(shown)


@main.command()
@AS_JSON
def panel(as_json: bool) -> None:
    """Serve Mission Control on the database and bus given by ORION_DATABASE_URL and ORION_REDIS_URL."""
    from keeper.launch import serve_panel

    run_async(serve_panel(read_settings()))
    if as_json:
        print_json({"stopped": True})


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

    run_async(serve_api(read_settings(panel_port=port), host=host, with_panel=panel))
    if as_json:
        print_json({"stopped": True})


for group in (token.token, treasury.treasury, replica.replica):
    main.add_command(group)


if __name__ == "__main__":
    main()
