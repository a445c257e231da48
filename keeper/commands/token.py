"""`keeper token`: who may use the API."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

import click

from keeper.commands.common import AS_JSON, print_json, read_settings, run_async

if TYPE_CHECKING:
    from keeper.store.access import Grant, TokenBook


@click.group()
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

    async with opened_database(read_settings()) as url:
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

    secret, grant = run_async(_with_tokens(lambda book: book.create(name, Role(role))))
    click.echo(f"token {grant.name!r}, role {grant.role.value}; keep it safe, it is not shown again", err=True)
    if as_json:
        print_json({**_grant_document(grant), "token": secret})
    else:
        click.echo(secret)


@token.command("list")
@AS_JSON
def token_list(as_json: bool) -> None:
    """List every token there ever was, without its secret."""
    grants = [_grant_document(grant) for grant in run_async(_with_tokens(lambda book: book.all()))]
    for grant in grants:
        ended = f"revoked {grant['revoked_at']}" if grant["revoked_at"] else "valid"
        click.echo(f"{grant['name']}  {grant['role']}  made {grant['created_at']}  {ended}", err=True)
    if as_json:
        print_json({"tokens": grants})


@token.command("revoke")
@click.argument("name")
@AS_JSON
def token_revoke(name: str, as_json: bool) -> None:
    """End the token NAME; requests with it are refused from this moment."""
    grant = run_async(_with_tokens(lambda book: book.revoke(name)))
    click.echo(f"token {grant.name!r} is revoked", err=True)
    if as_json:
        print_json(_grant_document(grant))
