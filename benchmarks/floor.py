"""The least gas a route can cost: a contract in Yul that makes the route's pool calls with everything hard-coded.

It checks nothing and decodes nothing: no caller, no callback, no balance, no profit. Its calldata is empty. A callback
is told from the next by the length of the data that the pool hands back, which is as short as it can be.
"""

from __future__ import annotations

from collections.abc import Sequence

from keeper.domain.units import Address
from keeper.execution.codec import Operation, Stream, Swap
from keeper.execution.opcodes import CALLED_BACK, V3_SWAPS, Opcode, To

LOWEST_PRICE, HIGHEST_PRICE = 4295128740, 1461446703485210103287273052203988822378723970341
V2_LENGTH_AT, V3_LENGTH_AT = 0x84, 0x64
"""Where a callback's calldata tells the length of its data."""


def floor_source(stream: Stream) -> str:
    """Yul that makes the calls of ``stream``, which has to be a route's flash swap."""
    frames = _frames(stream.operations)
    code: list[str] = []
    for depth in reversed(range(len(frames))):
        body = "\n".join(_statements(frames, depth, stream.token))
        if depth == 0:
            code.append(body)
            continue
        condition = _is_callback(frames, depth)
        code.append(f"if {condition} {{\n{body}\nstop()\n}}")
    runtime = "\n".join(code)
    return f"""object "Floor" {{
code {{ datacopy(0, dataoffset("runtime"), datasize("runtime")) return(0, datasize("runtime")) }}
object "runtime" {{ code {{
{runtime}
}} }} }}"""


def _frames(operations: Sequence[Operation]) -> list[list[Operation]]:
    """The operations of the entry and of each callback, outermost first."""
    frames: list[list[Operation]] = [[]]
    for operation in operations:
        frames[-1].append(operation)
        if isinstance(operation, Swap) and operation.opcode in CALLED_BACK:
            frames.append([])
    return frames


def _is_callback(frames: Sequence[Sequence[Operation]], depth: int) -> str:
    """A pair does not call back without data; V3 pools do, so the innermost of them gets none."""
    if len(frames) == 2:
        return "calldatasize()"
    if depth == len(frames) - 1:
        return f"lt(sub(calldatasize(), 1), {V3_LENGTH_AT + 0x20})"
    return f"eq(calldataload({V3_LENGTH_AT}), {_data_length(frames, depth)})"


def _data_length(frames: Sequence[Sequence[Operation]], depth: int) -> int:
    caller = frames[depth - 1][-1]
    assert isinstance(caller, Swap)
    return 1 if caller.opcode is Opcode.UNISWAP_V2_FLASH else len(frames) - 1 - depth


def _statements(frames: Sequence[Sequence[Operation]], depth: int, token: Address) -> list[str]:
    lines: list[str] = []
    operations = frames[depth]
    for position, operation in enumerate(operations):
        following = operations[position + 1] if position + 1 < len(operations) else None
        if following is None and depth + 1 < len(frames) and isinstance(operation, Swap) and operation.to is To.NEXT:
            following = frames[depth + 1][0]
        match operation:
            case Swap():
                if operation.amount_in is not None:
                    lines += _transfer(token, operation.pool, str(operation.amount_in))
                length = _data_length(frames, depth + 1) if operation.opcode in CALLED_BACK else 0
                lines += _swap(operation, _recipient(operation, following), length)
            case _:
                raise ValueError("The floor of a route has no loan.")
    caller = frames[depth - 1][-1] if depth else None
    if isinstance(caller, Swap) and caller.opcode is Opcode.UNISWAP_V3_PAID:
        asked = "0x04" if caller.zero_for_one else "0x24"
        lines += _transfer(token, "caller()", f"calldataload({asked})")
    return lines


def _transfer(token: Address, to: str, amount: str) -> list[str]:
    return [
        f"mstore(0x00, {0xA9059CBB << 224})",
        f"mstore(0x04, {to})",
        f"mstore(0x24, {amount})",
        f"pop(call(gas(), {token}, 0, 0x00, 0x44, 0x00, 0x00))",
    ]


def _recipient(swap: Swap, following: Operation | None) -> str:
    if swap.to is To.NEXT:
        assert isinstance(following, Swap)
        return following.pool
    return {To.SELF: "address()", To.CALLER: "caller()"}.get(swap.to) or str(swap.recipient)


def _swap(swap: Swap, to: str, data_length: int) -> list[str]:
    """Memory behind the arguments is zero or does not matter: the data's content is looked at by nobody."""
    if swap.opcode in V3_SWAPS:
        limit = LOWEST_PRICE if swap.zero_for_one else HIGHEST_PRICE
        words: list[str | int] = [to, int(swap.zero_for_one), swap.amount, limit, 0xA0, data_length]
        selector = 0x128ACB08
    else:
        amounts = (0, swap.amount) if swap.zero_for_one else (swap.amount, 0)
        words = [*amounts, to, 0x80, data_length]
        selector = 0x022C0D9F
    lines = [f"mstore(0x00, {selector << 224})"]
    lines += [f"mstore({4 + 32 * index}, {word})" for index, word in enumerate(words)]
    size = 4 + 32 * len(words) + data_length
    return [*lines, f"pop(call(gas(), {swap.pool}, 0, 0x00, {size}, 0x00, 0x00))"]
