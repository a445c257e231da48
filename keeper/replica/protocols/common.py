"""Contracts that everybody uses: Multicall3 and Permit2. Anvil brings the CREATE2 factory itself."""

from __future__ import annotations

import ast
from importlib.util import find_spec
from pathlib import Path

from eth_utils.crypto import keccak

from keeper.domain.errors import ComponentError
from keeper.replica import addresses
from keeper.replica.site import Site

_PERMIT2_SALT = bytes.fromhex("0000000000000000000000000000000000000000d3af2663da51c10215000000")


async def deploy(site: Site) -> None:
    await site.chain.rpc("anvil_setCode", addresses.MULTICALL3.address, "0x" + multicall3_code().hex())
    await site.chain.rpc("anvil_setNonce", addresses.MULTICALL3.address, "0x1")
    permit2 = site.artifacts.creation_code_in_text(
        "@uniswap/uniswapx-sdk", "dist/cjs/src/contracts/factories/Permit2__factory.js", key="_bytecode"
    )
    site.measured["Permit2 init code"] = "0x" + keccak(permit2).hex()
    await site.chain.send(site.chain.account, addresses.CREATE2_FACTORY, _PERMIT2_SALT + permit2)


def multicall3_code() -> bytes:
    """Runtime code of Multicall3 out of eth-ape's sources: importing that module would load all of ape."""
    package = find_spec("ape_ethereum")
    if package is None or package.origin is None:
        raise ComponentError("eth-ape", "it is not installed", "Run `make setup`.")
    source = Path(package.origin).parent / "multicall" / "constants.py"
    for node in ast.parse(source.read_text()).body:
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", None) == "MULTICALL3_CODE":
            text = "".join(
                part.value
                for part in ast.walk(node.value)
                if isinstance(part, ast.Constant) and isinstance(part.value, str)
            )
            return bytes.fromhex(text.removeprefix("0x"))
    raise ComponentError("eth-ape", f"there is no MULTICALL3_CODE in {source}", "Install the locked version.")
