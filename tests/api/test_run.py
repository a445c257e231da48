"""A whole keeper, commanded over HTTP: pause, resume and halt do what they say while trades go on."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from keeper.config import load_settings
from keeper.replica import state
from keeper.replica.session import ensure_deployed
from tests.conftest import BackgroundLoop
from tests.fault.keeper_process import CHECKOUT, KeeperProcess, prepare_home, processes_of
from tests.homes import open_home

SECONDS = 60
MOST_BLOCKS = 240
"""Lines of blocks from before the question count as well: the panel's start takes a while."""


@pytest.fixture
def home(background: BackgroundLoop) -> Iterator[Path]:
    built = load_settings().home
    background.run(ensure_deployed(built))
    with open_home() as folder:
        prepare_home(folder, state.folder(built))
        yield folder


def make_token(home: Path, role: str) -> str:
    """By the command, beside the running keeper, in its private database."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith("ORION_")}
    done = subprocess.run(
        [sys.executable, "-m", "keeper.cli", "token", "create", "--role", role, "--name", role, "--json"],
        cwd=CHECKOUT,
        env={**environment, "ORION_HOME": str(home)},
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=True,
    )
    return str(json.loads(done.stdout.splitlines()[-1])["token"])


class Caller:
    def __init__(self, address: str, token: str) -> None:
        self._client = httpx.Client(base_url=address, headers={"Authorization": f"Bearer {token}"}, timeout=20)

    def get(self, path: str, **params: Any) -> Any:
        answer = self._client.get(path, params=params)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def act(self, action: str, **body: Any) -> httpx.Response:
        headers = {"Idempotency-Key": uuid.uuid4().hex}
        return self._client.post(f"/api/control/{action}", json=body, headers=headers)

    def done(self, action: str, **body: Any) -> Any:
        answer = self.act(action, **body)
        assert answer.status_code == 200, answer.text
        return answer.json()["details"]

    def found_from(self, block: int) -> list[dict[str, Any]]:
        """The latest opportunities that were found on ``block`` or later."""
        rows = self.get("/api/dashboard/opportunities", run="current", limit=200)["items"]
        return [row for row in rows if row["block_number"] >= block]

    def keeper(self) -> Any:
        return self.get("/api/dashboard/stats")["keeper"]

    def close(self) -> None:
        self._client.close()


def until(keeper: KeeperProcess, condition: Callable[[], Any]) -> Any:
    """Ask once a block, until the answer is a yes."""
    for _ in range(MOST_BLOCKS):
        if answer := condition():
            return answer
        keeper.wait_for(r" block \d+ ")
    raise AssertionError(f"it did not come to pass within {MOST_BLOCKS} blocks:\n" + "\n".join(keeper.lines))


def test_pause_resume_and_halt_over_http(home: Path) -> None:
    with KeeperProcess(home, "--panel", "--block-time", "0.5", "--seed", "7") as keeper:
        keeper.wait_for(r"database: private")
        token = make_token(home, "operator")
        keeper.wait_for(r"block \d+ .* [1-9]\d* landed")
        told = next((line for line in keeper.lines if "panel: http" in line), None) or keeper.wait_for(r"panel: http")
        address = told.split("panel: ")[1]
        caller = Caller(address, token)

        paused = caller.done("pause", reason="test")
        assert (paused["state"], paused["before"]) == ("paused", "trading")
        # the block after the one that is reported may have been under work
        first = caller.keeper()["head_block"] + 2
        until(keeper, lambda: len({row["block_number"] for row in caller.found_from(first)}) >= 3)
        during = caller.found_from(first)
        assert {(row["fate"], row["reason"]) for row in during if row["fate"] != "detected"} == {("rejected", "paused")}
        assert caller.keeper()["state"] == "paused"
        assert caller.keeper()["cause"] == "pause by operator: test"

        landed = caller.get("/api/dashboard/stats")["landed"]
        assert caller.done("resume")["state"] == "trading"
        until(keeper, lambda: caller.get("/api/dashboard/stats")["landed"] > landed)

        assert caller.done("halt", reason="test")["state"] == "halted"
        assert (home / "HALT").read_text() == "halt by operator: test\n"
        refused = caller.act("resume")
        assert refused.status_code == 409
        assert "release_halt" in refused.json()["remedy"]
        first = caller.keeper()["head_block"] + 2
        until(keeper, lambda: caller.found_from(first))
        assert not {row["fate"] for row in caller.found_from(first)} & {"submitted", "landed", "lost", "reverted"}
        landed = caller.get("/api/dashboard/stats")["landed"]
        assert caller.done("resume", release_halt=True)["state"] == "trading"
        assert not (home / "HALT").exists()
        until(keeper, lambda: caller.get("/api/dashboard/stats")["landed"] > landed)

        actions = caller.get("/api/control/actions")["items"]
        assert [(row["action"], row["result"]) for row in reversed(actions)] == [
            ("pause", "done"),
            ("resume", "done"),
            ("halt", "done"),
            ("resume", "refused"),
            ("resume", "done"),
        ]
        page = httpx.get(address, timeout=20)
        assert page.headers["content-type"].startswith("text/html"), "Mission Control is on the same port"
        assert httpx.get(f"{address}/healthz").json().keys() == {"instance", "version"}
        assert httpx.get(f"{address}/api/config").status_code == 401
        settings = caller.get("/api/config")["settings"]
        assert (settings["mode"], settings["network"]) == ("replica", "replica")
        assert settings["database_url"] == "(set, not shown)"
        caller.close()
        keeper.terminate()
        status, summary = keeper.finish(60)
    assert status == 0, "\n".join(keeper.lines)
    assert summary is not None
    assert summary["mismatched"] == 0
    assert processes_of(home) == {}, "nothing that was started is left"
