"""Sends what the executor earned to its treasury: `ape run withdraw --network ethereum:mainnet:node --account cold`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click
from ape.cli import ConnectedProviderCommand
from eth_abi import encode
from eth_utils import function_signature_to_4byte_selector

from keeper.config import CHECKOUT, load_settings
from keeper.domain.errors import InputError
from keeper.domain.units import ZERO_ADDRESS, Address, to_address
from keeper.execution.deployment import load_deployment

if TYPE_CHECKING:
    from ape.api import AccountAPI, ProviderAPI

COIN = "native"
SWEEP = function_signature_to_4byte_selector("sweep(address,uint256)")


def choose_account(alias: str | None, treasury: Address, *, dev_chain: bool) -> AccountAPI:
    """The treasury's account; raises `InputError` when the one that was named is not the treasury."""
    from ape import accounts

    if alias is None and dev_chain:
        account = next((known for known in accounts.test_accounts if known.address == treasury), None)
        if account is not None:
            return account
    if alias is None or alias not in set(accounts.aliases):
        raise InputError("--account", alias, f"Name the ape account of the treasury {treasury}: `ape accounts list`.")
    account = accounts.load(alias)
    if account.address != treasury:
        raise InputError("--account", account.address, f"Only the treasury {treasury} can withdraw.")
    return account


@click.command(cls=ConnectedProviderCommand)
@click.option("--token", help=f"ERC-20 token, or `{COIN}` for the chain's coin. Default: the wrapped coin.")
@click.option("--amount", type=click.IntRange(min=1), help="Raw units. Default: all but the dust.")
@click.option(
    "--keep", type=click.IntRange(min=0), default=1, show_default=True, help="Dust that saves gas, raw units."
)
@click.option("--account", "alias", help="ape account of the treasury. Default on a development chain: its own.")
def cli(provider: ProviderAPI, token: str | None, amount: int | None, keep: int, alias: str | None) -> None:
    """Withdraw one token from the executor to its treasury."""
    home = Path(os.environ.get("ORION_HOME") or CHECKOUT / ".orion")
    try:
        deployment = load_deployment(home, provider.chain_id)
        asset = ZERO_ADDRESS if token == COIN else to_address(token or load_settings().weth, "--token")
        account = choose_account(alias, deployment.treasury, dev_chain=provider.network.is_dev)
        held = balance_of(provider, asset, deployment.executor)
        wanted = held - keep if amount is None else amount
        if not 0 < wanted <= held:
            raise InputError("--amount", wanted, f"The executor holds {held}.")
        account.transfer(deployment.executor, 0, data=SWEEP + encode(["address", "uint256"], [asset, wanted]))
    except InputError as error:
        raise click.ClickException(str(error)) from error
    click.echo(f"withdrew  {wanted} of {asset} to {deployment.treasury}")


def balance_of(provider: ProviderAPI, token: Address, owner: Address) -> int:
    if token == ZERO_ADDRESS:
        return provider.get_balance(owner)
    data = "0x70a08231" + owner[2:].lower().rjust(64, "0")
    return int(provider.make_request("eth_call", [{"to": token, "data": data}, "latest"]), 16)
