"""A few contracts of some dozen instructions, so that execution can be tried on a real EVM without a compiler.

`POOL` stands for a pool with an arbitrage in it: the first call in its life takes it, emits an event and mints the
amount asked for to its caller; later calls revert with ``PoolTaken(uint256)``. `EXECUTOR` calls the pool that its
calldata names. `TOKEN` mints to anybody and emits Transfer as ERC-20 does.
"""

from __future__ import annotations

from eth_utils.crypto import keccak

from keeper.domain.units import Address, to_address

TOKEN_ADDRESS = to_address("0xC02aaA39b223FE8D0A0e5C4F27eAD9083C756Cc2", "token")
EXECUTOR_ADDRESS = to_address("0x00000000000000000000000000000000000e0e0e", "executor")

ERRORS_ABI = [{"type": "error", "name": "PoolTaken", "inputs": [{"name": "times", "type": "uint256"}]}]
POOL_TAKEN = keccak(text="PoolTaken(uint256)")[:4].hex()
TRANSFER = keccak(text="Transfer(address,address,uint256)").hex()
SYNC = keccak(text="Sync(uint112,uint112)").hex()

OPCODES = {
    "STOP": 0x00,
    "ADD": 0x01,
    "ISZERO": 0x15,
    "SHL": 0x1B,
    "CALLER": 0x33,
    "CALLDATALOAD": 0x35,
    "RETURNDATASIZE": 0x3D,
    "RETURNDATACOPY": 0x3E,
    "MSTORE": 0x52,
    "SLOAD": 0x54,
    "SSTORE": 0x55,
    "JUMPI": 0x57,
    "GAS": 0x5A,
    "JUMPDEST": 0x5B,
    "DUP1": 0x80,
    "DUP2": 0x81,
    "LOG1": 0xA1,
    "LOG3": 0xA3,
    "CALL": 0xF1,
    "REVERT": 0xFD,
}


def assemble(source: str) -> str:
    """``name`` is an instruction, ``0x..`` a push of these bytes, ``@label`` a push of the place of ``label:``."""
    code = bytearray()
    places: dict[str, int] = {}
    wanted: dict[int, str] = {}
    for word in source.split():
        if word.endswith(":"):
            places[word[:-1]] = len(code)
            code.append(OPCODES["JUMPDEST"])
        elif word.startswith("@"):
            wanted[len(code) + 1] = word[1:]
            code += bytes((0x60, 0))
        elif word.startswith("0x"):
            data = bytes.fromhex(word[2:])
            code += bytes((0x5F + len(data),)) + data
        else:
            code.append(OPCODES[word])
    for at, label in wanted.items():
        code[at] = places[label]
    return "0x" + code.hex()


TOKEN = assemble(
    f"""
    0x CALLDATALOAD DUP1 SLOAD 0x20 CALLDATALOAD ADD DUP2 SSTORE
    0x20 CALLDATALOAD 0x MSTORE
    0x 0x{TRANSFER} 0x20 0x LOG3
    STOP
    """
)

POOL = assemble(
    f"""
    0x SLOAD @taken JUMPI
    0x01 0x SSTORE
    0x 0x01 SSTORE
    0x{SYNC} 0x 0x LOG1
    CALLER 0x MSTORE
    0x CALLDATALOAD 0x20 MSTORE
    0x 0x 0x40 0x 0x 0x{TOKEN_ADDRESS[2:]} GAS CALL
    ISZERO @failed JUMPI
    STOP
    taken: 0x{POOL_TAKEN} 0xe0 SHL 0x MSTORE 0x SLOAD 0x04 MSTORE 0x24 0x REVERT
    failed: 0x 0x REVERT
    """
)

EXECUTOR = assemble(
    """
    0x20 CALLDATALOAD 0x MSTORE
    0x 0x 0x20 0x 0x 0x CALLDATALOAD GAS CALL
    ISZERO @failed JUMPI
    STOP
    failed: RETURNDATASIZE 0x 0x RETURNDATACOPY RETURNDATASIZE 0x REVERT
    """
)


def executor_call(pool: Address, amount: int) -> bytes:
    return bytes(12) + bytes.fromhex(pool[2:]) + amount.to_bytes(32, "big")
