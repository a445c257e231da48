"""Whole runs on the replica: exact, repeatable, stopped cleanly, and through the loss of what they depend on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from keeper.config import load_settings
from keeper.domain.opportunity import Fate
from keeper.embedded.postgres import EmbeddedPostgres
from keeper.replica import state
from keeper.replica.session import ensure_deployed
from keeper.store.database import sync_engine
from tests.conftest import BackgroundLoop
from tests.fault.keeper_process import KeeperProcess, prepare_home, processes_of
from tests.homes import open_home

BLOCKS = 10
FINAL = {Fate.FILTERED, Fate.REJECTED, Fate.SIMULATED, Fate.LANDED, Fate.LOST, Fate.REVERTED}


@pytest.fixture(scope="module")
def home(background: BackgroundLoop) -> Any:
    built = load_settings().home
    background.run(ensure_deployed(built))
    with open_home() as folder:
        prepare_home(folder, state.folder(built))
        yield folder


def read_ledger(home: Path, background: BackgroundLoop, query: str) -> list[tuple[Any, ...]]:
    """Rows of the ledger that a keeper left behind."""
    server = EmbeddedPostgres(home, home / "logs")
    background.run(server.start())
    try:
        engine = sync_engine(server.url)
        with engine.connect() as connection:
            return [tuple(row) for row in connection.execute(text(query))]
    finally:
        background.run(server.stop())


def bounded(home: Path, seed: int, *options: str) -> dict[str, Any]:
    with KeeperProcess(home, "--blocks", str(BLOCKS), "--seed", str(seed), *options) as keeper:
        status, summary = keeper.finish()
        assert status == 0, "\n".join(keeper.lines)
    assert summary is not None
    return summary


def test_a_seeded_run_is_exact_and_repeatable(home: Path, background: BackgroundLoop) -> None:
    first, second = bounded(home, 7), bounded(home, 7)
    assert first == second
    assert set(first) == {
        *("blocks", "opportunities", "submitted", "landed", "lost", "reverted"),
        *("predicted_wei", "realised_wei", "mismatched", "ledger_diff_wei"),
    }
    assert first["blocks"] == BLOCKS
    assert first["landed"] >= BLOCKS
    assert first["mismatched"] == 0
    assert first["ledger_diff_wei"] == "0", "the books hold what the chain holds"
    assert first["predicted_wei"] == first["realised_wei"]
    assert int(first["realised_wei"]) > 0

    runs = read_ledger(
        home,
        background,
        "SELECT run_id, array_agg(hash ORDER BY number) FROM blocks GROUP BY run_id",
    )
    assert len(runs) == 2
    assert runs[0][1] == runs[1][1], "equal seeds give equal blocks"
    fates = read_ledger(home, background, "SELECT fate, count(*) FROM opportunities GROUP BY fate")
    assert sum(count for _, count in fates) == first["opportunities"] + second["opportunities"]
    assert {Fate(fate) for fate, _ in fates} <= FINAL, "every opportunity has a final fate"
    ((realised, profit),) = read_ledger(
        home, background, "SELECT sum(realised_wei), sum(profit) FROM trades WHERE status = 'landed'"
    )
    assert int(realised) == int(profit) == 2 * int(first["realised_wei"])


def test_a_rival_wins_races_and_nothing_is_mispredicted(home: Path) -> None:
    summary = bounded(home, 5, "--rival")
    assert summary["lost"] > 0
    assert summary["landed"] > 0
    assert summary["mismatched"] == 0
    assert summary["reverted"] == 0
    assert summary["ledger_diff_wei"] == "0"


def test_outages_are_survived_and_the_end_is_clean(home: Path, background: BackgroundLoop) -> None:
    with KeeperProcess(home, "--no-panel", "--block-time", "0.5") as keeper:
        keeper.wait_for(r"block \d+ .* landed")
        beside = bounded(home, 3)  # a second keeper of the same home finds ports and data of its own
        assert beside["mismatched"] == 0

        keeper.kill_child("postgres -D")
        keeper.wait_for("postgres: runs again")
        keeper.wait_for(r"block \d+ .* [1-9]\d* sent")

        keeper.kill_child("valkey-server")
        keeper.wait_for("valkey: runs again")
        keeper.wait_for(r"block \d+ .* [1-9]\d* landed")

        keeper.terminate()
        status, summary = keeper.finish(30)
    assert status == 0, "\n".join(keeper.lines)
    assert summary is not None
    assert summary["mismatched"] == 0
    assert summary["ledger_diff_wei"] == "0", "no outage costs the books an entry"
    assert summary["predicted_wei"] == summary["realised_wei"]
    assert processes_of(home) == {}, "nothing that was started is left"
    open_ended = read_ledger(
        home, background, "SELECT count(*) FROM opportunities WHERE fate IN ('detected', 'submitted')"
    )
    assert open_ended == [(0,)]


def test_the_loss_of_the_chain_ends_the_run_with_one_clear_error(home: Path) -> None:
    with KeeperProcess(home, "--no-panel", "--block-time", "0.5") as keeper:
        keeper.wait_for(r"block \d+ ")
        keeper.kill_child("anvil --host")
        status, summary = keeper.finish(60)
    assert status == 1
    assert summary is None
    errors = [line for line in keeper.lines if line.startswith("error: ")]
    assert len(errors) == 1, "\n".join(keeper.lines)
    assert "anvil" in errors[0] or "replica" in errors[0]
    assert processes_of(home) == {}
