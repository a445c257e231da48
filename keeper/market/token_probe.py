"""Probes tokens by simulation: from a pool to the executor and back, before a route may contain them.

A token is what its code does, so nothing is believed that it says of itself. In one eth_simulateV1 request the code of
``solidity/TokenProbe.sol`` stands at the addresses of a pool and of the executor and sends the token to and fro at
several sizes; what counts is how the balances change. Nothing is sent to the chain.

Limits: a token that treats this pool, this executor or this moment unlike others is not seen through, nor one that
changes later. Every plan is therefore still simulated as a whole before it is signed.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from typing import Any

from keeper.domain.chain import BlockHeader
from keeper.domain.errors import ComponentError
from keeper.domain.token_facts import TokenFacts
from keeper.domain.units import Address
from keeper.market.multicall import Progress
from keeper.market.node import COMPONENT, Node, RpcError, to_bytes, to_quantity
from keeper.market.readers.answers import argument, selector
from keeper.market.token_probe_code import PROBE_CODE
from keeper.market.token_probe_slots import find_balance_slot
from keeper.market.token_verdict import DIVISORS, VIEWS, judge, report_words

log = logging.getLogger(__name__)

_MEASURE = selector("measure(address,address,address,uint256[])")
_PEEK = selector("peek(address,bytes[])")
_BALANCE_OF = selector("balanceOf(address)")
_STRANGER = Address("0x5EEd000000000000000000000000000000000001")
_HOLDER = Address("0x5EEd000000000000000000000000000000000002")
"""Holds the token where no pool does: its balance is written into the token's storage."""
_WRITTEN_BALANCE = 10**18
_GAS = 15_000_000
_MONTH_SECONDS = 30 * 86_400
_GWEI = 10**9
_WORD = 32
_NO_SUCH_METHOD = -32601


class TokenProbe:
    """Probes tokens and remembers the verdicts.

    Args:
        executor: where tokens go; need not be deployed.
        operator: who calls it.
        known: verdicts from earlier, which are not probed again.
        in_flight: requests at a time.

    Attributes:
        facts: all verdicts by token, for whoever wants to keep them.
    """

    def __init__(
        self,
        node: Node,
        *,
        executor: Address,
        operator: Address,
        known: Mapping[Address, TokenFacts] | None = None,
        block_seconds: int = 12,
        in_flight: int = 4,
    ) -> None:
        self._node = node
        self._executor = executor
        self._operator = operator
        self._block_seconds = block_seconds
        self._in_flight = in_flight
        self.facts: dict[Address, TokenFacts] = dict(known or {})

    async def probe(
        self, holders: Mapping[Address, Address], block: BlockHeader, *, progress: Progress | None = None
    ) -> Mapping[Address, TokenFacts]:
        """The verdicts on the tokens that are the keys, those known already included.

        Args:
            holders: by token, an account that holds it: the pool, or its vault, with most of it.
            block: at whose end the tokens are probed.
            progress: told of each verdict.

        Raises:
            ComponentError: the node is unwell or does not serve eth_simulateV1.
            RpcError: the node refuses, for example because the block is gone.
        """
        gate = asyncio.Semaphore(self._in_flight)
        waiting = [token for token in holders if token not in self.facts]
        done = 0

        async def one(token: Address) -> None:
            nonlocal done
            async with gate:
                # one request a token, so that what one does cannot change what is seen of another
                self.facts[token] = await self._probe(token, holders[token], block)
            done += 1
            if progress is not None:
                progress("tokens", done, len(waiting))

        tasks = [asyncio.create_task(one(token)) for token in waiting]
        try:
            await asyncio.gather(*tasks)
        finally:
            # after a failure the others are of no use
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        return {token: self.facts[token] for token in holders}

    async def _probe(self, token: Address, holder: Address, block: BlockHeader) -> TokenFacts:
        facts = await self._simulate(token, holder, block, {})
        if facts is None:
            slot = await find_balance_slot(self._node, token, _HOLDER, block)
            if slot is not None:
                written = {token: {"stateDiff": {f"0x{slot:064x}": f"0x{_WRITTEN_BALANCE:064x}"}}}
                facts = await self._simulate(token, _HOLDER, block, written)
        if facts is None:
            facts = judge(token, None, None, None)
        if facts.refused is not None:
            log.info("token %s is refused: %s", token, facts.refused)
        return facts

    async def _simulate(
        self, token: Address, holder: Address, block: BlockHeader, overrides: Mapping[Address, Mapping[str, Any]]
    ) -> TokenFacts | None:
        """The verdict; None where the holder has none of the token."""
        holds = _BALANCE_OF + _address(holder)
        views = [_view(signature, self._executor, holder) for signature in VIEWS]
        state: dict[Address, Mapping[str, Any]] = {place: {"code": PROBE_CODE} for place in (self._executor, holder)}
        state |= {_STRANGER: {"code": PROBE_CODE}, self._operator: {"balance": hex(10**24)}, **overrides}
        first = {
            "blockOverrides": self._header(block, 1, self._block_seconds),
            "stateOverrides": state,
            "calls": [
                self._call(
                    _MEASURE + _address(token) + _address(holder) + _address(_STRANGER) + _words(DIVISORS), block
                ),
                self._call(_PEEK + _address(token) + _byte_strings(views), block),
            ],
        }
        second = {
            "blockOverrides": self._header(block, 2, self._block_seconds + _MONTH_SECONDS),
            "calls": [self._call(_PEEK + _address(token) + _byte_strings([holds]), block)],
        }
        try:
            answer = await self._node.request(
                "eth_simulateV1",
                {"blockStateCalls": [first, second], "traceTransfers": False, "validation": False},
                {"blockHash": block.hash, "requireCanonical": True},
            )
        except RpcError as error:
            if error.code == _NO_SUCH_METHOD:
                raise _no_simulation("it does not know eth_simulateV1") from error
            raise
        try:
            measured, peeked, later = (call for simulated in answer for call in simulated["calls"])
            reports = [
                report_words(to_bytes(call["returnData"], "eth_simulateV1.returnData"))
                if to_quantity(call["status"], "eth_simulateV1.status") == 1
                else None
                for call in (measured, peeked, later)
            ]
        except (KeyError, TypeError, ValueError) as error:
            raise _no_simulation(
                f"eth_simulateV1 answers with no two blocks of calls ({type(error).__name__})"
            ) from error
        if reports[0] is not None and reports[0][:2] == [1, 0]:
            return None
        return judge(token, *reports)

    def _header(self, block: BlockHeader, further: int, seconds: int) -> dict[str, str]:
        return {
            "number": hex(block.number + further),
            "time": hex(block.timestamp + seconds),
            "baseFeePerGas": hex(block.base_fee),
            "feeRecipient": block.coinbase,
            "gasLimit": hex(max(block.gas_limit, 2 * _GAS)),
        }

    def _call(self, data: bytes, block: BlockHeader) -> dict[str, str]:
        """Priced as a transaction is, since tokens can tell."""
        return {
            "from": self._operator,
            "to": self._executor,
            "input": "0x" + data.hex(),
            "gas": hex(_GAS),
            "maxFeePerGas": hex(2 * block.base_fee + _GWEI),
            "maxPriorityFeePerGas": hex(_GWEI),
        }


def _no_simulation(problem: str) -> ComponentError:
    return ComponentError(
        COMPONENT,
        problem,
        "Use a node that serves eth_simulateV1 (geth 1.14.9 or later), which proves every plan as well.",
    )


def _address(account: Address) -> bytes:
    return argument(int(account, 16))


def _view(signature: str, executor: Address, holder: Address) -> bytes:
    """Calldata of a view that takes nothing, or an account: lists are asked for the executor, shares for the holder."""
    name = signature[: signature.index("(")]
    if signature.endswith("()"):
        return selector(signature)
    asked = executor if name.lower().startswith(("isblack", "isfrozen")) else holder
    return selector(signature) + _address(asked)


def _words(values: tuple[int, ...]) -> bytes:
    """A ``uint256[]`` as the fourth and last argument."""
    return b"".join(map(argument, (4 * _WORD, len(values), *values)))


def _byte_strings(values: list[bytes]) -> bytes:
    """A ``bytes[]`` as the second and last argument."""
    offsets, body, at = b"", b"", _WORD * len(values)
    for value in values:
        text = argument(len(value)) + value + bytes(-len(value) % _WORD)
        offsets += argument(at)
        body += text
        at += len(text)
    return argument(2 * _WORD) + argument(len(values)) + offsets + body
