"""Pool states of mainnet and Base with the answers of their contracts, recorded outside the project."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

VECTORS = "amm-vectors"


def state(data: Path, chain: int, name: str) -> dict[str, Any]:
    read: dict[str, Any] = json.loads((data / VECTORS / "states" / str(chain) / f"{name}.json").read_text())
    return read


def answers(data: Path, test: str) -> Iterator[tuple[list[str], int]]:
    """The fields of each question's key (pool, function, tokens, amount) and what the contract answered."""
    (path,) = (data / VECTORS / "recorded").rglob(f"{test}.json")
    for key, entry in json.loads(path.read_text())["entries"].items():
        yield key.split("|"), entry["value"]
