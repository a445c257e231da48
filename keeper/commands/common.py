"""What every command has in common: settings, errors in one line, and the JSON object at the end."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Coroutine
from typing import Any

import click

from keeper.config import Settings, load_settings
from keeper.domain.errors import OrionError


class Failure(click.ClickException):
    """An error that was foreseen: one line on stderr, exit code 1."""

    def show(self, file: Any = None) -> None:  # noqa: ARG002  (click's signature)
        click.secho(f"error: {self.message}", err=True, fg="red")


def run_async(work: Coroutine[Any, Any, Any]) -> Any:
    try:
        return asyncio.run(work)
    except OrionError as error:
        raise Failure(str(error)) from error


def read_settings(**overrides: object) -> Settings:
    try:
        return load_settings(**{name: value for name, value in overrides.items() if value is not None})
    except OrionError as error:
        raise Failure(str(error)) from error


def print_json(value: object) -> None:
    sys.stderr.flush()
    print(json.dumps(value), flush=True)


AS_JSON = click.option("--json", "as_json", is_flag=True, help="Print one JSON object as the last line on stdout.")
