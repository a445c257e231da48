"""Sends what the executor earned to its treasury: `ape run withdraw --network ethereum:mainnet:node --account cold`."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click
from ape.cli import ConnectedProviderCommand
from eth_abi import encode
from eth_utils import function_signature_to_4byte_selector

from keeper.config import CHECKOUT, load_settings
from keeper.domain.errors import InputError
from keeper.domain.units import ZERO_ADDRESS, Address, to_address
from keeper.execution.deployment import Deployment, load_deployment
from keeper.market.specs import read_token_list

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
@click.option("--all", "everything", is_flag=True, help="Every token of ORION_TOKENS_FILE and the chain's coin.")
@click.option("--amount", type=click.IntRange(min=1), help="Raw units. Default: all but the dust.")
@click.option(
    "--keep", type=click.IntRange(min=0), default=1, show_default=True, help="Dust that saves gas, raw units."
)
@click.option("--account", "alias", help="ape account of the treasury. Default on a development chain: its own.")
def cli(
    provider: ProviderAPI, token: str | None, everything: bool, amount: int | None, keep: int, alias: str | None
) -> None:
    """Withdraw one token, or all there is, from the executor to its treasury."""
    home = Path(os.environ.get("ORION_HOME") or CHECKOUT / ".orion")
    try:
        deployment = load_deployment(home, provider.chain_id)
        account = choose_account(alias, deployment.treasury, dev_chain=provider.network.is_dev)
        if everything:
            if token or amount:
                raise InputError("--all", token or amount, "Leave out --token and --amount: it takes all there is.")
            withdrawn = withdraw_all(provider, deployment, account, known_tokens(), keep)
        else:
            asset = ZERO_ADDRESS if token == COIN else to_address(token or load_settings().weth, "--token")
            withdrawn = {asset: withdraw(provider, deployment, account, asset, amount, keep)}
    except InputError as error:
        raise click.ClickException(str(error)) from error
    for asset, sent in withdrawn.items():
        click.echo(f"withdrew  {sent} of {COIN if asset == ZERO_ADDRESS else asset} to {deployment.treasury}")
    if not withdrawn:
        click.echo("There is nothing to withdraw.", err=True)


def known_tokens() -> list[Address]:
    """The wrapped coin and the tokens of the operator's list."""
    settings = load_settings()
    listed = read_token_list(settings.tokens_file) if settings.tokens_file else {}
    return list(dict.fromkeys((settings.weth, *listed)))


def withdraw_all(
    provider: ProviderAPI, deployment: Deployment, account: AccountAPI, tokens: Sequence[Address], keep: int
) -> dict[Address, int]:
    """Raw units sent of each of ``tokens`` and of the coin, of which nothing is kept, where there is more than dust."""
    withdrawn = {}
    for asset, dust in (*((token, keep) for token in tokens), (ZERO_ADDRESS, 0)):
        if balance_of(provider, asset, deployment.executor) > dust:
            withdrawn[asset] = withdraw(provider, deployment, account, asset, None, dust)
    return withdrawn


def withdraw(
    provider: ProviderAPI, deployment: Deployment, account: AccountAPI, asset: Address, amount: int | None, keep: int
) -> int:
    """Send ``amount`` of ``asset``, or all but ``keep``; returns the raw units sent."""
    held = balance_of(provider, asset, deployment.executor)
    wanted = held - keep if amount is None else amount
    if not 0 < wanted <= held:
        raise InputError("--amount", wanted, f"The executor holds {held} of {asset}.")
    account.transfer(deployment.executor, 0, data=SWEEP + encode(["address", "uint256"], [asset, wanted]))
    return wanted


def balance_of(provider: ProviderAPI, token: Address, owner: Address) -> int:
    if token == ZERO_ADDRESS:
        return provider.get_balance(owner)
    data = "0x70a08231" + owner[2:].lower().rjust(64, "0")
    found = provider.make_request("eth_call", [{"to": token, "data": data}, "latest"])
    if len(found) < 66:
        raise InputError("--token", token, "This chain has no such token; ORION_WETH names its wrapped coin.")
    return int(found, 16)
