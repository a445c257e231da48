"""The least gas a route can cost: a contract in Yul that makes the route's pool calls with everything hard-coded.

It checks nothing and decodes nothing: no caller, no callback, no balance, no profit. Its calldata is empty. A callback
is told from the next by the length of the data that the pool hands back, which is as short as it can be.
"""

from __future__ import annotations

from collections.abc import Sequence

from keeper.domain.route import Route
from keeper.domain.swap_detail import V4Key
from keeper.domain.units import Address
from keeper.execution.codec import Operation, Stream, Swap
from keeper.execution.opcodes import PAYS, V2_SWAPS, V3_BOUNDED, V3_SWAPS, Opcode, To

LOWEST_PRICE, HIGHEST_PRICE = 4295128740, 1461446703485210103287273052203988822378723970341
V3_LENGTH_AT = 0x64
"""Where the calldata of a V3 callback tells the length of its data."""


def floor_source(stream: Stream) -> str:
    """Yul that makes the calls of ``stream``, which has to be a route's flash swap."""
    callbacks: list[tuple[int, list[str]]] = []
    entry = _statements(stream.operations, stream.token, "address()", callbacks)
    code: list[str] = []
    for length, body in callbacks:
        if len(callbacks) == 1:
            condition = "calldatasize()"
        elif length:
            condition = f"eq(calldataload({V3_LENGTH_AT}), {length})"
        else:
            condition = f"lt(sub(calldatasize(), 1), {V3_LENGTH_AT + 0x20})"
        code.append("\n".join((f"if {condition} {{", *body, "stop()", "}")))
    return _object("\n".join((*code, *entry)))


def v4_floor_source(route: Route) -> str:
    """Yul that takes what ``route``, through pools of Uniswap V4 in a circle, leaves of its token."""
    lines: list[str] = []
    for hop in route.hops:
        key = hop.detail
        if not isinstance(key, V4Key):
            raise ValueError("The floor of a V4 route has V4 pools alone.")
        limit = LOWEST_PRICE if hop.zero_for_one else HIGHEST_PRICE
        pool = [key.currency0, key.currency1, key.fee_pips, key.tick_spacing, key.hooks]
        words = [*pool, int(hop.zero_for_one), f"sub(0, {hop.amount_in})", limit, 0x120, 0]
        lines += _call(0xF3CD914C, words, "caller()")
        manager = key.manager
    lines += _call(0x0B0D9C09, [route.token, "address()", route.gross_profit], "caller()")
    callback = ("if gt(calldatasize(), 4) {", *lines, "mstore(0, 0x20)", "mstore(0x20, 0)", "return(0, 0x40)", "}")
    unlock = _call(0x48C89491, [0x20, 0], manager)
    # the manager pays the chain's coin out with a call that has no data, the entry is told by a byte
    return _object("\n".join((*callback, "if calldatasize() {", *unlock, "}")))


def _object(runtime: str) -> str:
    return f"""object "Floor" {{
code {{ datacopy(0, dataoffset("runtime"), datasize("runtime")) return(0, datasize("runtime")) }}
object "runtime" {{ code {{
{runtime}
}} }} }}"""


def _statements(
    operations: Sequence[Operation], token: Address, home: str, callbacks: list[tuple[int, list[str]]]
) -> list[str]:
    """The calls of one frame; ``callbacks`` gets the length of the data and the calls of each frame within."""
    lines: list[str] = []
    for position, operation in enumerate(operations):
        if not isinstance(operation, Swap):
            raise ValueError("The floor of a route has no loan.")
        rest = operations[position + 1 :]
        if operation.amount_in is not None:
            lines += _transfer(token, operation.pool, str(operation.amount_in))
        inner = operation.inner if operation.opcode in V3_BOUNDED else rest
        called = operation.opcode in V3_SWAPS or operation.opcode is Opcode.UNISWAP_V2_FLASH
        to = {To.SELF: "address()", To.CALLER: home}.get(operation.to) or _pool(rest)
        if not called:
            lines += _swap(operation, to, 0)
            continue
        body: list[str] = []
        if operation.opcode is not Opcode.UNISWAP_V3_DIRECT:
            body = _statements(inner, token, "caller()", callbacks)
        if operation.opcode in PAYS:
            asked = "0x04" if operation.zero_for_one else "0x24"
            body += _transfer(token, "caller()", f"calldataload({asked})")
        # a pair does not call back without data; of V3 pools the innermost gets none
        length = 1 if operation.opcode in V2_SWAPS else len(callbacks)
        callbacks.append((length, body))
        lines += _swap(operation, to, length)
        if operation.opcode is not Opcode.UNISWAP_V3_DIRECT and operation.opcode not in V3_BOUNDED:
            break
    return lines


def _pool(rest: Sequence[Operation]) -> str:
    following = rest[0]
    if not isinstance(following, Swap):
        raise ValueError("There is no pool to deliver to.")
    return following.pool


def _transfer(token: Address, to: str, amount: str) -> list[str]:
    return [
        f"mstore(0x00, {0xA9059CBB << 224})",
        f"mstore(0x04, {to})",
        f"mstore(0x24, {amount})",
        f"pop(call(gas(), {token}, 0, 0x00, 0x44, 0x00, 0x00))",
    ]


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
    return _call(selector, words, swap.pool, data_length)


def _call(selector: int, words: Sequence[str | int], target: str, data_length: int = 0) -> list[str]:
    lines = [f"mstore(0x00, {selector << 224})"]
    lines += [f"mstore({4 + 32 * index}, {word})" for index, word in enumerate(words)]
    size = 4 + 32 * len(words) + data_length
    return [*lines, f"pop(call(gas(), {target}, 0, 0x00, {size}, 0x00, 0x00))"]
