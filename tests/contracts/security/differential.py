"""The keeper's codec against the contract, stream by stream, valid and spoilt: `make differential`.

Every stream is run on the deployed code, among parties that play `solidity/Bench.sol`. What the keeper can read has to
end as `reference` says, with exactly those calls; at what it cannot read the contract has to revert, with an error of
its own, unless it never gets there: what a bounded swap through an address without code holds is never run.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from random import Random

import click
from eth_abi.abi import decode as abi_decode

from keeper.domain.errors import InputError
from keeper.domain.units import Address
from keeper.execution.codec import Loan, Operation, Step, Stream, Swap, V4Swap
from keeper.execution.opcodes import ETHEREUM_POOL_MANAGER, LOANS, Opcode, To
from tests.contracts.compiler import compile_sources, executor_sources, read_sources
from tests.contracts.security.bare_node import FIRST_BLOCK, bare_node
from tests.contracts.security.cast import HOSTILE
from tests.contracts.security.generate import COIN, Stock, general_stream, short_operations, spoil, v4_operations
from tests.contracts.security.reference import Reference, Surroundings
from tests.contracts.site import ERRORS, FOREVER, OPERATOR, WETH, Site, calldata

BATCH = 20
CALL_GAS = 16_000_000
COINS = 1 << 116
PARTIES = tuple(Address(f"0x{'71' * 19}{number:02x}") for number in range(1, 5))
TOKENS = tuple(Address(f"0x{'72' * 19}{number:02x}") for number in range(1, 3))
OP_STACK_WETH = Address("0x4200000000000000000000000000000000000006")
NOBODY = Address("0x" + "73" * 20)
"""An address without code."""
STOCK = Stock(
    pools=(*PARTIES * 6, NOBODY),
    tokens=(*TOKENS * 3, WETH, WETH, OP_STACK_WETH, COIN),
    receivers=(*PARTIES, OPERATOR, NOBODY),
    amounts=(1, 2, 3, 4, 100, 255, 256, 10**18, 2**111, 2**112 - 1),
)
RUNTIME_ERRORS = frozenset(
    ("BadStream", "CallbackMissing", "NotWatched", "TokenFailed", "AllowanceLeft", "Expired", "WrongParent")
)
"""What may come before the part of a stream that cannot be read."""


PRECOMPILED = 0x200
"""The addresses below are those of precompiled contracts."""
V3_SWAP = bytes.fromhex("128acb08")


@dataclass
class Report:
    """What became of the streams; ``disagreements`` tells of each the stream, what was expected, what came."""

    streams: int = 0
    valid: int = 0
    mangled: int = 0
    ends: Counter[str] = field(default_factory=Counter)
    disagreements: list[str] = field(default_factory=list)


class Comparison:
    """One executor, and the parties around it, which take the place of whatever is at their addresses."""

    def __init__(self, site: Site) -> None:
        self.site = site
        node = site
        bench = "0x" + compile_sources(read_sources(HOSTILE), quick=True)["Bench"].runtime.hex()
        parties = (*PARTIES, *TOKENS, WETH, OP_STACK_WETH, ETHEREUM_POOL_MANAGER, OPERATOR)
        for party in parties:
            node.rpc("anvil_setCode", party, bench)
        node.rpc("anvil_setBalance", self.site.executor, hex(COINS))
        head = node.rpc("eth_getBlockByNumber", "latest", False)
        self.around = Surroundings(
            executor=int(self.site.executor, 16),
            parties=frozenset(int(party, 16) for party in parties),
            number=int(head["number"], 16),
            time=int(head["timestamp"], 16),
            parent_prefix=bytes.fromhex(head["parentHash"][2:10]),
        )

    def run(self, streams: list[bytes]) -> list[tuple[str, bytes]]:
        """The error by name, or in hex where it is none of the contract's, and the hash of the calls, of each."""
        data = "0x" + calldata("run(address,bytes[])", self.site.executor, streams).hex()
        request = {"from": OPERATOR, "to": OPERATOR, "data": data, "gas": hex(CALL_GAS)}
        answer = bytes.fromhex(self.site.rpc("eth_call", request, "latest")[2:])
        results, number, time = abi_decode(["(bool,bytes4,bytes32)[]", "uint256", "uint256"], answer)
        assert (number, time) == (self.around.number, self.around.time)
        return [("", trace) if ok else (ERRORS.get(error, error.hex()), bytes(32)) for ok, error, trace in results]

    def _hands_to_nobody(self, data: bytes) -> bool:
        """Whether a V3 swap goes to an address without code, which does not open its callback's frame."""
        calls = self.site.calls(OPERATOR, data)
        return any(call[:4] == V3_SWAP and int(to, 16) not in self.around.parties for to, call in calls)

    def _meets_a_precompile(self, data: bytes) -> bool:
        """A changed byte may name one; they answer in ways of their own."""
        return any(0 < int(to, 16) < PRECOMPILED for to, _ in self.site.calls(OPERATOR, data))

    def compare(self, streams: list[bytes], report: Report) -> None:
        for data, (error, trace) in zip(streams, self.run(streams), strict=True):
            try:
                expected = Reference(self.around).outcome(data)
            except InputError as unreadable:
                explained = error in RUNTIME_ERRORS or (error == "" and self._hands_to_nobody(data))
                if not explained and self._meets_a_precompile(data):
                    report.ends["not compared: a precompiled contract was called"] += 1
                    continue
                if not explained:
                    report.disagreements.append(f"{data.hex()}: unreadable ({unreadable}), but {error or 'it ran'}")
                report.ends[f"unreadable: {error}"] += 1
                continue
            if expected != (error, trace) and self._meets_a_precompile(data):
                report.ends["not compared: a precompiled contract was called"] += 1
                continue
            report.ends[f"readable: {error or 'ran'}"] += 1
            if expected != (error, trace):
                what = f"{expected[0] or 'ran'}, but {error or 'ran'}" if expected[0] != error else "other calls"
                report.disagreements.append(f"{data.hex()}: {what}")


def some_streams(chance: Random, parent_prefix: bytes) -> Iterator[tuple[bool, bytes]]:
    """Half of them valid, half of them spoilt; half of either for one of the short ways."""
    while True:
        match chance.randint(0, 9):
            case 0 | 1 | 2 | 3:
                stream = Stream(0, FOREVER, None, WETH, short_operations(chance, STOCK))
            case 4:
                stream = Stream(0, FOREVER, None, COIN, v4_operations(chance, STOCK))
            case _:
                stream = general_stream(chance, STOCK, FOREVER)
        if chance.random() < 0.1:
            minimum = chance.choice((0, 1, 10**9, 2**112 - 1))
            last_block = chance.choice((1, FIRST_BLOCK - 1, FIRST_BLOCK, FIRST_BLOCK + 100))
            prefix = chance.choice((None, parent_prefix, b"none"))
            if isinstance(stream.operations[0], Step) and stream.operations[0].opcode is Opcode.V4_UNLOCK_ETHEREUM:
                prefix, last_block = None, max(last_block, 1)  # there is no other form of it
            stream = Stream(
                minimum, last_block, prefix, stream.token, stream.operations, stream.builder_bps, stream.watched
            )
        data = stream.to_bytes()
        mangled = chance.random() < 0.5
        yield mangled, spoil(chance, data) if mangled else data


def edges() -> list[bytes]:
    """What chance rarely comes to: operations where they cannot stand, and frames that end within one."""
    pool, token = PARTIES[0], TOKENS[0]
    begin, pair = (Swap(opcode, pool, True, To.SELF, 9) for opcode in (Opcode.UNISWAP_V3, Opcode.UNISWAP_V2))
    flash = Swap(Opcode.UNISWAP_V2_FLASH, pool, True, To.CALLER, 9)
    direct = Swap(Opcode.UNISWAP_V3_DIRECT, pool, True, To.SELF, 9)
    loan = Loan(Opcode.MORPHO, pool, 9)
    swap = V4Swap(500, 10, True, (COIN, token), None, 9)
    routes: list[tuple[Address, tuple[Operation, ...]]] = [
        (WETH, (begin, flash)),
        (WETH, (begin, pair, flash)),
        (WETH, (begin, loan)),
        (WETH, (begin, pair, loan)),
        (WETH, (flash, direct)),
        (COIN, (Step(Opcode.V4_UNLOCK_ETHEREUM, ()), swap, pair)),
        (COIN, (Step(Opcode.V4_UNLOCK_ETHEREUM, ()), pair)),
        (token, (begin, Step(Opcode.V4_CLOSE, ()))),
    ]
    found = [Stream(0, FOREVER, None, earned, operations).to_bytes() for earned, operations in routes]
    found += [Stream(0, FOREVER, None, token, (Loan(opcode, pool, 9),)).to_bytes() for opcode in sorted(LOANS)]
    # a list of watched tokens that is cut off
    found.append(Stream(0, FOREVER, None, token, (), 0, (WETH,)).to_bytes()[:-1])
    # a receiver that there is not
    found += [Stream(0, FOREVER, None, token, (Step(Opcode.PAY, (token, 1, To.SELF)),)).to_bytes()[:-1] + b"\x04"]
    # bytes of its own that a bounded swap has not got: in the callback there are others behind the end
    bounded = Swap(Opcode.UNISWAP_V3_BOUNDED, pool, True, To.SELF, 9, None, (direct,))
    for earned in (WETH, token):
        whole = Stream(0, FOREVER, None, earned, (begin, bounded)).to_bytes()
        found.append(whole[:-36] + bytes((49,)))
        found.append(whole[:-1])
    return found


def compare_streams(comparison: Comparison, count: int, seed: int, *, progress: bool = False) -> Report:
    report = Report()
    comparison.compare(edges(), report)
    source = some_streams(Random(seed), comparison.around.parent_prefix)
    while report.streams < count and len(report.disagreements) < 20:
        batch = [next(source) for _ in range(min(BATCH, count - report.streams))]
        comparison.compare([data for _, data in batch], report)
        report.streams += len(batch)
        report.mangled += sum(mangled for mangled, _ in batch)
        report.valid = report.streams - report.mangled
        if progress and report.streams % 10_000 < len(batch):
            sys.stderr.write(f"{report.streams:,} streams, {len(report.disagreements)} disagreements\n")
    return report


@click.command()
@click.option("--streams", default=100_000, show_default=True, help="How many.")
@click.option("--seed", default=7, show_default=True, help="Of the random streams.")
@click.option("--json", "as_json", is_flag=True, help="End with one JSON object on stdout.")
def main(streams: int, seed: int, as_json: bool) -> None:
    """Run random streams, valid and spoilt, on the contract, and compare with the keeper's reading of them."""
    with bare_node() as node:
        comparison = Comparison(Site(node, compile_sources(executor_sources())["Executor"].init_code))
        report = compare_streams(comparison, streams, seed, progress=True)
    for end, times in report.ends.most_common():
        sys.stderr.write(f"  {times:>8,}  {end}\n")
    for disagreement in report.disagreements:
        sys.stderr.write(f"{disagreement}\n")
    if as_json:
        counts = {"streams": report.streams, "valid": report.valid, "mangled": report.mangled}
        sys.stdout.write(json.dumps({**counts, "disagreements": len(report.disagreements)}) + "\n")
    if report.disagreements:
        raise SystemExit("The keeper and the contract do not agree.")


if __name__ == "__main__":
    main()
