"""Many view calls in few requests, all on the state of one block, through the Multicall3 contract."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from eth_utils.crypto import keccak

from keeper.domain.errors import ComponentError, InputError
from keeper.domain.units import ZERO_ADDRESS, Address
from keeper.market.node import COMPONENT, Block, Node, RpcError

MULTICALL3 = Address("0xcA11bde05977b3631167028862bE2a173976CA11")
"""The same address on every chain that has it."""
BATCH_CALLS = 500
_SMALLEST_BATCH = 32
_IN_FLIGHT = 4
_WORD = 32
_AGGREGATE3 = keccak(text="aggregate3((address,bool,bytes)[])")[:4]
_ALLOW_FAILURE = (1).to_bytes(_WORD, "big")

_NOBODY = {"from": ZERO_ADDRESS}
"""Nodes differ in whom they take for the caller where none is named, and Balancer's Vault quotes to nobody else."""

Call = tuple[Address, bytes]
"""Target and calldata."""
Progress = Callable[[str, int, int], None]
"""Told what is being read, how much of it is done, and how much there is."""


async def aggregate(
    node: Node,
    calls: Sequence[Call],
    block: Block,
    *,
    batch_calls: int = BATCH_CALLS,
) -> list[bytes | None]:
    """What each call returns, None for one that reverts; a target without code returns nothing.

    A batch that the node refuses, because of its gas or size, is halved down to a few calls.

    Args:
        block: give a hash where all batches have to see one state.

    Raises:
        ComponentError: the node is unwell, or there is no Multicall3 on its chain.
        RpcError: the node refuses even a small batch.
    """
    gate = asyncio.Semaphore(_IN_FLIGHT)

    async def read(batch: Sequence[Call]) -> list[bytes | None]:
        async with gate:
            try:
                answer = await node.call(MULTICALL3, encode_aggregate3(batch), block, **_NOBODY)
            except RpcError:
                if len(batch) <= _SMALLEST_BATCH:
                    raise
                answer = None
        if answer is None:
            middle = len(batch) // 2
            return await read(batch[:middle]) + await read(batch[middle:])
        return decode_aggregate3(answer, len(batch))

    tasks = [asyncio.create_task(read(calls[at : at + batch_calls])) for at in range(0, len(calls), batch_calls)]
    try:
        return [result for results in await asyncio.gather(*tasks) for result in results]
    finally:
        # after a failure the other batches are of no use
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def encode_aggregate3(calls: Sequence[Call]) -> bytes:
    """Calldata of ``aggregate3`` with ``allowFailure`` set; a general ABI encoder takes ten times as long."""
    tuples: list[bytes] = []
    offsets: list[bytes] = []
    offset = _WORD * len(calls)
    for target, data in calls:
        padded = data + bytes(-len(data) % _WORD)
        item = b"".join(
            (
                int(target, 16).to_bytes(_WORD, "big"),
                _ALLOW_FAILURE,
                (3 * _WORD).to_bytes(_WORD, "big"),
                len(data).to_bytes(_WORD, "big"),
                padded,
            )
        )
        offsets.append(offset.to_bytes(_WORD, "big"))
        tuples.append(item)
        offset += len(item)
    head = (_WORD).to_bytes(_WORD, "big") + len(calls).to_bytes(_WORD, "big")
    return b"".join((_AGGREGATE3, head, *offsets, *tuples))


def decode_aggregate3(answer: bytes, count: int) -> list[bytes | None]:
    """The ``(bool success, bytes returnData)[]`` of ``aggregate3``; `ComponentError` when it is anything else."""
    if not answer:
        raise InputError("chain", f"no code at {MULTICALL3}", "Use a chain on which Multicall3 is deployed.")
    array = _word(answer, 0)
    if _word(answer, array) != count:
        raise _rubbish()
    base = array + _WORD
    results: list[bytes | None] = []
    for number in range(count):
        item = base + _word(answer, base + _WORD * number)
        start = item + _word(answer, item + _WORD)
        length = _word(answer, start)
        data = answer[start + _WORD : start + _WORD + length]
        if len(data) != length:
            raise _rubbish()
        results.append(data if _word(answer, item) else None)
    return results


def _word(answer: bytes, at: int) -> int:
    word = answer[at : at + _WORD]
    if len(word) != _WORD:
        raise _rubbish()
    return int.from_bytes(word, "big")


def _rubbish() -> ComponentError:
    return ComponentError(COMPONENT, "the answer of Multicall3 is not an array of results", "Check the node.")
