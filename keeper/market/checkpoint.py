"""The book on disk: one file that a restart begins from instead of reading every pool again.

Layout: magic, version, length of the head (JSON), head, SHA-256 of head and body, body (zlib of `pack`). The file is
replaced as a whole, so a reader finds the last complete one whatever happened to the writer.
"""

from __future__ import annotations

import gc
import hashlib
import os
import tempfile
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import orjson

from keeper.domain.chain import BlockHeader
from keeper.domain.errors import InputError
from keeper.domain.units import Address
from keeper.market.packed import pack, unpack
from keeper.market.specs import PoolSpec
from keeper.market.venues import KINDS
from keeper.market.venues.base import Pool

VERSION = 1
_MAGIC = b"ORIONBK\n"
_REMEDY = "The pools are read from the chain; the file is replaced at the next checkpoint."
_NUMBER = 4
_DIGEST = 32


@dataclass(frozen=True, slots=True)
class _Refusal:
    key: Address
    reason: str


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What a book knew at the end of ``header``.

    Attributes:
        pools: by key; those in quarantine or waiting to be read are not among them.
        discovered: every pool that the factories named, those without a state among them.
        scanned: by factory, the last block whose events were looked at.
        refused: why pools are kept out for good, by key.
    """

    chain_id: int
    header: BlockHeader
    pools: Mapping[Address, Pool]
    discovered: tuple[PoolSpec, ...] = ()
    scanned: Mapping[str, int] | None = None
    refused: Mapping[Address, str] = field(default_factory=dict)


def write_checkpoint(path: Path, checkpoint: Checkpoint) -> int:
    """Replace the file at ``path``; returns its bytes."""
    header = {name: str(value) for name, value in asdict(checkpoint.header).items()}
    head = orjson.dumps(
        {
            "chain_id": checkpoint.chain_id,
            "header": header,
            "pools": len(checkpoint.pools),
            "scanned": dict(checkpoint.scanned or {}),
        }
    )
    refused = (_Refusal(key, reason) for key, reason in checkpoint.refused.items())
    items: list[Any] = [*checkpoint.pools.values(), *_unread(checkpoint), *refused]
    body = zlib.compress(pack(items), 1)
    content = b"".join(
        (
            _MAGIC,
            VERSION.to_bytes(_NUMBER, "little"),
            len(head).to_bytes(_NUMBER, "little"),
            head,
            _digest(head, body),
            body,
        )
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f"{path.name}.", delete=False) as staged:
        try:
            staged.write(content)
            staged.flush()
            os.fsync(staged.fileno())
            Path(staged.name).replace(path)
        except BaseException:
            Path(staged.name).unlink(missing_ok=True)
            raise
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
    return len(content)


def read_checkpoint(path: Path, chain_id: int) -> Checkpoint | None:
    """The last checkpoint, or None when there is none.

    Raises:
        InputError: the file is damaged, of another version, or of another chain; nothing of it is to be used.
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return None
    at = len(_MAGIC)
    if content[:at] != _MAGIC:
        raise InputError(str(path), "no checkpoint of a book", _REMEDY)
    version = int.from_bytes(content[at : at + _NUMBER], "little")
    if version != VERSION:
        raise InputError(str(path), f"version {version}", f"This keeper writes version {VERSION}. {_REMEDY}")
    at += _NUMBER
    length = int.from_bytes(content[at : at + _NUMBER], "little")
    at += _NUMBER
    head, digest = content[at : at + length], content[at + length : at + length + _DIGEST]
    body = content[at + length + _DIGEST :]
    if digest != _digest(head, body):
        raise InputError(str(path), "a damaged file", f"Its checksum does not fit. {_REMEDY}")
    facts = orjson.loads(head)
    if facts["chain_id"] != chain_id:
        raise InputError(str(path), f"chain {facts['chain_id']}", f"The node is on chain {chain_id}. {_REMEDY}")
    items = _without_collection(zlib.decompress(body))
    specs = tuple(item for item in items if isinstance(item, PoolSpec))
    refused = {item.key: item.reason for item in items if isinstance(item, _Refusal)}
    pools = {item.key: item for item in items if not isinstance(item, PoolSpec | _Refusal)}
    known = tuple(PoolSpec.of(pool) for pool in pools.values()) if facts["scanned"] else ()
    return Checkpoint(chain_id, _header(facts["header"]), pools, known + specs, facts["scanned"], refused)


def _unread(checkpoint: Checkpoint) -> Iterable[PoolSpec]:
    return (spec for spec in checkpoint.discovered if spec.key not in checkpoint.pools)


def _digest(head: bytes, body: bytes) -> bytes:
    digest = hashlib.sha256(head)
    digest.update(body)
    return digest.digest()


def _without_collection(packed: bytes) -> list[Any]:
    """The states; the collector would walk over all of them again and again while they are made."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        return unpack(packed, (*KINDS, PoolSpec, _Refusal))
    finally:
        if enabled:
            gc.enable()


def _header(facts: Mapping[str, str]) -> BlockHeader:
    numbers = {"number", "timestamp", "base_fee", "gas_limit", "gas_used"}
    return BlockHeader(**{name: int(value) if name in numbers else value for name, value in facts.items()})  # type: ignore[arg-type]
