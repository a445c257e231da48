"""Where the adapter is deployed: its CREATE2 address and the record that the deployment script leaves."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

from eth_utils.crypto import keccak

from keeper.domain.errors import InputError
from keeper.domain.units import Address, Hash32, to_address, to_hash32
from keeper.execution.deployment import executor_address

ADAPTER_SALT = keccak(text="alpha-orion adapter 1")
_REMEDY = "Deploy it: `ape run deploy_adapter --network ...`."


@dataclass(frozen=True, slots=True)
class AdapterDeployment:
    """The adapter on one chain.

    Attributes:
        codehash: keccak of its runtime code, immutables included.
        block: number of the block in which it was first seen.
    """

    adapter: Address
    operator: Address
    treasury: Address
    codehash: Hash32
    block: int

    @classmethod
    def from_json(cls, found: Any, source: object) -> Self:
        """Raises `InputError` naming ``source`` and the field unless everything is there and well formed."""
        if not isinstance(found, dict) or not isinstance(found.get("block"), int):
            raise InputError(str(source), found, _REMEDY)
        return cls(
            adapter=to_address(found.get("adapter"), f"{source} adapter"),
            operator=to_address(found.get("operator"), f"{source} operator"),
            treasury=to_address(found.get("treasury"), f"{source} treasury"),
            codehash=to_hash32(found.get("codehash"), f"{source} codehash"),
            block=found["block"],
        )


def adapter_address(init_code: bytes, operator: Address, treasury: Address) -> Address:
    """Where the CREATE2 factory puts the adapter; one operator and one treasury have one address on every chain."""
    return executor_address(init_code, operator, treasury, ADAPTER_SALT)


def adapter_path(home: Path, chain_id: int) -> Path:
    return home / "deployments" / f"{chain_id}.adapter.json"


def load_adapter(home: Path, chain_id: int) -> AdapterDeployment:
    """The adapter that was deployed to ``chain_id``; raises `InputError` when there is no usable record of one."""
    path = adapter_path(home, chain_id)
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError("adapter", str(path), _REMEDY) from None
    except ValueError:
        raise InputError(str(path), "not JSON", _REMEDY) from None
    return AdapterDeployment.from_json(found, path)


def save_adapter(home: Path, chain_id: int, deployment: AdapterDeployment) -> Path:
    """Write the record so that a reader sees the old one or the new one, never half of one; returns its path.

    An earlier record of the same adapter knows better in which block it was first seen, and stays.
    """
    path = adapter_path(home, chain_id)
    if path.exists():
        try:
            earlier = load_adapter(home, chain_id)
        except InputError:
            earlier = None  # spoilt: written anew
        if earlier is not None and (earlier.adapter, earlier.codehash) == (deployment.adapter, deployment.codehash):
            return path
    path.parent.mkdir(parents=True, exist_ok=True)
    staged = path.with_suffix(f".{os.getpid()}")
    staged.write_text(json.dumps(asdict(deployment), indent=2) + "\n", encoding="utf-8")
    staged.replace(path)
    return path
