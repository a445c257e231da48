"""Bugs to plant, each of which some attempt has to notice.

All of them are compiled into one contract, whose storage then says which one is awake: compiling a contract for each of
them would take minutes.
"""

from __future__ import annotations

from tests.contracts.compiler import executor_sources

PLANT_SLOT = "0x" + "b0" * 32
PLANT = f"""
function planted(uint256 bug) view returns (bool awake) {{
    assembly ("memory-safe") {{
        awake := eq(sload({PLANT_SLOT}), bug)
    }}
}}
"""
Replacement = tuple[str, str, str]
"""File, text, and what takes its place; ``BUG`` stands for the number of the bug."""


def without(path: str, statement: str) -> Replacement:
    """Leave a statement of Solidity out."""
    return path, statement, f"if (!planted(BUG)) {{ {statement} }}"


def without_in_assembly(path: str, statement: str) -> Replacement:
    return path, statement, f"if iszero(eq(sload({PLANT_SLOT}), BUG)) {{ {statement} }}"


def asleep_in_assembly(path: str, condition: str, statement: str) -> Replacement:
    """Leave a check of assembly out: ``if condition statement``."""
    awake = f"iszero(eq(sload({PLANT_SLOT}), BUG))"
    return path, f"if {condition} {statement}", f"if and(iszero(iszero({condition})), {awake}) {statement}"


def then_in_assembly(path: str, statement: str, more: str) -> Replacement:
    """Spoil a result just after it was found."""
    return path, statement, f"{statement} if eq(sload({PLANT_SLOT}), BUG) {{ {more} }}"


IS_OPERATOR = "msg.sender == OPERATOR"
SHORT_HEADER = "special := or(or(gt(number(), lastBlock), shr(28, lastBlock)), lt(end, 21))"
READ_TOKEN = "function _readToken(uint256 tag, uint256 at)"
BAD_STREAM = "{ fail(0x886e31df) }"
HASH_CHECK = without("libraries/Continuation.sol", "if (difference != 0) revert Errors.ContinuationMismatch();")
PAIR_INITIATOR = without("Executor.sol", "UniswapV2.requireInitiator();")
AAVE_INITIATOR = without("Executor.sol", "if (kind == LAYOUT_AAVE_V3) AaveV3.requireInitiator();")
ANY_CALLBACK = """
        uint256 kind = msg.sig == 0x10d1e85c ? 5 : msg.sig == 0xf04f2707 ? 11 : msg.sig == 0x1b11d0ff ? 6 : 0;
        if (kind != 0 && planted(BUG)) committed = (uint256(uint160(msg.sender)) << 96) | kind;
        if (committed == 0) {"""

MUTANTS: dict[str, list[Replacement]] = {
    "hash_unchecked": [HASH_CHECK],
    "caller_unchecked": [without("Executor.sol", "if (committed >> 96 != uint160(msg.sender)) revert Unauthorized();")],
    "slot_kept": [without_in_assembly("libraries/Continuation.sol", "tstore(SLOT, 0)")],
    "exit_unchecked": [without("Executor.sol", "if (Continuation.expected() != 0) revert CallbackMissing();")],
    "pair_initiator_unchecked": [PAIR_INITIATOR],
    "aave_initiator_unchecked": [AAVE_INITIATOR],
    "morpho_allowance_unchecked": [without("lenders/Morpho.sol", "Token.requireNoAllowance(token, lender);")],
    "aave_allowance_unchecked": [without("lenders/AaveV3.sol", "Token.requireNoAllowance(token, lender);")],
    "token_answer_unchecked": [
        then_in_assembly(
            "Executor.sol",
            "let ok := call(gas(), token_, 0, add(BUFFER, 0x1c), 0x44, 0x00, 0x20)",
            "mstore(0x00, 1)",
        )
    ],
    "operator_unchecked": [
        (
            "Executor.sol",
            IS_OPERATOR,
            f"({IS_OPERATOR} || (planted(BUG) && msg.sig == 0 && msg.data.length > 40))",
        )
    ],
    "profit_unchecked": [without("Executor.sol", "if (short != 0) revert ProfitTooSmall(start, end, minProfit);")],
    "loss_checked_only": [
        then_in_assembly(
            "Executor.sol", "short := or(lt(end, start), lt(sub(end, start), minProfit))", "short := lt(end, start)"
        )
    ],
    "withdrawal_open": [
        without("Roles.sol", "if (msg.sender != TREASURY) revert Unauthorized();"),
        ("Executor.sol", IS_OPERATOR, f"({IS_OPERATOR} && (!planted(BUG) || msg.sig == 0))"),
    ],
    "block_unchecked": [
        without("Executor.sol", "if (block.number > lastBlock) revert Expired();"),
    ],
    "short_header_unchecked": [then_in_assembly("Executor.sol", SHORT_HEADER, "special := 0")],
    "parent_unchecked": [
        without("Executor.sol", "if (uint256(blockhash(block.number - 1)) >> 224 != parent) revert WrongParent();")
    ],
    "bounds_unchecked": [asleep_in_assembly("Executor.sol", "or(bad, gt(at, end))", BAD_STREAM + " // BadStream")],
    "payment_bounds_unchecked": [asleep_in_assembly("Executor.sol", "or(bad, gt(at, end))", BAD_STREAM + " // paid")],
    "v3_bounds_unchecked": [asleep_in_assembly("Executor.sol", "bad", BAD_STREAM)],
    "flash_bounds_unchecked": [asleep_in_assembly("Executor.sol", "gt(at, end)", BAD_STREAM + " // flash")],
    "next_unchecked": [
        asleep_in_assembly("Executor.sol", "or(gt(add(at_, OPERAND_AT), end_), iszero(isSwap))", BAD_STREAM)
    ],
    "loan_anywhere": [asleep_in_assembly("Executor.sol", "and(tag, LAYOUT_MASK)", BAD_STREAM)],
    "empty_stream_unchecked": [without("Executor.sol", "if (at >= msg.data.length) revert BadStream();")],
    "token_number_unchecked": [
        without("Executor.sol", "if (number != 0) revert BadStream();"),
        ("Executor.sol", READ_TOKEN + " private pure", READ_TOKEN + " private view"),
    ],
    "callback_open": [
        HASH_CHECK,
        PAIR_INITIATOR,
        AAVE_INITIATOR,
        ("Executor.sol", "if (committed == 0) {", ANY_CALLBACK),
    ],
    "lender_believed": [
        ("lenders/Loan.sol", "internal pure returns (uint256 committed)", "internal view returns (uint256 committed)"),
        then_in_assembly(
            "lenders/Loan.sol",
            "committed := shr(144, calldataload(add(at, OPERAND_AT)))",
            "committed := calldataload(0x04)",
        ),
    ],
    "balancer_fee_unpaid": [then_in_assembly("lenders/BalancerV2.sol", "fee := add(fee, amount)", "fee := amount")],
    "aave_premium_unpaid": [
        then_in_assembly("lenders/AaveV3.sol", "owed := add(amount, calldataload(0x44))", "owed := amount")
    ],
}
NUMBERS = {name: number for number, name in enumerate(MUTANTS, start=1)}


def planted_sources() -> dict[str, str]:
    """The executor with every bug in it, all asleep."""
    sources = executor_sources()
    for name, replacements in MUTANTS.items():
        for path, text, other in replacements:
            assert sources[path].count(text) == 1, f"{name}: {path} holds {sources[path].count(text)} times: {text}"
            sources[path] = sources[path].replace(text, other.replace("BUG", str(NUMBERS[name])))
    pragma = "pragma solidity 0.8.30;\n"
    for path in {path for replacements in MUTANTS.values() for path, _, _ in replacements}:
        plant = ("./" if "/" not in path else "../") + "Plant.sol"
        sources[path] = sources[path].replace(pragma, f'{pragma}import {{planted}} from "{plant}";\n')
    sources["Plant.sol"] = "// SPDX-License-Identifier: MIT\n" + pragma + PLANT
    return sources
