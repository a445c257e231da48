"""Where the executor is deployed: its CREATE2 address and the record that the deployment script leaves."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

from eth_abi.abi import encode
from eth_utils.crypto import keccak

from keeper.config import CHECKOUT
from keeper.domain.errors import InputError
from keeper.domain.units import Address, Hash32, to_address, to_hash32
from keeper.market.node import Node, to_bytes

CREATE2_FACTORY = Address("0x4e59b44847b379578588920cA78FbF26c0B4956C")
"""Deploys ``calldata[32:]`` with the salt ``calldata[:32]``; it has this address on every chain that has it."""

SALT = keccak(text="alpha-orion executor 1")


@dataclass(frozen=True, slots=True)
class Deployment:
    """The executor on one chain.

    Attributes:
        codehash: keccak of its runtime code, immutables included.
        block: number of the block in which it was first seen.
    """

    executor: Address
    operator: Address
    treasury: Address
    codehash: Hash32
    block: int

    @classmethod
    def from_json(cls, found: Any, source: object) -> Self:
        """Raises `InputError` naming ``source`` and the field unless everything is there and well formed."""
        if not isinstance(found, dict) or not isinstance(found.get("block"), int):
            raise InputError(str(source), found, "Deploy again: `ape run deploy --network ...`.")
        return cls(
            executor=to_address(found.get("executor"), f"{source} executor"),
            operator=to_address(found.get("operator"), f"{source} operator"),
            treasury=to_address(found.get("treasury"), f"{source} treasury"),
            codehash=to_hash32(found.get("codehash"), f"{source} codehash"),
            block=found["block"],
        )


def creation_code(init_code: bytes, operator: Address, treasury: Address) -> bytes:
    """The compiled init code with its constructor's arguments."""
    return init_code + encode(["address", "address"], [operator, treasury])


def executor_address(init_code: bytes, operator: Address, treasury: Address, salt: bytes = SALT) -> Address:
    """Where `CREATE2_FACTORY` puts the executor (EIP-1014); the same on every chain.

    Args:
        init_code: as compiled, without the constructor's arguments.
        salt: 32 bytes.
    """
    packed = b"\xff" + bytes.fromhex(CREATE2_FACTORY[2:]) + salt + keccak(creation_code(init_code, operator, treasury))
    return to_address("0x" + keccak(packed)[12:].hex(), "executor address")


def deployment_path(home: Path, chain_id: int) -> Path:
    return home / "deployments" / f"{chain_id}.json"


def load_deployment(home: Path, chain_id: int) -> Deployment:
    """The executor that was deployed to ``chain_id``; raises `InputError` when there is no usable record of one."""
    path = deployment_path(home, chain_id)
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        remedy = "Deploy it first, `ape run deploy --network ...`, or name it in ORION_EXECUTOR."
        raise InputError("executor", str(path), remedy) from None
    except ValueError:
        raise InputError(str(path), "not JSON", "Deploy again: `ape run deploy --network ...`.") from None
    return Deployment.from_json(found, path)


async def read_deployment(node: Node, executor: Address) -> Deployment:
    """The executor at ``executor`` as the chain has it; raises `InputError` when there is none."""
    code = to_bytes(await node.request("eth_getCode", executor, "latest"), "eth_getCode")
    if not code:
        raise InputError("ORION_EXECUTOR", executor, "Nothing is deployed there on this chain: `ape run deploy ...`.")
    roles = {}
    for role in ("operator", "treasury"):
        # not from the zero address, which nodes take when none is named: to the executor it is nobody's
        answer = await node.call(executor, keccak(text=f"{role}()")[:4], **{"from": executor})
        if len(answer) != 32 or any(answer[:12]):
            raise InputError("ORION_EXECUTOR", executor, f"It does not tell its {role}: it is another contract.")
        roles[role] = to_address("0x" + answer[12:].hex(), role)
    return Deployment(
        executor=executor,
        operator=roles["operator"],
        treasury=roles["treasury"],
        codehash=to_hash32("0x" + keccak(code).hex(), "codehash"),
        block=await node.block_number(),
    )


def save_deployment(home: Path, chain_id: int, deployment: Deployment) -> Path:
    """Write the record so that a reader sees the old one or the new one, never half of one; returns its path."""
    path = deployment_path(home, chain_id)
    path.parent.mkdir(parents=True, exist_ok=True)
    staged = path.with_suffix(f".{os.getpid()}")
    staged.write_text(json.dumps(asdict(deployment), indent=2) + "\n", encoding="utf-8")
    staged.replace(path)
    return path


def executor_abi(checkout: Path = CHECKOUT) -> list[dict[str, Any]]:
    """ABI of the executor: its custom errors, read from their source, so that no compiled artifact is needed.

    Its entry is a fallback function, whose calldata `codec` writes.
    """
    source = (checkout / "contracts" / "Errors.sol").read_text(encoding="utf-8")
    entries = []
    for line in source.splitlines():
        declaration = line.strip()
        if not declaration.startswith("error ") or not declaration.endswith(");"):
            continue
        name, _, fields = declaration.removeprefix("error ").removesuffix(");").partition("(")
        inputs = [dict(zip(("type", "name"), field.split(), strict=True)) for field in fields.split(",") if field]
        entries.append({"type": "error", "name": name, "inputs": inputs})
    return entries
