"""The command line teaches, refuses what makes no sense in one line, and shows no secret."""

from __future__ import annotations

import json
from collections.abc import Iterator

import click
import pytest
from click.testing import CliRunner

from keeper.cli import main

RUNNER = CliRunner(mix_stderr=False)


def commands(group: click.Group, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from commands(command, (*path, name))
        else:
            yield (*path, name), command


@pytest.mark.parametrize(
    ("path", "command"), list(commands(main)), ids=lambda part: " ".join(part) if isinstance(part, tuple) else ""
)
def test_every_command_teaches_and_can_print_json(path: tuple[str, ...], command: click.Command) -> None:
    shown = RUNNER.invoke(main, [*path, "--help"])
    assert shown.exit_code == 0
    assert command.help, "what it does"
    assert " ".join(command.help.split()[:3]) in shown.output
    assert "--json" in shown.output
    for parameter in command.params:
        assert isinstance(parameter, click.Argument) or parameter.help, f"{' '.join(path)} {parameter.name}"


def test_live_is_not_for_the_replica() -> None:
    refused = RUNNER.invoke(main, ["run", "--live"])
    assert refused.exit_code == 1
    assert refused.stdout == ""
    assert refused.stderr.startswith("error: --live")


def test_a_real_network_needs_a_node(monkeypatch: pytest.MonkeyPatch, tmp_path: pytest.TempPathFactory) -> None:
    monkeypatch.setenv("ORION_HOME", str(tmp_path))
    monkeypatch.setenv("ORION_DATABASE_URL", "postgresql://nobody:secret@127.0.0.1:1/none")
    monkeypatch.setenv("ORION_REDIS_URL", "redis://:secret@127.0.0.1:1/0")
    monkeypatch.delenv("ORION_RPC_URL", raising=False)
    refused = RUNNER.invoke(main, ["run", "--network", "ethereum:mainnet", "--json"])
    assert refused.exit_code == 1
    assert refused.stdout == ""
    assert "error: " in refused.stderr
    assert "secret" not in refused.stderr


def test_a_bad_setting_is_one_line_that_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ORION_BID_BPS", "20000")
    refused = RUNNER.invoke(main, ["settings"])
    assert refused.exit_code == 1
    assert refused.stderr.startswith("error: ORION_BID_BPS: '20000' cannot be used.")
    assert len(refused.stderr.strip().splitlines()) == 1


def test_settings_show_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    planted = "hunter2"
    monkeypatch.setenv("ORION_DATABASE_URL", f"postgresql://orion:{planted}@127.0.0.1/orion")
    monkeypatch.setenv("ORION_REDIS_URL", f"redis://:{planted}@127.0.0.1/0")
    monkeypatch.setenv("ORION_RPC_URL", f"https://node.example/v3/{planted}")
    monkeypatch.setenv("ORION_RELAY_KEY", planted)
    monkeypatch.setenv("ORION_ACCOUNT_PASSPHRASE", planted)
    shown = RUNNER.invoke(main, ["settings", "--json"])
    assert shown.exit_code == 0
    assert planted not in shown.output
    last = json.loads(shown.stdout.strip().splitlines()[-1])
    assert last["mode"] == "paper"
