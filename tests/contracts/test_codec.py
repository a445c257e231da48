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
from keeper.domain.token import LenderKind, VenueKind
from keeper.domain.units import ZERO_ADDRESS, Address, Hash32
from keeper.execution import opcodes
from keeper.execution.codec import Loan, Operation, Step, Stream, Swap, V4Swap, decode, encode
from keeper.execution.nesting import NESTED_VENUES
from keeper.execution.opcodes import (
    LOANS,
    PAYS,
    SWAPS,
    TOKEN_NUMBERS,
    V3_BOUNDED,
    V3_CALLED,
    V3_SWAPS,
    Opcode,
    To,
)
from keeper.execution.operations import LAYOUTS, Field, Value, operations_bytes, step
from keeper.execution.sequence import BALANCER_V3_VENUES, PULLED
from tests.conftest import RunningReplica
from tests.contracts.attacks import ACCOMPLICE, OTHER, POOL, TOKEN
from tests.contracts.compiler import CONTRACTS, Compiled
from tests.contracts.site import FOREVER, OPERATOR, WETH, Site, calldata

EXECUTOR = Address("0x5B31b462E28ac7DE63921D581bA6aD3232d6245F")
TARGETS = st.sampled_from((POOL, OTHER, ACCOMPLICE))
AMOUNTS = st.one_of(st.integers(1, 300), st.integers(1, 2**112 - 1))
LOWEST_PRICE, HIGHEST_PRICE = 4295128740, 1461446703485210103287273052203988822378723970341
STAGED_LOANS = (Opcode.MORPHO, Opcode.BALANCER_V2, Opcode.AAVE_V3)
differential = settings(
    max_examples=200, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


# ---------------------------------------------------------------------- one table


def test_the_contract_has_the_same_table() -> None:
    source = (CONTRACTS / "libraries" / "Opcodes.sol").read_text(encoding="utf-8")
    constants = {name: int(value, 0) for name, value in re.findall(r"constant (\w+) = (0x\w+|\d+);", source)}
    for opcode in set(Opcode) - SWAPS:
        assert constants[opcode.name] == opcode
    for to in To:
        assert constants[f"TO_{to.name}"] == to
    flags = {
        Opcode.UNISWAP_V2: ("V2",),
        Opcode.UNISWAP_V2_PAID: ("V2", "V2_PAID"),
        Opcode.UNISWAP_V2_FLASH: ("V2", "V2_PAID", "V2_CALLED"),
        Opcode.UNISWAP_V3: ("V3", "V3_CALLED"),
        Opcode.UNISWAP_V3_PAYS: ("V3", "V3_CALLED", "V3_PAYS"),
        Opcode.UNISWAP_V3_BOUNDED: ("V3",),
        Opcode.UNISWAP_V3_BOUNDED_PAYS: ("V3", "V3_PAYS"),
        Opcode.UNISWAP_V3_DIRECT: ("V3", "V3_DIRECT"),
    }
    assert set(flags) == SWAPS
    for opcode, names in flags.items():
        assert sum(constants[name] for name in names) == opcode
    shared = (
        "V2_ZERO_FOR_ONE",
        "V2_CALLED_ZERO_FOR_ONE",
        "V3_ZERO_FOR_ONE",
        "V4_ZERO_FOR_ONE",
        "V4_SAME",
        "V4_CHAINED",
    )
    shared += (
        "V4_HOOKED",
        "TO_MASK",
        "HEAD_WIDTH",
        "ADDRESS_WIDTH",
        "AMOUNT_WIDTH",
        "TARGET_WIDTH",
        "FIRST_MASK",
    )
    shared += ("HAS_PARENT", "HAS_BUILDER", "HAS_WATCHED")
    for name in shared:
        assert constants[name] == getattr(opcodes, name)
    assert constants["FIRST"] == Opcode.UNISWAP_V3
    numbers = {
        "ETHEREUM_WETH": "ETHEREUM",
        "OP_STACK_WETH": "OP_STACK",
        "ARBITRUM_WETH": "ARBITRUM",
        "POLYGON_WPOL": "POLYGON",
    }
    for coin, number in numbers.items():
        token = Address(f"0x{constants[coin]:040x}")
        assert {a.lower(): n for a, n in TOKEN_NUMBERS.items()}[token] == constants[f"NUMBER_{number}"]
    assert TOKEN_NUMBERS[ZERO_ADDRESS] == constants["NUMBER_NATIVE"]
    heads = {
        name for name, value in constants.items() if name.isupper() and value < 0x40 and name in Opcode.__members__
    }
    assert heads == {opcode.name for opcode in set(Opcode) - SWAPS}


# ---------------------------------------------------------------------- streams


@st.composite
def swaps(draw: st.DrawFn, depth: int, *, begins: bool = False) -> tuple[Operation, ...]:
    """Swaps in orders that no route would have; with ``begins`` the first one is called back."""
    result: list[Operation] = []
    for position in range(draw(st.integers(1, 4))):
        choices = SWAPS - {Opcode.UNISWAP_V2_FLASH}
        if begins and position == 0:
            choices = V3_CALLED | {Opcode.UNISWAP_V2_FLASH}
        elif depth == 0:
            choices = choices - V3_BOUNDED
        opcode = draw(st.sampled_from(sorted(choices)))
        to = To.CALLER if opcode is Opcode.UNISWAP_V2_FLASH else draw(st.sampled_from(To))
        paid = draw(AMOUNTS) if opcode is Opcode.UNISWAP_V2_PAID else None
        inner = draw(swaps(0)) if opcode in V3_BOUNDED else ()
        result.append(Swap(opcode, draw(TARGETS), draw(st.booleans()), to, draw(AMOUNTS), paid, inner))
    last = result[-1]
    if isinstance(last, Swap) and (last.to is To.NEXT or last.opcode in V3_CALLED | {Opcode.UNISWAP_V2_FLASH}):
        result.append(Swap(Opcode.UNISWAP_V2, draw(TARGETS), draw(st.booleans()), To.SELF, draw(AMOUNTS)))
    return tuple(result)


@st.composite
def payments(draw: st.DrawFn) -> Step:
    if draw(st.booleans()):
        return step(Opcode.PAY, token=TOKEN, amount=draw(AMOUNTS), to=draw(st.sampled_from((To.CALLER, To.SELF))))
    return step(Opcode.PAY_ADDRESS, token=TOKEN, amount=draw(AMOUNTS), receiver=draw(TARGETS))


@st.composite
def streams(draw: st.DrawFn) -> Stream:
    """Streams that the staged pools and lenders of these tests can play, of the short way and of the long one."""
    if draw(st.booleans()):
        return Stream(0, FOREVER, None, WETH, draw(swaps(1, begins=True)))
    operations: list[Operation] = []
    for opcode in draw(st.lists(st.sampled_from(STAGED_LOANS), max_size=2)):
        operations.append(Loan(opcode, draw(TARGETS), draw(AMOUNTS)))
    for _ in range(draw(st.integers(0, 2))):
        operations.append(draw(payments()))
    return Stream(0, FOREVER, None, TOKEN, (*operations, *draw(swaps(1))))


VALUES: dict[Field, st.SearchStrategy[Value]] = {
    Field.ADDRESS: TARGETS,
    Field.AMOUNT: AMOUNTS,
    Field.ID: st.binary(min_size=32, max_size=32),
    Field.BYTE: st.integers(0, 255),
    Field.FLAG: st.integers(0, 1),
    Field.TO: st.sampled_from((int(To.CALLER), int(To.SELF))),
}


@st.composite
def anything(draw: st.DrawFn) -> Operation:
    """Any operation of the long way."""
    opcode = draw(st.sampled_from(sorted(set(Opcode) - SWAPS - {Opcode.V4_UNLOCK_ETHEREUM, Opcode.V4_CLOSE})))
    if opcode in LOANS:
        return Loan(opcode, draw(TARGETS), draw(AMOUNTS))
    if opcode is Opcode.V4_SWAP:
        return V4Swap(
            draw(st.integers(0, 2**24 - 1)),
            draw(st.integers(-(2**23), 2**23 - 1)),
            draw(st.booleans()),
            draw(st.none() | st.tuples(TARGETS, TARGETS)),
            draw(st.none() | TARGETS),
            draw(st.none() | AMOUNTS),
        )
    return Step(opcode, tuple(draw(VALUES[field]) for _, field in LAYOUTS[opcode]))


@given(
    st.lists(anything(), max_size=6),
    swaps(2),
    st.sampled_from((TOKEN, *TOKEN_NUMBERS)),
    st.integers(0, 2**112 - 1),
    st.integers(1, 2**32 - 1),
    st.none() | st.binary(min_size=4, max_size=4),
    st.integers(0, 10_000),
    st.lists(TARGETS, max_size=3, unique=True),
)
def test_what_is_written_is_read_back(
    others: list[Operation],
    pools: tuple[Operation, ...],
    token: Address,
    min_profit: int,
    last_block: int,
    parent: bytes | None,
    bps: int,
    watched: list[Address],
) -> None:
    bps = bps if token in TOKEN_NUMBERS else 0
    stream = Stream(min_profit, last_block, parent, token, (*others, *pools), bps, tuple(watched))
    if stream.short and any(not isinstance(operation, Swap) for operation in stream.operations):
        return  # not of the short way: the encoder writes no such stream
    read = decode(stream.to_bytes())
    shift = max(min_profit.bit_length() - 24, 0)
    assert read.min_profit == min_profit >> shift << shift
    assert (read.last_block, read.parent_prefix, read.token) == (last_block, parent, token)
    assert (read.operations, read.builder_bps, read.watched) == (stream.operations, bps, tuple(watched))


# ---------------------------------------------------------------------- the contract's reading


@pytest.fixture(scope="module")
def stage(site: Site, replica: RunningReplica, stage_contract: Compiled) -> Iterator[Site]:
    with site.undone():
        for address in (POOL, OTHER, TOKEN, ACCOMPLICE, WETH):
            replica.rpc("anvil_setCode", address, "0x" + stage_contract.runtime.hex())
        replica.rpc("anvil_setStorageAt", WETH, "0x0", "0x" + bytes(32).hex())  # the stage's mode: honest
        yield site


class Play:
    """Every call of the contract by this side's understanding of a stream; honest parties that charge nothing."""

    def __init__(self, stream: Stream, executor: Address) -> None:
        self.token, self.executor = stream.token, executor
        # where the token has no number, what runs in a callback starts with it
        self.prefix = b"" if stream.token in TOKEN_NUMBERS else bytes.fromhex(stream.token[2:])
        self.calls: list[tuple[str, bytes]] = []
        balance = (stream.token, calldata("balanceOf(address)", executor))
        self.calls.append(balance)
        self.frame(stream.operations, executor)
        self.calls.append(balance)

    def frame(self, operations: tuple[Operation, ...], home: Address) -> None:
        for position, operation in enumerate(operations):
            rest = operations[position + 1 :]
            match operation:
                case Loan(opcode, lender, amount):
                    data = self.prefix + operations_bytes(operations[position:])
                    self.calls.append((lender, _loan_call(opcode, self.token, amount, self.executor, data)))
                    self.frame(rest, lender)
                    self.calls += _repayment(opcode, self.token, lender, amount, self.executor)
                    return
                case Step(Opcode.PAY):
                    to = home if operation["to"] == To.CALLER else self.executor
                    self.calls.append((TOKEN, calldata("transfer(address,uint256)", to, operation["amount"])))
                case Step():
                    to, amount = operation["receiver"], operation["amount"]
                    self.calls.append((TOKEN, calldata("transfer(address,uint256)", to, amount)))
                case Swap():
                    if self.swap(operation, rest, home):
                        return

    def swap(self, swap: Swap, rest: tuple[Operation, ...], home: Address) -> bool:
        """Whether the rest of the frame ran in its callback."""
        if swap.amount_in is not None:
            self.calls.append((self.token, calldata("transfer(address,uint256)", swap.pool, swap.amount_in)))
        to = {To.SELF: self.executor, To.CALLER: home}.get(swap.to) or _pool(rest)
        inner = swap.inner if swap.opcode in V3_BOUNDED else rest
        called = swap.opcode in V3_CALLED or swap.opcode is Opcode.UNISWAP_V2_FLASH
        bytes_ = b""
        if called or swap.opcode in V3_BOUNDED:
            bytes_ = self.prefix + operations_bytes(inner)
        elif swap.opcode is Opcode.UNISWAP_V3_DIRECT:
            bytes_ = self.prefix
        self.calls.append((swap.pool, _swap_call(swap, to, bytes_)))
        # a pair does not call back without data: the flash swap of nothing is none
        if called or swap.opcode in V3_BOUNDED:
            self.frame(inner, swap.pool)
        if swap.opcode in PAYS:
            # the stage asks for -9 of token0 and for 7 of token1, whatever goes in
            asked = 2**256 - 9 if swap.zero_for_one else 7
            self.calls.append((self.token, calldata("transfer(address,uint256)", swap.pool, asked)))
        return called


def _pool(rest: tuple[Operation, ...]) -> Address:
    assert isinstance(rest[0], Swap)
    return rest[0].pool


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
@given(streams())
def test_the_contract_does_what_the_keeper_meant(stage: Site, stream: Stream) -> None:
    data = stream.to_bytes()
    answer = stage.call(OPERATOR, stage.executor, data)
    assert answer.ok, (answer, data.hex())
    assert stage.calls(OPERATOR, data) == Play(stream, stage.executor).calls


@st.composite
def mangled(draw: st.DrawFn) -> bytes:
    """A stream that was cut, lengthened or changed behind its header."""
    stream = draw(streams())
    data, header = bytearray(stream.to_bytes()), len(stream.header_bytes())
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(header, len(data) - 1)) if len(data) > header else len(data)
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
        assert answer != ""
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
@pytest.mark.parametrize("venue", sorted(NESTED_VENUES))
@pytest.mark.parametrize("kind", [LenderKind.FLASH_SWAP, LenderKind.MORPHO, LenderKind.AAVE_V3, LenderKind.ERC3156])
def test_routes_of_two_to_eight_hops_can_be_written(count: int, venue: VenueKind, kind: LenderKind) -> None:
    route = loop(count, venue=venue)
    lender = route.hops[0].pool if kind is LenderKind.FLASH_SWAP else POOL
    parent = Hash32("0x0a0b0c0d" + "00" * 28)
    stream = decode(write(route, flash_swap(route, kind=kind, lender=lender), parent_hash=parent))
    assert (stream.min_profit, stream.last_block, stream.token) == (1, 2, route.token)
    assert stream.parent_prefix == b"\x0a\x0b\x0c\x0d"
    assert {swap.pool for swap in _swaps(stream.operations)} == route.pools
    loans = [operation for operation in stream.operations if isinstance(operation, Loan)]
    assert len(loans) == (kind is not LenderKind.FLASH_SWAP)


def _swaps(operations: tuple[Operation, ...]) -> Iterator[Swap]:
    for operation in operations:
        if isinstance(operation, Swap):
            yield operation
            yield from _swaps(operation.inner)


@pytest.mark.parametrize(
    ("field", "route", "changes"),
    [
        ("amount", loop(2, 2**112), {}),
        ("amount", loop(2, 0), {}),
        ("min_profit", loop(2), {"min_profit": 2**112}),
        ("min_profit", loop(2), {"min_profit": -1}),
        ("last_block", loop(2), {"last_block": 2**32}),
        ("parent_hash", loop(2), {"parent_hash": "0x1234"}),
        ("executor", loop(2), {"executor": loop(2).hops[1].pool}),
        ("route", loop(9), {}),
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


@pytest.mark.parametrize("venue", sorted(PULLED | BALANCER_V3_VENUES | {VenueKind.UNISWAP_V4}))
def test_a_swap_without_what_its_venue_needs_is_refused(venue: VenueKind) -> None:
    loan = flash_swap(loop(2, venue=venue), kind=LenderKind.MORPHO, lender=POOL)
    with pytest.raises(InputError, match="needs its") as caught:
        write(loop(2, venue=venue), loan)
    assert caught.value.field == "route"
