"""Deploys the executor to any configured network: `ape run deploy --network ethereum:mainnet:node --account hot`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click
from ape.cli import ConnectedProviderCommand
from eth_utils import keccak

from keeper.config import CHECKOUT
from keeper.domain.errors import InputError
from keeper.domain.units import ZERO_ADDRESS, Address, Hash32, to_address
from keeper.execution.contract_build import executor_build
from keeper.execution.deployment import (
    CREATE2_FACTORY,
    SALT,
    Deployment,
    creation_code,
    executor_address,
    load_deployment,
    save_deployment,
)

if TYPE_CHECKING:
    from ape.api import AccountAPI, ProviderAPI


def home_folder() -> Path:
    return Path(os.environ.get("ORION_HOME") or CHECKOUT / ".orion")


def choose_roles(
    operator: str | None, treasury: str | None, *, dev_chain: bool, force: bool
) -> tuple[Address, Address]:
    """Checked addresses of both roles; on a development chain they default to its first two accounts."""
    if dev_chain:
        from ape import accounts

        operator = operator or str(accounts.test_accounts[0].address)
        treasury = treasury or str(accounts.test_accounts[1].address)
    roles = to_address(operator, "--operator"), to_address(treasury, "--treasury")
    for name, address in zip(("--operator", "--treasury"), roles, strict=True):
        if address == ZERO_ADDRESS:
            raise InputError(name, address, "Give an address that somebody holds the key of.")
    if roles[0] == roles[1] and not (dev_chain and force):
        raise InputError(
            "--treasury", roles[1], "Give another account than the operator: who executes cannot withdraw."
        )
    return roles


def choose_account(alias: str | None, *, dev_chain: bool) -> AccountAPI:
    from ape import accounts

    if alias is not None:
        if alias not in set(accounts.aliases):
            raise InputError("--account", alias, "Name an account that `ape accounts list` shows.")
        return accounts.load(alias)
    if not dev_chain:
        raise InputError("--account", alias, "Name the account that pays for the deployment: `ape accounts list`.")
    return accounts.test_accounts[0]


@click.command(cls=ConnectedProviderCommand)
@click.option("--operator", help="Hot key that may run streams. Default on a development chain: its account 0.")
@click.option(
    "--treasury", help="Cold account that receives withdrawals. Default on a development chain: its account 1."
)
@click.option("--account", "alias", help="ape account that pays. Default on a development chain: its account 0.")
@click.option("--confirmations", type=click.IntRange(min=0), help="Blocks to wait for. Default: as ape does there.")
@click.option("--force", is_flag=True, help="On a development chain: let one account be operator and treasury.")
def cli(
    provider: ProviderAPI,
    operator: str | None,
    treasury: str | None,
    alias: str | None,
    confirmations: int | None,
    force: bool,
) -> None:
    """Deploy the executor, or see that it is deployed already, and record it below ORION_HOME/deployments.

    One operator and one treasury give one address, on every chain. A deployment that exists is checked byte for byte.
    """
    try:
        roles = choose_roles(operator, treasury, dev_chain=provider.network.is_dev, force=force)
        account = choose_account(alias, dev_chain=provider.network.is_dev)
        deployment = deploy(provider, *roles, account, confirmations)
    except InputError as error:
        raise click.ClickException(str(error)) from error
    home = home_folder()
    path = save_deployment(home, provider.chain_id, _with_first_block(home, provider.chain_id, deployment))
    click.echo(f"executor  {deployment.executor}")
    click.echo(f"operator  {deployment.operator}")
    click.echo(f"treasury  {deployment.treasury}")
    click.echo(f"recorded  {path}")


def deploy(
    provider: ProviderAPI, operator: Address, treasury: Address, account: AccountAPI, confirmations: int | None = None
) -> Deployment:
    """Put the executor at its address unless it is there; raises `InputError` when what is there is something else."""
    init_code = executor_build().init_code
    creation = creation_code(init_code, operator, treasury)
    address = executor_address(init_code, operator, treasury)
    # what the constructor returns is the runtime code with the immutables filled in
    expected = bytes.fromhex(provider.make_request("eth_call", [{"data": "0x" + creation.hex()}, "latest"])[2:])
    if provider.get_code(address):
        click.echo("The executor is already deployed; nothing was sent.", err=True)
    else:
        if not provider.get_code(CREATE2_FACTORY):
            raise InputError("chain", provider.chain_id, f"It lacks the CREATE2 factory {CREATE2_FACTORY}.")
        if confirmations is None:
            # with none ape does not even wait for the block, which a development chain mines at once
            confirmations = 0 if provider.network.is_dev else max(1, provider.network.required_confirmations)
        account.transfer(CREATE2_FACTORY, 0, data=SALT + creation, required_confirmations=confirmations)
    found = bytes(provider.get_code(address))
    if not found:
        raise InputError("executor", address, "It is not in a block yet. Run the same command again in a while.")
    if found != expected:
        raise InputError("executor", address, "The code there is not this project's executor. Do not use it.")
    codehash = Hash32("0x" + keccak(found).hex())
    return Deployment(address, operator, treasury, codehash, provider.get_block("latest").number or 0)


def _with_first_block(home: Path, chain_id: int, deployment: Deployment) -> Deployment:
    """An earlier record of the same deployment knows better in which block it was first seen."""
    try:
        earlier = load_deployment(home, chain_id)
    except InputError:
        return deployment
    same = earlier.executor == deployment.executor and earlier.block <= deployment.block
    return earlier if same else deployment
