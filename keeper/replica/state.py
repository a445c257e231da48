"""The finished replica on disk: anvil's state file, the lists that go with it, and when they may be used again."""

from __future__ import annotations

import asyncio
import fcntl
import gzip
import hashlib
import os
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from keeper.domain.units import Address
from keeper.replica.rpc import Rpc

_HERE = Path(__file__).parent
_BUILT_FROM = (
    *("pins.json", "markets.toml", "solidity/*.sol", "protocols/*.py"),
    *("build.py", "state.py", "site.py", "deploy.py", "abi.py", "addresses.py", "markets.py", "liquidity.py"),
    *("table.py", "compile.py", "artifacts.py", "anvil.py"),
)
STATE, POOLS, OTHER_POOLS, TOKENS = "state.json", "pools.json", "other_pools.json", "tokens.json"
_MANIFEST = "manifest.json"
_LOCK_POLL = 0.2


@dataclass(frozen=True, slots=True)
class ReplicaState:
    """A built replica.

    Attributes:
        path: state file for ``anvil --load-state``.
        pools_path: JSON list of the V2- and V3-type pools that the keeper's book loads: ``address, venue, dex, token0,
            token1, fee_pips, tick_spacing``.
        other_pools_path: JSON list of all other pools, each with its ``venue``.
        tokens_path: JSON list of ``address, symbol, decimals, price_usd``.
        timestamp, block_number: of the last block in the state.
        measured: values the build noted for `table.Measured` rows.
        feeds: the aggregator behind each Chainlink proxy; `addresses.BUILDER` may call ``push(int256)`` there.
    """

    path: Path
    pools_path: Path
    other_pools_path: Path
    tokens_path: Path
    timestamp: int
    block_number: int
    measured: Mapping[str, str]
    feeds: Mapping[str, Address]

    def pools(self) -> list[dict[str, Any]]:
        return list(orjson.loads(self.pools_path.read_bytes()))

    def other_pools(self) -> list[dict[str, Any]]:
        return list(orjson.loads(self.other_pools_path.read_bytes()))

    def tokens(self) -> list[dict[str, Any]]:
        return list(orjson.loads(self.tokens_path.read_bytes()))


def folder(home: Path) -> Path:
    return home / "state" / "replica"


def build_key() -> str:
    """Hash of all that a build depends on: pins, markets, stand-ins and the code of the build."""
    digest = hashlib.sha256()
    for path in sorted(path for pattern in _BUILT_FROM for path in _HERE.glob(pattern)):
        digest.update(str(path.relative_to(_HERE)).encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()


def load(home: Path) -> ReplicaState | None:
    """The cached state; None when there is none, when it is out of date, or when a file is not as it was written."""
    here = folder(home)
    try:
        manifest = orjson.loads((here / _MANIFEST).read_bytes())
        if manifest["key"] != build_key():
            return None
        for name, digest in manifest["files"].items():
            if hashlib.sha256((here / name).read_bytes()).hexdigest() != digest:
                return None
        return _from_manifest(here, manifest)
    except (FileNotFoundError, orjson.JSONDecodeError, KeyError, TypeError):
        return None


def save(
    home: Path,
    files: Mapping[str, bytes],
    *,
    timestamp: int,
    block_number: int,
    measured: Mapping[str, str],
    feeds: Mapping[str, Address],
) -> ReplicaState:
    """Write the files, then the manifest that makes them valid."""
    here = folder(home)
    here.mkdir(parents=True, exist_ok=True)
    manifest = {
        "key": build_key(),
        "files": {name: hashlib.sha256(content).hexdigest() for name, content in files.items()},
        "timestamp": timestamp,
        "block_number": block_number,
        "measured": dict(measured),
        "feeds": dict(feeds),
    }
    (here / _MANIFEST).unlink(missing_ok=True)
    for name, content in {**files, _MANIFEST: orjson.dumps(manifest, option=orjson.OPT_INDENT_2)}.items():
        staged = here / f".{name}.{os.getpid()}"
        staged.write_bytes(content)
        staged.replace(here / name)
    return _from_manifest(here, manifest)


@asynccontextmanager
async def build_lock(home: Path, on_wait: Callable[[], None]) -> AsyncIterator[None]:
    """One build at a time below one home: whoever comes second waits, and then finds the state.

    The kernel lets go of the lock when its holder ends, however it ends.
    """
    folder(home).mkdir(parents=True, exist_ok=True)
    with (folder(home) / ".lock").open("w") as lock:
        while not _try_lock(lock.fileno()):
            on_wait()
            await asyncio.sleep(_LOCK_POLL)
        yield


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


async def dump(rpc: Rpc) -> bytes:
    """The node's state as ``--load-state`` takes it, with the last block only, without history, in a fixed order."""
    packed = bytes.fromhex((await rpc("anvil_dumpState"))[2:])
    state: dict[str, Any] = orjson.loads(gzip.decompress(packed))
    best = state["best_block_number"]
    state["transactions"] = []
    state["historical_states"] = None
    state["blocks"] = [
        {**block, "transactions": []} for block in state["blocks"] if int(block["header"]["number"], 16) == best
    ]
    return orjson.dumps(state, option=orjson.OPT_SORT_KEYS)


def _from_manifest(here: Path, manifest: Mapping[str, Any]) -> ReplicaState:
    return ReplicaState(
        path=here / STATE,
        pools_path=here / POOLS,
        other_pools_path=here / OTHER_POOLS,
        tokens_path=here / TOKENS,
        timestamp=manifest["timestamp"],
        block_number=manifest["block_number"],
        measured=manifest["measured"],
        feeds=manifest["feeds"],
    )
