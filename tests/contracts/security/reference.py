"""What the contract has to do with a stream, by the keeper's reading, among parties that play `solidity/Bench.sol`."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

from eth_utils import keccak

from keeper.domain.units import Address
from keeper.execution.codec import Loan, Operation, Step, Stream, Swap, V4Swap, decode
from keeper.execution.opcodes import (
    ETHEREUM_POOL_MANAGER,
    HAS_PARENT,
    PAYS,
    V3_BOUNDED,
    V3_SWAPS,
    Opcode,
    To,
)
from keeper.execution.operations import LAYOUTS
from tests.contracts.site import OPERATOR

FEE = 5
ASKED = {True: 7, False: 11}
"""What a V3 pool asks for, by whether its token0 goes in."""
LOWEST_PRICE, HIGHEST_PRICE = 4295128740, 1461446703485210103287273052203988822378723970341
DELTA = (5, 9)
"""What a swap of V4 returns."""
COIN = 0
WORD = 1 << 256


class Reverted(Exception):
    """The contract reverts with its error of this name."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name


@dataclass(frozen=True)
class Surroundings:
    """Where a stream runs; ``parties`` are the contracts that play along, all other addresses have no code."""

    executor: int
    parties: Collection[int]
    number: int
    time: int
    parent_prefix: bytes


@dataclass
class Frame:
    """``rest`` are the bytes from the next operation to the end."""

    operations: Sequence[Operation]
    data: bytes
    token: int
    caller: int
    entry: bool = False
    v4_short: bool = False


@dataclass
class Reference:
    """One run of one stream."""

    around: Surroundings
    numbered: bool = True
    trace: bytes = bytes(32)
    expected: int | None = None
    spent: int = 0
    watched: dict[int, None] = field(default_factory=dict)

    def outcome(self, data: bytes) -> tuple[str, bytes]:
        """The error's name, ``""`` where there is none, and the running hash of the calls made.

        Raises:
            InputError: the keeper does not read the stream.
        """
        stream = decode(data)
        plain = int.from_bytes(data[:4], "big") > 0
        self.numbered = plain or bool(data[8] & 0b111)
        try:
            self._run(stream, data, plain)
        except Reverted as error:
            return error.name, bytes(32)
        return "", self.trace

    def _run(self, stream: Stream, data: bytes, plain: bool) -> None:
        if not plain and data[8] & HAS_PARENT and stream.parent_prefix != self.around.parent_prefix:
            raise Reverted("WrongParent")
        if self.around.number > stream.last_block:
            raise Reverted("Expired")
        token = int(stream.token, 16)
        self._require_balance(token)
        for watched in (int(token, 16) for token in stream.watched):
            if watched in self.watched:
                raise Reverted("BadStream")
            self._require_balance(watched)
            self.watched[watched] = None
        body = data[len(data) - sum(map(width, stream.operations)) :]
        self._frame(Frame(stream.operations, body, token, int(OPERATOR, 16), entry=True))
        if self.expected is not None:
            raise Reverted("CallbackMissing")
        if stream.min_profit or (token == COIN and self.spent):
            raise Reverted("ProfitTooSmall")
        if COIN in self.watched and self.spent:
            raise Reverted("TokenSpent")

    # ------------------------------------------------------------------ frames

    def _frame(self, frame: Frame) -> None:
        at = 0
        chain = Chain()
        for position, operation in enumerate(frame.operations):
            behind = at + width(operation)
            following = frame.data[behind:]
            rest = Frame(frame.operations[position + 1 :], following, frame.token, frame.caller)
            match operation:
                case Swap():
                    if self._swap(frame, operation, rest, frame.data[at:behind]):
                        return
                case Loan():
                    self._loan(frame, operation, rest, frame.data[at:])
                    return
                case V4Swap():
                    self._v4_swap(frame, operation, chain)
                case Step(Opcode.V4_CLOSE):
                    self._take(frame, 0x0B0D9C09, frame.token, self.around.executor, chain.left)
                    chain = Chain()
                case Step():
                    if self._step(frame, operation, rest):
                        return
            at = behind

    def _call_back(self, target: int, rest: Frame, token: int | None = None) -> bool:
        """Whether it did; addresses without code do not."""
        self.expected = target
        if target not in self.around.parties:
            return False
        self.expected = None
        rest.caller = target
        rest.token = rest.token if token is None else token
        self._frame(rest)
        return True

    def _continuation(self, token: int, data: bytes, *, numbered: bool | None = None) -> bytes:
        numbered = self.numbered if numbered is None else numbered
        return data if numbered else token.to_bytes(20, "big") + data

    def _receiver(self, frame: Frame, to: int, rest: Frame) -> int:
        if to & To.NEXT:
            return int.from_bytes(rest.data[1:21], "big")
        return self.around.executor if to == To.SELF or frame.entry else frame.caller

    # ------------------------------------------------------------------ swaps

    def _swap(self, frame: Frame, swap: Swap, rest: Frame, own: bytes) -> bool:
        """Whether the frame ends with it."""
        pool = int(swap.pool, 16)
        if swap.opcode not in V3_SWAPS:
            return self._swap_v2(frame, swap, rest, pool)
        inner = b""
        called = Frame((), b"", frame.token, pool)
        ends = False
        if swap.opcode in V3_BOUNDED:
            inner = own[36:]
            called = Frame(swap.inner, inner, frame.token, pool)
        elif swap.opcode is not Opcode.UNISWAP_V3_DIRECT:
            inner, called, ends = rest.data, rest, True
        to = self._receiver(frame, swap.to, rest)
        self._v3(pool, to, swap.zero_for_one, swap.amount, self._continuation(frame.token, inner))
        if self._call_back(pool, called) and swap.opcode in PAYS:
            self._transfer(frame.token, pool, ASKED[swap.zero_for_one])
        return ends

    def _swap_v2(self, frame: Frame, swap: Swap, rest: Frame, pool: int) -> bool:
        out = (0, swap.amount) if swap.zero_for_one else (swap.amount, 0)
        if swap.opcode is Opcode.UNISWAP_V2_FLASH:
            continuation = self._continuation(frame.token, rest.data)
            self._call(pool, 0x022C0D9F, *out, self.around.executor, 0x80, len(continuation), tail=continuation)
            self.expected = pool
            if continuation:  # a pair that gets no bytes does not call back
                self._call_back(pool, rest)
            return True
        to = self._receiver(frame, swap.to, rest)
        if swap.amount_in is not None:
            self._transfer(frame.token, pool, swap.amount_in)
        self._call(pool, 0x022C0D9F, *out, to, 0x80, 0)
        return False

    def _v3(self, pool: int, to: int, zero_for_one: bool, amount: int, continuation: bytes) -> None:
        limit = LOWEST_PRICE if zero_for_one else HIGHEST_PRICE
        words = (to, int(zero_for_one), amount, limit, 0xA0, len(continuation))
        self._call(pool, 0x128ACB08, *words, tail=continuation)

    def _v4_swap(self, frame: Frame, swap: V4Swap, chain: Chain) -> None:
        if swap.currencies is not None:
            chain.currencies = (int(swap.currencies[0], 16), int(swap.currencies[1], 16))
        amount = chain.paid_out if swap.amount is None else swap.amount
        limit = LOWEST_PRICE if swap.zero_for_one else HIGHEST_PRICE
        hooks = 0 if swap.hooks is None else int(swap.hooks, 16)
        key = (*chain.currencies, swap.fee_pips, swap.tick_spacing % WORD, hooks)
        self._call(frame.caller, 0xF3CD914C, *key, int(swap.zero_for_one), -amount % WORD, limit, 0x120, 0)
        chain.paid_out = DELTA[swap.zero_for_one]
        # the short way looks at currency0 alone: the coin's address is the lowest one, so it is never currency1
        sides = 1 if frame.v4_short else 2
        for currency, amount in zip(chain.currencies[:sides], DELTA[:sides], strict=True):
            chain.left += amount if currency == frame.token else 0

    # ------------------------------------------------------------------ loans

    def _loan(self, frame: Frame, loan: Loan, rest: Frame, data: bytes) -> None:
        lender, amount, token = int(loan.lender, 16), loan.amount, frame.token
        continuation = self._continuation(token, data)
        me, size = self.around.executor, len(continuation)
        match loan.opcode:
            case Opcode.MORPHO:
                words: tuple[int, ...] = (0xE0232B42, token, amount, 0x60, size)
            case Opcode.BALANCER_V2:
                words = (0x5C38449E, me, 0x80, 0xC0, 0x100, 1, token, 1, amount, size)
            case Opcode.AAVE_V3:
                words = (0x42B0B77C, me, token, amount, 0xA0, 0, size)
            case Opcode.ERC3156_LOAN:
                words = (0x5CFFE9DE, me, token, amount, 0x80, size)
            case Opcode.V3_FLASH_0:
                words = (0x490E6CBC, me, amount, 0, 0x80, size)
            case Opcode.V3_FLASH_1:
                words = (0x490E6CBC, me, 0, amount, 0x80, size)
            case Opcode.DODO_BASE:
                words = (0xD0A494E4, amount, 0, me, 0x80, size)
            case _:
                words = (0xD0A494E4, 0, amount, me, 0x80, size)
        self._call(lender, *words, tail=continuation)
        called_back = self._call_back(lender, rest)
        owed = amount + {
            Opcode.BALANCER_V2: FEE,
            Opcode.AAVE_V3: FEE,
            Opcode.ERC3156_LOAN: FEE,
            Opcode.V3_FLASH_0: FEE,
            Opcode.V3_FLASH_1: FEE + 1,
        }.get(loan.opcode, 0)
        pulls = loan.opcode in (Opcode.MORPHO, Opcode.AAVE_V3, Opcode.ERC3156_LOAN)
        if called_back:
            if pulls:
                self._call(token, 0x095EA7B3, lender, owed)
            else:
                self._transfer(token, lender, owed)
        if pulls:
            self._require_no_allowance(token)

    # ------------------------------------------------------------------ the others

    def _step(self, frame: Frame, step: Step, rest: Frame) -> bool:
        """Whether the frame ends with it."""
        value = {name: _number(value) for (name, _), value in zip(LAYOUTS[step.opcode], step.values, strict=True)}
        amount, token = value.get("amount", 0), value.get("token", 0)
        match step.opcode:
            case Opcode.V4_UNLOCK | Opcode.V4_UNLOCK_ETHEREUM:
                manager = value.get("manager", int(ETHEREUM_POOL_MANAGER, 16))
                continuation = self._continuation(frame.token, rest.data)
                self._call(manager, 0x48C89491, 0x20, len(continuation), tail=continuation)
                if step.opcode is Opcode.V4_UNLOCK_ETHEREUM:  # closed at the end
                    rest.v4_short = True
                    rest.operations = (*rest.operations, Step(Opcode.V4_CLOSE, ()))
                self._call_back(manager, rest)
                return True
            case Opcode.BALANCER_V3_UNLOCK:
                continuation = self._continuation(frame.token, rest.data)
                raw = bytes(4) + (0x20).to_bytes(32, "big") + len(continuation).to_bytes(32, "big") + continuation
                self._call(value["vault"], 0x48C89491, 0x20, len(raw), tail=raw)
                self._call_back(value["vault"], rest)
                return True
            case Opcode.V4_TAKE:
                self._take(frame, 0x0B0D9C09, token, value["receiver"], amount)
            case Opcode.BALANCER_V3_TAKE:
                self._take(frame, 0xAE639329, token, value["receiver"], amount)
            case Opcode.BALANCER_V3_SWAP:
                words = (0, value["pool"], value["token_in"], value["token_out"], amount, 0, 0xE0, 0)
                self._call(frame.caller, 0x2BFB780C, 0x20, *words)
            case Opcode.V4_SETTLE:
                self._require_compared(token, frame)
                if token != COIN:
                    self._call(frame.caller, 0xA5841194, token)
                    self._transfer(token, frame.caller, amount)
                self._call(frame.caller, 0x11DA60B4, value=amount if token == COIN else 0)
            case Opcode.BALANCER_V3_SETTLE:
                self._require_compared(token, frame)
                self._transfer(token, frame.caller, amount)
                self._call(frame.caller, 0x15AFD409, token, amount)
            case Opcode.PAY | Opcode.PAY_ADDRESS:
                self._require_compared(token, frame)
                receiver = value["receiver"] if "receiver" in value else self._receiver(frame, value["to"], rest)
                self._transfer(token, receiver, amount)
            case Opcode.WRAP:
                self._require_compared(COIN, frame)
                self._call(value["coin"], 0xD0E30DB0, value=amount)
            case Opcode.UNWRAP:
                self._require_compared(value["coin"], frame)
                self._call(value["coin"], 0x2E1A7D4D, amount)
            case Opcode.V3_TOKEN:
                self._require_compared(token, frame)
                to = self._receiver(frame, value["to"], rest)
                zero_for_one = bool(value["zero_for_one"])
                continuation = self._continuation(token, b"", numbered=False)
                self._v3(value["pool"], to, zero_for_one, amount, continuation)
                if self._call_back(value["pool"], Frame((), b"", token, value["pool"])):
                    self._transfer(token, value["pool"], ASKED[zero_for_one])
            case Opcode.CURVE_INT128 | Opcode.CURVE_UINT256:
                self._require_compared(token, frame)
                self._call(token, 0x095EA7B3, value["pool"], amount)
                selector = 0x3DF02124 if step.opcode is Opcode.CURVE_INT128 else 0x5B41B908
                self._call(value["pool"], selector, value["i"], value["j"], amount, 0)
                self._require_no_allowance(token)
            case Opcode.CURVE_RECEIVED:
                to = self._receiver(frame, value["to"], rest)
                self._call(value["pool"], 0xAFB43012, value["i"], value["j"], amount, 0, to)
            case Opcode.BALANCER_V2_SWAP:
                to = self._receiver(frame, value["to"], rest)
                self._require_compared(value["token_in"], frame)
                self._call(value["token_in"], 0x095EA7B3, value["vault"], amount)
                outer = (0xE0, self.around.executor, 0, to, 0, 0, self.around.time)
                inner = (value["pool_id"], 0, value["token_in"], value["token_out"], amount, 0xC0, 0)
                self._call(value["vault"], 0x52BBBE29, *outer, *inner)
                self._require_no_allowance(value["token_in"])
            case _:
                raise AssertionError(step)
        return False

    # ------------------------------------------------------------------ calls

    def _call(self, target: int, selector: int, *words: int, tail: bytes = b"", value: int = 0) -> None:
        self._note(target, value, selector.to_bytes(4, "big") + b"".join(w.to_bytes(32, "big") for w in words) + tail)

    def _note(self, target: int, value: int, data: bytes) -> None:
        if target == self.around.executor:  # which takes coins, though from nobody while it expects somebody else
            if self.expected is not None:
                raise Reverted("Unauthorized")
            return
        self.spent += value
        if target in self.around.parties:
            called = keccak(target.to_bytes(20, "big") + value.to_bytes(32, "big") + data)
            self.trace = keccak(self.trace + called)

    def _transfer(self, token: int, to: int, amount: int) -> None:
        if token == COIN:
            self._note(to, amount, b"")
        else:
            self._call(token, 0xA9059CBB, to, amount)

    def _take(self, frame: Frame, selector: int, token: int, to: int, amount: int) -> None:
        self._call(frame.caller, selector, token, to, amount)

    def _require_balance(self, token: int) -> None:
        if token != COIN and token not in self.around.parties:
            raise Reverted("TokenFailed")

    def _require_no_allowance(self, token: int) -> None:
        if token not in self.around.parties:
            raise Reverted("AllowanceLeft")

    def _require_compared(self, token: int, frame: Frame) -> None:
        if token != frame.token and token not in self.watched:
            raise Reverted("NotWatched")


@dataclass
class Chain:
    """A chain of V4 swaps."""

    currencies: tuple[int, int] = (0, 0)
    paid_out: int = 0
    left: int = 0


def width(operation: Operation) -> int:
    """Bytes of an operation in the stream."""
    match operation:
        case Swap():
            inner = 1 + sum(map(width, operation.inner)) if operation.opcode in V3_BOUNDED else 0
            return 35 + (14 if operation.amount_in is not None else 0) + inner
        case Loan():
            return 35
        case V4Swap():
            return (
                8
                + 40 * (operation.currencies is not None)
                + 20 * (operation.hooks is not None)
                + 14 * (operation.amount is not None)
            )
        case _:
            return 1 + sum(field.value[0] for _, field in LAYOUTS[operation.opcode])


def _number(value: Address | int | bytes) -> int:
    if isinstance(value, bytes):
        return int.from_bytes(value, "big")
    return int(value, 16) if isinstance(value, str) else value
