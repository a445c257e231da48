"""Holds a deployed executor against its sources, and publishes them: `ape run verify --network base:mainnet:node`."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import TYPE_CHECKING

import click
import orjson
from ape.cli import ConnectedProviderCommand
from eth_abi import encode

from keeper.config import CHECKOUT
from keeper.domain.errors import ComponentError, InputError
from keeper.domain.units import Address, to_address
from keeper.execution.contract_build import Build, executor_build
from keeper.execution.deployment import load_deployment
from keeper.execution.explorers import ETHERSCAN_URL, SOURCIFY_URL, Etherscan, Explorer, Sourcify, Verdict, publish

if TYPE_CHECKING:
    from ape.api import ProviderAPI

KEY = "ORION_EXPLORER_KEY"


def choose_explorer(name: str, chain_id: int, url: str | None) -> Explorer:
    """The explorer to publish on; raises `InputError` when Etherscan is wanted and its key is not set."""
    if name == "sourcify":
        return Sourcify(chain_id, url or SOURCIFY_URL)
    key = os.environ.get(KEY)
    if not key:
        raise InputError(KEY, "(unset)", "Set it to a key of the explorer's API, or publish on sourcify.")
    return Etherscan(chain_id, key, url or ETHERSCAN_URL)


def check_code(provider: ProviderAPI, build: Build, executor: Address) -> tuple[Address, Address]:
    """Operator and treasury of the executor; raises `InputError` unless its code is this build, byte for byte."""
    deployed = bytes(provider.get_code(executor))
    if not deployed:
        raise InputError("executor", executor, f"Nothing is deployed there on chain {provider.chain_id}.")
    return build.roles_in(deployed)


@click.command(cls=ConnectedProviderCommand)
@click.option("--executor", help="Its address. Default: as its deployment was recorded.")
@click.option("--publish", "explorer", type=click.Choice(["etherscan", "sourcify"]), help="Publish the source there.")
@click.option("--url", help="Endpoint of the explorer's API. Default: the public one.")
@click.option("--output", type=click.Path(path_type=Path, dir_okay=False), help="Write the compiler's input there.")
def cli(
    provider: ProviderAPI, executor: str | None, explorer: str | None, url: str | None, output: Path | None
) -> None:
    """Compare the executor on chain with this checkout's sources; publish them if asked to.

    The key for Etherscan's API is read from ORION_EXPLORER_KEY.
    """
    home = Path(os.environ.get("ORION_HOME") or CHECKOUT / ".orion")
    try:
        recorded = None if executor else load_deployment(home, provider.chain_id)
        address = to_address(executor, "--executor") if recorded is None else recorded.executor
        build = executor_build()
        roles = check_code(provider, build, address)
        if recorded is not None and roles != (recorded.operator, recorded.treasury):
            raise InputError("executor", address, "Its roles are not those of the recorded deployment.")
        click.echo(f"matches   {address} is {build.name} of this checkout, compiler {build.compiler}")
        click.echo(f"operator  {roles[0]}")
        click.echo(f"treasury  {roles[1]}")
        if output is not None:
            output.write_bytes(orjson.dumps(build.request, option=orjson.OPT_INDENT_2))
            click.echo(f"input     {output}")
        if explorer is None:
            return
        site = choose_explorer(explorer, provider.chain_id, url)
        report = asyncio.run(publish(site, build, address, encode(["address", "address"], roles)))
    except (InputError, ComponentError) as error:
        raise click.ClickException(str(error)) from error
    click.echo(f"{explorer:<10}{report.verdict}: {report.text}")
    if report.verdict is Verdict.REJECTED:
        raise click.ClickException(f"{explorer} does not take the source.")
    if report.verdict is Verdict.PENDING:
        raise click.ClickException(f"{explorer} is not done yet. Run the same command again later.")
