"""The cache of the finished state: never used when anything is off, and the same bytes when it is made again."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path

import orjson
import pytest

from keeper.config import load_settings
from keeper.replica import state
from keeper.replica.build import ensure_state
from keeper.replica.state import ReplicaState
from tests.conftest import BackgroundLoop


@pytest.fixture
def home(replica_state: ReplicaState, tmp_path: Path) -> Path:
    """A home with a copy of the state, and the packages and compiled contracts of the real one."""
    shutil.copytree(replica_state.path.parent, state.folder(tmp_path))
    (tmp_path / "cache").symlink_to(load_settings().home / "cache")
    return tmp_path


def test_an_intact_copy_is_used_as_it_is(home: Path, background: BackgroundLoop) -> None:
    before = (state.folder(home) / state.STATE).stat().st_mtime_ns
    found = background.run(ensure_state(home))
    assert found.path.parent == state.folder(home)
    assert found.path.stat().st_mtime_ns == before


def test_a_damaged_state_is_built_again_to_the_same_bytes(
    home: Path, replica_state: ReplicaState, background: BackgroundLoop
) -> None:
    damaged = state.folder(home) / state.STATE
    content = bytearray(damaged.read_bytes())
    content[len(content) // 2] ^= 1
    damaged.write_bytes(content)
    assert state.load(home) is None
    steps: list[tuple[int, int]] = []
    rebuilt = background.run(ensure_state(home, progress=lambda _, done, total: steps.append((done, total))))
    for name in (state.STATE, state.POOLS, state.OTHER_POOLS, state.TOKENS):
        assert (rebuilt.path.parent / name).read_bytes() == (replica_state.path.parent / name).read_bytes(), name
    assert (rebuilt.timestamp, rebuilt.block_number) == (replica_state.timestamp, replica_state.block_number)
    assert [done for done, _ in steps] == sorted(done for done, _ in steps)
    assert steps[-1][0] == steps[-1][1]


@pytest.mark.parametrize("name", [state.STATE, state.POOLS, state.OTHER_POOLS, state.TOKENS, "manifest.json"])
def test_a_missing_file_makes_it_unusable(name: str, home: Path) -> None:
    assert state.load(home) is not None
    (state.folder(home) / name).unlink()
    assert state.load(home) is None


@pytest.mark.parametrize("content", [b"", b"[]", b"{", b'{"key": null}'])
def test_a_broken_manifest_makes_it_unusable(content: bytes, home: Path) -> None:
    (state.folder(home) / "manifest.json").write_bytes(content)
    assert state.load(home) is None


def test_a_state_of_another_build_is_out_of_date(home: Path) -> None:
    path = state.folder(home) / "manifest.json"
    manifest = orjson.loads(path.read_bytes())
    path.write_bytes(orjson.dumps({**manifest, "key": "another"}))
    assert state.load(home) is None


def test_the_state_holds_one_block_and_no_history(replica_state: ReplicaState) -> None:
    content = orjson.loads(replica_state.path.read_bytes())
    assert len(content["blocks"]) == 1
    assert content["transactions"] == []
    assert int(content["blocks"][0]["header"]["number"], 16) == replica_state.block_number
    assert replica_state.path.stat().st_size < 6_000_000


def test_who_comes_second_waits_for_the_first(home: Path, background: BackgroundLoop) -> None:
    (state.folder(home) / "manifest.json").rename(home / "manifest.json")
    steps: list[str] = []

    async def second_during_first() -> ReplicaState:
        waiting = asyncio.Event()

        def note(what: str, *_: int) -> None:
            steps.append(what)
            waiting.set()

        async with state.build_lock(home, lambda: None):
            second = asyncio.create_task(ensure_state(home, progress=note))
            await asyncio.wait_for(waiting.wait(), 30)
            (home / "manifest.json").rename(state.folder(home) / "manifest.json")
        return await asyncio.wait_for(second, 30)

    found = background.run(second_during_first())
    assert found.path.parent == state.folder(home)
    assert set(steps) == {"waiting for another build"}
