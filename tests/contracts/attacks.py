"""Attempts on the executor, each with the answer it has to get."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from enum import IntEnum
from typing import Any

from eth_utils import to_checksum_address

from keeper.domain.units import Address
from keeper.execution.codec import Loan, Operation, Stream, Swap
from keeper.execution.opcodes import Opcode, To
from keeper.execution.operations import operations_bytes
from tests.contracts.site import (
    ETHER,
    FOREVER,
    LENDERS,
    OPERATOR,
    STRANGER,
    TREASURY,
    USDC,
    WETH,
    LenderKind,
    Site,
    calldata,
)


class Mode(IntEnum):
    """The modes of `solidity/Stage.sol`, in its order."""

    HONEST = 0
    ALTERED = 1
    EXTENDED = 2
    TWICE = 3
    SILENT = 4
    FOREIGN = 5
    ACCOMPLICE = 6
    RENAMED = 7
    RELAID = 8
    REFUSING = 9
    SHY = 10
    REENTERING = 11
    INFLATED = 12
    UNPAID = 13


def _address(last: int) -> Address:
    return Address(to_checksum_address(f"0x{'51' * 19}{last:02x}"))


POOL, OTHER, TOKEN, ACCOMPLICE = (_address(last) for last in (1, 2, 3, 4))
PAIR = Address("0xB4e16d0168e52d35CaCD2c6185b44281Ec28C9Dc")
FEE = 5

CALLBACKS = {
    "uniswapV2Call(address,uint256,uint256,bytes)": lambda data: (POOL, 1, 0, data),
    "pancakeCall(address,uint256,uint256,bytes)": lambda data: (POOL, 1, 0, data),
    "uniswapV3SwapCallback(int256,int256,bytes)": lambda data: (1, -1, data),
    "uniswapV3FlashCallback(uint256,uint256,bytes)": lambda data: (1, 1, data),
    "pancakeV3SwapCallback(int256,int256,bytes)": lambda data: (1, -1, data),
    "onMorphoFlashLoan(uint256,bytes)": lambda data: (1, data),
    "receiveFlashLoan(address[],uint256[],uint256[],bytes)": lambda data: ([WETH], [1], [0], data),
    "executeOperation(address,uint256,uint256,address,bytes)": lambda data: (WETH, 1, 0, POOL, data),
    "onFlashLoan(address,address,uint256,uint256,bytes)": lambda data: (POOL, WETH, 1, 0, data),
    "unlockCallback(bytes)": lambda data: (data,),
    "DVMFlashLoanCall(address,uint256,uint256,bytes)": lambda data: (POOL, 1, 0, data),
}


def v2(pool: Address, to: To = To.SELF, amount: int = 4) -> Swap:
    return Swap(Opcode.UNISWAP_V2, pool, False, to, amount)


def flash(pool: Address) -> Swap:
    return Swap(Opcode.UNISWAP_V2_FLASH, pool, False, To.CALLER, 4)


def paid(pool: Address, amount_in: int = 3) -> Swap:
    return Swap(Opcode.UNISWAP_V2_PAID, pool, False, To.SELF, 4, amount_in)


def v3(pool: Address, opcode: Opcode = Opcode.UNISWAP_V3) -> Swap:
    return Swap(opcode, pool, True, To.SELF, 9)


def stream(*operations: Operation, token: Address = TOKEN, **header: Any) -> bytes:
    fields = {"min_profit": 0, "last_block": FOREVER, "parent_prefix": None, **header}
    return Stream(token=token, operations=operations, **fields).to_bytes()


def play(site: Site, address: Address, mode: Mode, accomplice: Address = ACCOMPLICE, fee: int = 0) -> None:
    site.must(STRANGER, address, calldata("set(uint8,address,uint256)", mode, accomplice, fee))


def run(site: Site, data: bytes, sender: Address = OPERATOR) -> str:
    return site.call(sender, site.executor, data).error


# ---------------------------------------------------------------------- attempts


def both_ways(site: Site, *operations: Operation, **header: Any) -> str:
    """The answers to a stream that earns WETH, by the short way, and to one of another token, by the long one."""
    answers = {run(site, stream(*operations, token=token, **header)) for token in (WETH, TOKEN)}
    return " or ".join(sorted(answers))


def each(site: Site, streams: Iterable[bytes]) -> str:
    return " or ".join(sorted({run(site, data) for data in streams}))


def altered_continuation(site: Site) -> str:
    play(site, POOL, Mode.ALTERED)
    return both_ways(site, v3(POOL), paid(OTHER))


def extended_continuation(site: Site) -> str:
    play(site, POOL, Mode.EXTENDED)
    return both_ways(site, flash(POOL), paid(OTHER))


def altered_loan(site: Site) -> str:
    play(site, POOL, Mode.ALTERED)
    return run(site, stream(Loan(Opcode.BALANCER_V2, POOL, 100), paid(OTHER)))


def callback_by_an_accomplice(site: Site) -> str:
    play(site, POOL, Mode.ACCOMPLICE)
    return both_ways(site, v3(POOL), paid(OTHER))


def second_callback(site: Site) -> str:
    play(site, POOL, Mode.TWICE)
    return both_ways(site, v3(POOL), v2(OTHER))


def second_callback_of_a_pair(site: Site) -> str:
    play(site, POOL, Mode.TWICE)
    return both_ways(site, flash(POOL), v2(OTHER))


def second_payment_of_a_pool(site: Site) -> str:
    site.give(WETH, site.executor, ETHER)
    play(site, POOL, Mode.TWICE)
    return both_ways(site, v3(OTHER), Swap(Opcode.UNISWAP_V3_DIRECT, POOL, False, To.SELF, 9))


def no_callback(site: Site) -> str:
    play(site, POOL, Mode.SILENT)
    return both_ways(site, v3(POOL), v2(OTHER))


def no_callback_of_a_lender(site: Site) -> str:
    play(site, POOL, Mode.SILENT)
    return run(site, stream(Loan(Opcode.BALANCER_V2, POOL, 100), paid(OTHER)))


def flash_swap_of_another(site: Site) -> str:
    play(site, POOL, Mode.FOREIGN)
    return both_ways(site, flash(POOL), v2(OTHER))


def loan_of_another(site: Site) -> str:
    play(site, POOL, Mode.FOREIGN)
    return run(site, stream(Loan(Opcode.AAVE_V3, POOL, 100), paid(OTHER)))


def layout_of_another_kind(site: Site) -> str:
    play(site, POOL, Mode.RELAID)
    return both_ways(site, v3(POOL), paid(OTHER))


def allowance_left_to_morpho(site: Site) -> str:
    play(site, TOKEN, Mode.UNPAID)
    return run(site, stream(Loan(Opcode.MORPHO, POOL, 100), paid(OTHER)))


def allowance_left_to_aave(site: Site) -> str:
    play(site, TOKEN, Mode.UNPAID)
    return run(site, stream(Loan(Opcode.AAVE_V3, POOL, 100), paid(OTHER)))


def token_that_refuses(site: Site) -> str:
    play(site, TOKEN, Mode.REFUSING)
    return run(site, stream(paid(OTHER)))


def stream_of_a_stranger(site: Site) -> str:
    answers = {run(site, stream(v3(POOL), v2(OTHER), token=token), STRANGER) for token in (WETH, TOKEN)}
    return " or ".join(sorted(answers))


def operator_pays_itself(site: Site) -> str:
    """By the short way, by the long one, and with a loan around it."""
    site.give(WETH, site.executor, ETHER)
    theft = paid(POOL, ETHER // 2)
    routes: list[tuple[Operation, ...]] = [(v3(OTHER), theft), (theft,), (Loan(Opcode.BALANCER_V2, OTHER, 1), theft)]
    return each(site, (stream(*route, token=WETH) for route in routes))


def operator_sells_too_cheap(site: Site) -> str:
    return both_ways(site, v3(POOL), v2(OTHER), min_profit=1)


def operator_withdraws(site: Site) -> str:
    site.give(WETH, site.executor, ETHER)
    outcome = site.call(OPERATOR, site.executor, calldata("sweep(address,uint256)", WETH, ETHER))
    return "refused" if not outcome.ok else ""


def stranger_withdraws(site: Site) -> str:
    site.give(WETH, site.executor, ETHER)
    return run(site, calldata("sweep(address,uint256)", WETH, ETHER), STRANGER)


def late_stream(site: Site) -> str:
    return both_ways(site, v3(POOL), v2(OTHER), last_block=1)


def stream_on_another_parent(site: Site) -> str:
    return both_ways(site, v3(POOL), v2(OTHER), parent_prefix=b"\x01\x02\x03\x04")


def delivery_behind_the_end(site: Site) -> str:
    """By each operation that can deliver to the next one."""
    site.give(WETH, site.executor, ETHER)
    swaps = (v2(OTHER, To.NEXT), replace(paid(OTHER, 1), to=To.NEXT), Swap(Opcode.UNISWAP_V3, POOL, True, To.NEXT, 9))
    routes: list[tuple[Operation, ...]] = [(v3(POOL), swap) for swap in swaps]
    routes += [(v3(POOL), v2(POOL), swap) for swap in swaps]
    routes += [(flash(POOL), v2(OTHER, To.NEXT)), (Swap(Opcode.UNISWAP_V3, POOL, True, To.NEXT, 9),)]
    return " or ".join(sorted({both_ways(site, *route) for route in routes}))


def profit_token_without_a_number(site: Site) -> str:
    data = bytearray(stream(paid(OTHER), token=WETH, watched=(USDC,)))
    data[8] |= 0x07
    return run(site, bytes(data))


def callback_out_of_the_blue(site: Site) -> str:
    """Every callback anybody knows, by strangers, with a continuation that pays them."""
    continuation = bytes.fromhex(TOKEN[2:]) + operations_bytes((paid(OTHER),))
    answers = {
        run(site, calldata(signature, *arguments(continuation)), sender)
        for signature, arguments in CALLBACKS.items()
        for sender in (STRANGER, TREASURY, POOL)
    }
    return " or ".join(sorted(answers))


def lender_driven_by_a_stranger(site: Site) -> str:
    """Real lenders hand whatever a third party sends to whomever it names."""
    continuation = bytes.fromhex(WETH[2:]) + operations_bytes((paid(OTHER),))
    balancer, aave = LENDERS[LenderKind.BALANCER_V2], LENDERS[LenderKind.AAVE_V3]
    balancer_loan = "flashLoan(address,address[],uint256[],bytes)"
    aave_loan = "flashLoanSimple(address,address,uint256,bytes,uint16)"
    pair_swap = "swap(uint256,uint256,address,bytes)"
    answers = {
        site.call(STRANGER, balancer, calldata(balancer_loan, site.executor, [WETH], [1], continuation)).error,
        site.call(STRANGER, aave, calldata(aave_loan, site.executor, WETH, 1, continuation, 0)).error,
        site.call(STRANGER, PAIR, calldata(pair_swap, 0, 1, site.executor, continuation)).error,
    }
    return " or ".join(sorted(answers))


def reentrant_token(site: Site) -> str:
    """A token that tries every callback, a stream and a withdrawal while it is paid: how many went through."""
    play(site, TOKEN, Mode.REENTERING)
    continuation = bytes.fromhex(TOKEN[2:]) + operations_bytes((v2(OTHER),))
    attempts = [calldata(signature, *arguments(continuation)) for signature, arguments in CALLBACKS.items()]
    attempts += [stream(v2(OTHER)), calldata("sweep(address,uint256)", WETH, 1)]
    for attempt in attempts:
        site.must(STRANGER, TOKEN, calldata("prepare(address,bytes)", site.executor, attempt))
    if not site.send(OPERATOR, site.executor, stream(v3(POOL, Opcode.UNISWAP_V3_PAYS))).ok:
        return "the stream itself failed"
    reached = site.read(TOKEN, "reached()", ["uint256"])
    assert reached >= len(attempts), "the token was never asked"
    return f"{site.read(TOKEN, 'succeeded()', ['uint256'])} went through"


def repayment(site: Site) -> str:
    """What is paid to a lender that charges a fee and lies about what it lent."""
    play(site, POOL, Mode.INFLATED, fee=FEE)
    found = []
    for opcode in (Opcode.MORPHO, Opcode.BALANCER_V2, Opcode.AAVE_V3):
        calls = site.calls(OPERATOR, stream(Loan(opcode, POOL, 100), v2(OTHER)))
        to_pool = bytes(12) + bytes.fromhex(POOL[2:])
        amounts = [int.from_bytes(data[36:68], "big") for _, data in calls if data[4:36] == to_pool and len(data) == 68]
        found.append(f"{opcode.name} {amounts}")
    return ", ".join(found)


@dataclass(frozen=True)
class Attempt:
    """``answer`` is what the executor has to say; each of ``mutants`` says something else."""

    act: Callable[[Site], str]
    answer: str
    mutants: tuple[str, ...]


ATTEMPTS = [
    Attempt(altered_continuation, "ContinuationMismatch", ("hash_unchecked", "short_hash_unchecked")),
    Attempt(extended_continuation, "ContinuationMismatch", ("hash_unchecked", "pair_hash_unchecked")),
    Attempt(altered_loan, "ContinuationMismatch", ("hash_unchecked",)),
    Attempt(layout_of_another_kind, "ContinuationMismatch", ("hash_unchecked", "short_hash_unchecked")),
    Attempt(callback_by_an_accomplice, "Unauthorized", ("caller_unchecked", "short_caller_unchecked")),
    Attempt(second_callback, "Unauthorized", ("slot_kept", "short_slot_kept")),
    Attempt(second_callback_of_a_pair, "Unauthorized", ("slot_kept", "pair_slot_kept")),
    Attempt(second_payment_of_a_pool, "Unauthorized", ("slot_kept", "direct_slot_kept")),
    Attempt(no_callback, "CallbackMissing", ("exit_unchecked", "short_exit_unchecked")),
    Attempt(no_callback_of_a_lender, "CallbackMissing", ("exit_unchecked",)),
    Attempt(flash_swap_of_another, "WrongInitiator", ("pair_initiator_unchecked", "short_initiator_unchecked")),
    Attempt(loan_of_another, "WrongInitiator", ("aave_initiator_unchecked",)),
    Attempt(allowance_left_to_morpho, "AllowanceLeft", ("morpho_allowance_unchecked",)),
    Attempt(allowance_left_to_aave, "AllowanceLeft", ("aave_allowance_unchecked",)),
    Attempt(token_that_refuses, "TokenFailed", ("token_answer_unchecked",)),
    Attempt(stream_of_a_stranger, "Unauthorized", ("operator_unchecked", "long_operator_unchecked")),
    Attempt(operator_pays_itself, "ProfitTooSmall", ("profit_unchecked", "short_profit_unchecked", "measured_late")),
    Attempt(
        operator_sells_too_cheap,
        "ProfitTooSmall",
        ("profit_unchecked", "loss_checked_only", "short_profit_unchecked", "short_loss_checked_only"),
    ),
    Attempt(operator_withdraws, "refused", ()),
    Attempt(stranger_withdraws, "Unauthorized", ("withdrawal_open",)),
    Attempt(late_stream, "Expired", ("short_block_unchecked", "block_unchecked")),
    Attempt(stream_on_another_parent, "WrongParent", ("parent_unchecked",)),
    Attempt(delivery_behind_the_end, "BadStream", ("next_unchecked", "short_next_unchecked")),
    Attempt(profit_token_without_a_number, "BadStream", ()),
    Attempt(callback_out_of_the_blue, "Unauthorized", ("callback_open",)),
    Attempt(lender_driven_by_a_stranger, "Unauthorized", ("callback_open",)),
    Attempt(reentrant_token, "0 went through", ()),
    Attempt(
        repayment,
        "MORPHO [100], BALANCER_V2 [105], AAVE_V3 [105]",
        ("lender_believed", "balancer_fee_unpaid", "aave_premium_unpaid"),
    ),
]
