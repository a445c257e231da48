"""States as bytes and the book on disk: what is written is read back whole, and what is not ours is refused."""

from __future__ import annotations

import zlib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from keeper.domain.errors import InputError
from keeper.domain.token import VenueKind
from keeper.market import checkpoint as format_
from keeper.market.checkpoint import Checkpoint, read_checkpoint, write_checkpoint
from keeper.market.packed import pack, unpack
from keeper.market.specs import PoolSpec
from keeper.market.venues import KINDS, load
from tests.market.chain import TOKEN0, TOKEN1, address, header, v2_pool
from tests.market.every_kind import STATES, by_key, pools

CLASSES = (*KINDS, PoolSpec)
UNREAD = PoolSpec(address(77), VenueKind.UNISWAP_V3, "x", TOKEN0, TOKEN1, 500, 10)


def written(path: Path, **changes: Any) -> Checkpoint:
    facts: dict[str, Any] = {"chain_id": 1, "header": header(100), "pools": by_key()}
    one = Checkpoint(**{**facts, **changes})
    write_checkpoint(path, one)
    return one


def test_every_kind_has_its_class() -> None:
    assert {type(pool) for pool in pools()} == set(KINDS)


def test_states_survive_in_order() -> None:
    items = [*pools(), UNREAD]
    found = unpack(pack(items), CLASSES)
    assert sorted(found, key=repr) == sorted(items, key=repr)
    assert {type(item) for item in found} == {type(item) for item in items}
    twice = [v2_pool(2), v2_pool(3), v2_pool(4)]
    assert unpack(pack(twice), CLASSES) == twice
    assert unpack(pack([]), CLASSES) == []
    # the same text is one object, as the search expects of tokens
    first, second, _ = unpack(pack(twice), CLASSES)
    assert first.token0 is second.token0


@given(st.lists(st.tuples(st.integers(0, 2**112 - 1), st.integers(0, 2**112 - 1)), max_size=5))
def test_integers_of_any_width_survive(reserves: list[tuple[int, int]]) -> None:
    items = [v2_pool(number, reserves=pair) for number, pair in enumerate(reserves, 2)]
    assert unpack(pack(items), CLASSES) == items


@given(st.lists(st.lists(st.tuples(st.integers(-(2**127), 2**127 - 1), st.integers(1, 2**128 - 1)), max_size=4)))
def test_ticks_of_any_number_survive(pools_: list[list[tuple[int, int]]]) -> None:
    state = next(state for state in STATES if state["venue"] == "uniswap_v3")
    items = [
        load({**state, "address": address(number)} | {"ticks": [[60 * k, *row] for k, row in enumerate(rows)]})
        for number, rows in enumerate(pools_, 2)
    ]
    assert unpack(pack(items), CLASSES) == items


def test_bytes_of_other_fields_are_refused() -> None:
    @dataclass(frozen=True)
    class UniswapV2Pool:
        address: str
        reserve: int

    packed = pack([UniswapV2Pool("a", 1)])
    assert unpack(packed, [UniswapV2Pool]) == [UniswapV2Pool("a", 1)]
    for classes in (CLASSES, ()):
        with pytest.raises(InputError, match="another UniswapV2Pool"):
            unpack(packed, classes)
    whole = pack(pools())
    for end in (len(whole) - 1, len(whole) // 2, 3):
        with pytest.raises(InputError, match="packed states"):
            unpack(whole[:end], CLASSES)


def test_a_checkpoint_is_read_back(tmp_path: Path) -> None:
    path = tmp_path / "state" / "book.bin"
    assert read_checkpoint(path, 1) is None
    first = written(path)
    assert read_checkpoint(path, 1) == replace(first, scanned={})
    scanned = {address(5): 99}
    known = (*map(PoolSpec.of, pools()), UNREAD)
    second = written(path, header=header(200), discovered=known, scanned=scanned)
    found = read_checkpoint(path, 1)
    assert found is not None
    assert (found.header, found.pools, found.scanned) == (second.header, second.pools, scanned)
    assert set(found.discovered) == set(known)
    assert [entry.name for entry in path.parent.iterdir()] == ["book.bin"], "nothing is left beside it"


def test_a_writer_that_fails_leaves_the_last_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "book.bin"
    first = written(path)

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(format_.os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        written(path, header=header(200))
    found = read_checkpoint(path, 1)
    assert found is not None
    assert found.header == first.header
    assert [entry.name for entry in tmp_path.iterdir()] == ["book.bin"]


def test_a_checkpoint_of_another_chain_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "book.bin"
    written(path, chain_id=10)
    with pytest.raises(InputError, match=r"chain 10.*on chain 1"):
        read_checkpoint(path, 1)


def test_a_damaged_checkpoint_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "book.bin"
    written(path)
    content = path.read_bytes()
    for at in range(12, len(content), max(len(content) // 40, 1)):
        path.write_bytes(content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :])
        with pytest.raises(InputError, match="damaged"):
            read_checkpoint(path, 1)
    for end in (0, 5, 30, len(content) - 1):
        path.write_bytes(content[:end])
        with pytest.raises(InputError):
            read_checkpoint(path, 1)
    path.write_bytes(content + b"\0")
    with pytest.raises(InputError, match="damaged"):
        read_checkpoint(path, 1)


def test_a_checkpoint_of_another_version_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "book.bin"
    written(path)
    content = path.read_bytes()
    path.write_bytes(content[:8] + (99).to_bytes(4, "little") + content[12:])
    with pytest.raises(InputError, match="version 99"):
        read_checkpoint(path, 1)
    path.write_bytes(zlib.compress(orjson.dumps({})))
    with pytest.raises(InputError, match="no checkpoint"):
        read_checkpoint(path, 1)
