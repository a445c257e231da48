"""`keeper replica`: the offline mainnet."""

from __future__ import annotations

import click

from keeper.commands.common import AS_JSON, print_json, read_settings, run_async


@click.group()
def replica() -> None:
    """The offline mainnet: build it, see what it is made of."""


@replica.command("build")
@AS_JSON
def replica_build(as_json: bool) -> None:
    """Build the replica's state and cache it; quick when it is there already."""
    from keeper.replica.build import ensure_state
    from keeper.replica.progress import shown

    with shown() as progress:
        state = run_async(ensure_state(read_settings().home, progress=progress))
    click.echo(f"replica: block {state.block_number}, {state.path}", err=True)
    if as_json:
        print_json({"path": str(state.path), "block": state.block_number, "timestamp": state.timestamp})


@replica.command("status")
@AS_JSON
def replica_status(as_json: bool) -> None:
    """List each contract of the replica: where it is, and whether it is mainnet's bytecode or a stand-in."""
    from keeper.replica import status

    rows = run_async(status.status(read_settings().home))
    status.render(rows)
    if as_json:
        print_json({"components": status.to_json(rows)})
