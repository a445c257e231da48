"""The keeper's codec and the contract agree on every stream, well formed or not."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from keeper.domain.errors import InputError
from keeper.domain.plan import Financing
from keeper.domain.route import Hop, Route
from keeper.domain.token import TRADED_VENUES, LenderKind, VenueKind
from keeper.domain.units import Address, Hash32
from keeper.execution import opcodes
from keeper.execution.codec import Loan, Operation, Stream, Swap, decode, encode
from keeper.execution.opcodes import CALLED_BACK, PAID, SWAPS, TOKEN_NUMBERS, V3_SWAPS, Opcode, To
from tests.conftest import RunningReplica
from tests.contracts.attacks import ACCOMPLICE, OTHER, POOL, TOKEN
from tests.contracts.compiler import CONTRACTS, Compiled
from tests.contracts.site import FOREVER, OPERATOR, Site, calldata

EXECUTOR = Address("0x5B31b462E28ac7DE63921D581bA6aD3232d6245F")
TARGETS = st.sampled_from((POOL, OTHER, ACCOMPLICE))
AMOUNTS = st.one_of(st.integers(1, 300), st.integers(1, 2**112 - 1))
LOWEST_PRICE, HIGHEST_PRICE = 4295128740, 1461446703485210103287273052203988822378723970341
differential = settings(
    max_examples=250, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


# ---------------------------------------------------------------------- one table


def test_the_contract_has_the_same_table() -> None:
    source = (CONTRACTS / "libraries" / "Opcodes.sol").read_text(encoding="utf-8")
    constants = {name: int(value, 0) for name, value in re.findall(r"constant (\w+) = (0x\w+|\d+);", source)}
    for opcode in Opcode:
        assert constants[opcode.name] == opcode
    for to in To:
        assert constants[f"TO_{to.name}"] == to
    for name in ("FLAG_BITS", "TO_MASK", "ZERO_FOR_ONE", "HEAD_WIDTH", "ADDRESS_WIDTH", "AMOUNT_WIDTH"):
        assert constants[name] == getattr(opcodes, name)
    named = {name for name in constants if re.fullmatch(r"(UNISWAP|MORPHO|BALANCER|AAVE)\w*", name)}
    assert named == {opcode.name for opcode in Opcode}


# ---------------------------------------------------------------------- streams


@st.composite
def operations(draw: st.DrawFn) -> tuple[Operation, ...]:
    """Well-formed operations, in orders that no route would have."""
    result: list[Operation] = []
    frame: Opcode | None = None
    for _ in range(draw(st.integers(1, 7))):
        after_delivery = bool(result) and _wants_swap(result[-1])
        choices = SWAPS - PAID if after_delivery else SWAPS if frame is not None else set(Opcode)
        opcode = draw(st.sampled_from(sorted(choices)))
        operation: Operation
        if opcode in SWAPS:
            targets = {To.SELF, To.NEXT, To.EXPLICIT, To.CALLER}
            targets -= set() if frame is not None else {To.CALLER}
            targets -= {To.EXPLICIT} if opcode in V3_SWAPS else set()
            to = To.SELF if opcode is Opcode.UNISWAP_V2_FLASH else draw(st.sampled_from(sorted(targets)))
            recipient = draw(TARGETS) if to is To.EXPLICIT else None
            amount_in = draw(AMOUNTS) if opcode is Opcode.UNISWAP_V2_PAID else None
            operation = Swap(opcode, draw(TARGETS), draw(st.booleans()), to, recipient, draw(AMOUNTS), amount_in)
        else:
            operation = Loan(opcode, draw(TARGETS), draw(AMOUNTS))
        if operation.opcode in CALLED_BACK:
            frame = operation.opcode
        result.append(operation)
    if _wants_swap(result[-1]):
        result.append(Swap(Opcode.UNISWAP_V2, draw(TARGETS), draw(st.booleans()), To.SELF, None, draw(AMOUNTS)))
    return tuple(result)


def _wants_swap(operation: Operation) -> bool:
    return isinstance(operation, Swap) and operation.to is To.NEXT


def stream_of(operations: tuple[Operation, ...]) -> Stream:
    return Stream(min_profit=0, last_block=FOREVER, parent_prefix=None, token=TOKEN, operations=operations)


@given(
    operations(),
    st.sampled_from((TOKEN, *TOKEN_NUMBERS)),
    st.integers(0, 2**96 - 1),
    st.integers(0, 2**28 - 1),
    st.none() | st.binary(min_size=4, max_size=4),
)
def test_what_is_written_is_read_back(
    operations: tuple[Operation, ...], token: Address, min_profit: int, last_block: int, parent: bytes | None
) -> None:
    stream = Stream(min_profit, last_block, parent, token, operations)
    assert decode(stream.to_bytes()) == stream


# ---------------------------------------------------------------------- the contract's reading


@pytest.fixture(scope="module")
def stage(site: Site, replica: RunningReplica, stage_contract: Compiled) -> Iterator[Site]:
    for address in (POOL, OTHER, TOKEN, ACCOMPLICE):
        replica.rpc("anvil_setCode", address, "0x" + stage_contract.runtime.hex())
    return site


def expected_calls(stream: Stream, executor: Address) -> list[tuple[str, bytes]]:
    """Every call of the contract by this side's understanding of the stream; honest parties that charge nothing."""
    data = stream.to_bytes()
    header = len(data) - sum(len(_bytes(operation)) for operation in stream.operations)
    balance = (stream.token, calldata("balanceOf(address)", executor))
    calls = [balance]
    closing: list[list[tuple[str, bytes]]] = []
    caller, at = executor, header
    for position, operation in enumerate(stream.operations):
        start, at = at, at + len(_bytes(operation))
        following = stream.operations[position + 1] if position + 1 < len(stream.operations) else None
        token = bytes.fromhex(stream.token[2:])
        match operation:
            case Loan(opcode, lender, amount):
                calls.append((lender, _loan_call(opcode, stream.token, amount, executor, token + data[start:])))
                closing.append(_repayment(opcode, stream.token, lender, amount, executor))
                caller = lender
            case Swap():
                to = _recipient(operation, following, caller, executor)
                if operation.amount_in is not None:
                    payment = calldata("transfer(address,uint256)", operation.pool, operation.amount_in)
                    calls.append((stream.token, payment))
                called_back = operation.opcode in CALLED_BACK
                calls.append((operation.pool, _swap_call(operation, to, token + data[at:] if called_back else b"")))
                if called_back:
                    # the stage asks for 7 in a V3 callback
                    payment = calldata("transfer(address,uint256)", operation.pool, 7)
                    closing.append([(stream.token, payment)] if operation.opcode is Opcode.UNISWAP_V3_PAID else [])
                    caller = operation.pool
    for calls_back in reversed(closing):
        calls.extend(calls_back)
    return [*calls, balance]


def _bytes(operation: Operation) -> bytes:
    empty = len(Stream(0, 0, None, TOKEN, ()).to_bytes())
    return stream_of((operation,)).to_bytes()[empty:]


def _recipient(swap: Swap, following: Operation | None, caller: Address, executor: Address) -> Address:
    if swap.to is To.NEXT:
        assert isinstance(following, Swap)
        return following.pool
    return {To.SELF: executor, To.CALLER: caller}.get(swap.to) or swap.recipient or executor


def _swap_call(swap: Swap, to: Address, rest: bytes) -> bytes:
    if swap.opcode in V3_SWAPS:
        limit = LOWEST_PRICE if swap.zero_for_one else HIGHEST_PRICE
        signature = "swap(address,bool,int256,uint160,bytes)"
        padded = calldata(signature, to, swap.zero_for_one, swap.amount, limit, rest)
    else:
        out = (0, swap.amount) if swap.zero_for_one else (swap.amount, 0)
        padded = calldata("swap(uint256,uint256,address,bytes)", *out, to, rest)
    return _unpadded(padded, rest)


def _loan_call(opcode: Opcode, token: Address, amount: int, executor: Address, rest: bytes) -> bytes:
    match opcode:
        case Opcode.MORPHO:
            padded = calldata("flashLoan(address,uint256,bytes)", token, amount, rest)
        case Opcode.BALANCER_V2:
            padded = calldata("flashLoan(address,address[],uint256[],bytes)", executor, [token], [amount], rest)
        case _:
            signature = "flashLoanSimple(address,address,uint256,bytes,uint16)"
            padded = calldata(signature, executor, token, amount, rest, 0)
    return _unpadded(padded, rest)


def _unpadded(padded: bytes, rest: bytes) -> bytes:
    """The contract leaves the zeros behind the last argument away."""
    return padded[: len(padded) - -len(rest) % 32]


def _repayment(
    opcode: Opcode, token: Address, lender: Address, amount: int, executor: Address
) -> list[tuple[str, bytes]]:
    if opcode is Opcode.BALANCER_V2:
        return [(token, calldata("transfer(address,uint256)", lender, amount))]
    allowance = (token, calldata("allowance(address,address)", executor, lender))
    return [(token, calldata("approve(address,uint256)", lender, amount)), allowance]


@differential
@given(operations())
def test_the_contract_does_what_the_keeper_meant(stage: Site, operations: tuple[Operation, ...]) -> None:
    stream = stream_of(operations)
    data = stream.to_bytes()
    assert stage.call(OPERATOR, stage.executor, data).ok
    assert stage.calls(OPERATOR, data) == expected_calls(stream, stage.executor)


@st.composite
def mangled(draw: st.DrawFn) -> bytes:
    """A stream that was cut, lengthened or changed behind its header."""
    data = bytearray(stream_of(draw(operations())).to_bytes())
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(40, len(data) - 1)) if len(data) > 40 else len(data)
        match draw(st.sampled_from(("cut", "add", "insert", "change"))):
            case "cut":
                del data[at:]
            case "add":
                data += draw(st.binary(min_size=1, max_size=3))
            case "insert":
                data[at:at] = draw(st.binary(min_size=1, max_size=3))
            case "change" if at < len(data):
                data[at] = draw(st.integers(0, 255))
    return bytes(data)


@differential
@given(mangled())
def test_what_the_keeper_cannot_read_the_contract_does_not_run(stage: Site, data: bytes) -> None:
    """And the other way round. A changed address has no stage: its callback is missed before the bad part is read."""
    answer = stage.call(OPERATOR, stage.executor, data).error
    try:
        decode(data)
    except InputError:
        assert answer in {"BadStream", "CallbackMissing"}
    else:
        assert answer != "BadStream"


# ---------------------------------------------------------------------- what cannot be written


def hop(index: int, venue: VenueKind, token_in: str, token_out: str, amount_in: int, amount_out: int) -> Hop:
    pool = Address(f"0x{index + 1:040d}")
    return Hop(pool, venue, "test", Address(token_in), Address(token_out), True, amount_in, amount_out, 3000)


def loop(count: int, amount: int = 1000, venue: VenueKind = VenueKind.UNISWAP_V2) -> Route:
    tokens = [f"0x{9_000 + index:040d}" for index in range(count)]
    hops = [
        hop(index, venue, tokens[index], tokens[(index + 1) % count], amount + index, amount + index + 1)
        for index in range(count)
    ]
    return Route(tuple(hops))


def flash_swap(route: Route, **other: object) -> Financing:
    fields: dict[str, object] = {
        "kind": LenderKind.FLASH_SWAP,
        "lender": route.hops[0].pool,
        "amount": route.amount_in,
        "fee": 0,
        "reason": "",
    }
    return Financing(**{**fields, **other})  # type: ignore[arg-type]


def write(route: Route, financing: Financing | None = None, **other: object) -> bytes:
    fields: dict[str, object] = {"executor": EXECUTOR, "min_profit": 1, "last_block": 2}
    return encode(route, financing or flash_swap(route), **{**fields, **other})  # type: ignore[arg-type]


@pytest.mark.parametrize("count", range(2, 9))
@pytest.mark.parametrize("venue", TRADED_VENUES)
@pytest.mark.parametrize("kind", LenderKind)
def test_routes_of_two_to_eight_hops_can_be_written(count: int, venue: VenueKind, kind: LenderKind) -> None:
    route = loop(count, venue=venue)
    lender = route.hops[0].pool if kind is LenderKind.FLASH_SWAP else POOL
    parent = Hash32("0x0a0b0c0d" + "00" * 28)
    stream = decode(write(route, flash_swap(route, kind=kind, lender=lender), parent_hash=parent))
    assert (stream.min_profit, stream.last_block, stream.token) == (1, 2, route.token)
    assert stream.parent_prefix == b"\x0a\x0b\x0c\x0d"
    swaps = [operation for operation in stream.operations if isinstance(operation, Swap)]
    assert {swap.pool for swap in swaps} == route.pools
    loans = [operation for operation in stream.operations if isinstance(operation, Loan)]
    assert len(loans) == (kind is not LenderKind.FLASH_SWAP)


@pytest.mark.parametrize(
    ("field", "route", "changes"),
    [
        ("amount", loop(2, 2**112), {}),
        ("amount", loop(2, 0), {}),
        ("min_profit", loop(2), {"min_profit": 2**96}),
        ("min_profit", loop(2), {"min_profit": -1}),
        ("last_block", loop(2), {"last_block": 2**28}),
        ("parent_hash", loop(2), {"parent_hash": "0x1234"}),
        ("executor", loop(2), {"executor": loop(2).hops[1].pool}),
        ("route.hops", loop(9), {}),
        ("financing.amount", loop(2), {"financing": flash_swap(loop(2), amount=999)}),
        ("financing.lender", loop(2), {"financing": flash_swap(loop(2), lender=POOL)}),
        (
            "financing.lender",
            loop(2),
            {"financing": flash_swap(loop(2), kind=LenderKind.MORPHO)},
        ),
    ],
)
def test_what_cannot_be_encoded_is_named(field: str, route: Route, changes: dict[str, object]) -> None:
    with pytest.raises(InputError) as caught:
        write(route, **changes)  # type: ignore[arg-type]
    assert caught.value.field == field


@pytest.mark.parametrize("venue", sorted(set(VenueKind) - set(TRADED_VENUES)))
def test_a_venue_without_an_operation_is_refused(venue: VenueKind) -> None:
    with pytest.raises(InputError) as caught:
        write(loop(2, venue=venue))
    assert caught.value.field == "route.hops"
