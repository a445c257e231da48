"""Deploys the adapter to any configured network: `ape run deploy_adapter --network base:mainnet:node --account hot`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click
from ape.cli import ConnectedProviderCommand
from eth_utils import keccak

from keeper.domain.errors import InputError
from keeper.domain.units import Address, Hash32
from keeper.execution.adapter_deployment import ADAPTER_SALT, AdapterDeployment, adapter_address, save_adapter
from keeper.execution.contract_build import ADAPTER, contract_build
from keeper.execution.deployment import CREATE2_FACTORY, creation_code

if TYPE_CHECKING:
    from ape.api import AccountAPI, ProviderAPI


@click.command(cls=ConnectedProviderCommand)
@click.option("--operator", help="Hot key that may trade. Default on a development chain: its account 0.")
@click.option("--treasury", help="Cold account that gets all profit. Default on a development chain: its account 1.")
@click.option("--account", "alias", help="ape account that pays. Default on a development chain: its account 0.")
@click.option("--force", is_flag=True, help="On a development chain: let one account be operator and treasury.")
def cli(provider: ProviderAPI, operator: str | None, treasury: str | None, alias: str | None, force: bool) -> None:
    """Deploy the adapter, or see that it is deployed already, and record it below ORION_HOME/deployments.

    One operator and one treasury give one address, on every chain. A deployment that exists is checked byte for byte.
    """
    # here and not above: ape loads every script to list it, and would load that one twice
    from scripts.deploy import choose_account, choose_roles, home_folder

    try:
        roles = choose_roles(operator, treasury, dev_chain=provider.network.is_dev, force=force)
        deployment = deploy(provider, *roles, choose_account(alias, dev_chain=provider.network.is_dev))
    except InputError as error:
        raise click.ClickException(str(error)) from error
    path = save_adapter(home_folder(), provider.chain_id, deployment)
    click.echo(f"adapter   {deployment.adapter}")
    click.echo(f"operator  {deployment.operator}")
    click.echo(f"treasury  {deployment.treasury}")
    click.echo(f"recorded  {path}")


def deploy(provider: ProviderAPI, operator: Address, treasury: Address, account: AccountAPI) -> AdapterDeployment:
    """Put the adapter at its address unless it is there; raises `InputError` when what is there is something else."""
    build = contract_build(ADAPTER)
    creation = creation_code(build.init_code, operator, treasury)
    address = adapter_address(build.init_code, operator, treasury)
    if provider.get_code(address):
        click.echo("The adapter is already deployed; nothing was sent.", err=True)
    else:
        if not provider.get_code(CREATE2_FACTORY):
            raise InputError("chain", provider.chain_id, f"It lacks the CREATE2 factory {CREATE2_FACTORY}.")
        # with none ape does not even wait for the block, which a development chain mines at once
        wait = 0 if provider.network.is_dev else max(1, provider.network.required_confirmations)
        account.transfer(CREATE2_FACTORY, 0, data=ADAPTER_SALT + creation, required_confirmations=wait)
    found = bytes(provider.get_code(address))
    if not found:
        raise InputError("adapter", address, "It is not in a block yet. Run the same command again in a while.")
    if build.roles_in(found) != (operator, treasury):
        raise InputError("adapter", address, "The code there has other roles. Do not use it.")
    codehash = Hash32("0x" + keccak(found).hex())
    return AdapterDeployment(address, operator, treasury, codehash, provider.get_block("latest").number or 0)
