"""Bugs to plant, each of which some attempt has to notice.

All of them are compiled into one contract, whose storage then says which one is awake: compiling a contract for each of
them would take minutes. A bug whose text is not in the sources any more is an error. Bounds of the short ways are not
among them where a frame that overruns its end reads on to what it refuses: taking them out changes nothing.
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

AWAKE = f"eq(sload({PLANT_SLOT}), BUG)"
ASLEEP = f"iszero({AWAKE})"
EXECUTOR, FRAMES, ROLES = "Executor.sol", "Frames.sol", "Roles.sol"
BUILDER, CONTINUATION, FRAME, HEADER, TOKEN, WATCH = (
    f"libraries/{name}.sol" for name in ("Builder", "Continuation", "Frame", "Header", "Token", "Watch")
)


def without(path: str, statement: str) -> Replacement:
    """Leave a statement of Solidity out."""
    return path, statement, f"if (!planted(BUG)) {{ {statement} }}"


def instead(path: str, expression: str, other: str) -> Replacement:
    """Take ``other`` for an expression of Solidity."""
    return path, expression, f"(planted(BUG) ? {other} : {expression})"


def then(path: str, statement: str, more: str) -> Replacement:
    """Do ``more`` behind a statement of Solidity."""
    return path, statement, f"{statement} if (planted(BUG)) {{ {more} }}"


def without_in_assembly(path: str, before: str, statement: str, behind: str = "") -> Replacement:
    """Leave a statement out; ``before`` and ``behind`` say which one."""
    return path, before + statement + behind, f"{before}if {ASLEEP} {{ {statement} }}{behind}"


def asleep_in_assembly(path: str, condition: str, statement: str, before: str = "") -> Replacement:
    """Leave a check of assembly out: ``if condition statement``."""
    text = f"{before}if {condition} {statement}"
    return path, text, f"{before}if and(iszero(iszero({condition})), {ASLEEP}) {statement}"


def then_in_assembly(path: str, statement: str, more: str) -> Replacement:
    """Spoil a result just after it was found."""
    return path, statement, f"{statement} if {AWAKE} {{ {more} }}"


def pure_no_more(path: str, name: str, text: str = "internal pure") -> Replacement:
    """A planted bug reads storage, so the function that holds one is no longer pure."""
    return path, f"{name} {text}", f"{name} {text.replace('pure', 'view')}"


MISMATCH = "and(xor(keccak256(0x00, length), expected), HASH_MASK)"
MISMATCHED = "{ fail(0x790c43cf) } // ContinuationMismatch()"
BAD = "{ fail(0x886e31df) } // BadStream()"
IS_OPERATOR = "switch eq(caller(), operator)"
LONG_OPERATOR = "if (uint160(msg.sender) == OPERATOR) return _runStream();"
EXPECTED_CALLER = "eq(shr(96, expected), caller())"
SECOND_READING = "pop(staticcall(gas(), ETHEREUM_WETH, 0x1c, 0x24, 0x40, 0x20))\n                    let end :"
SHORT_MINIMUM = "let minProfit := shl(byte(4, header), and(shr(192, header), 0xffffff))"
TOO_LITTLE = "or(lt(end, start), lt(sub(end, start), minProfit))"
TOO_LITTLE = "if (end < start || end - start < terms.minProfit) revert ProfitTooSmall(start, end, terms.minProfit);"
INDENT = "\n                        "

ANY_CALLBACK = """if (planted(BUG) && expected == 0 && msg.sig == 0x10d1e85c) {
            expected = (uint256(uint160(msg.sender)) << 96) | 0x0285;
            assembly { tstore(SLOT, expected) }
        }"""
PARENT = "if (flags & HAS_PARENT != 0 && uint256("

MUTANTS: dict[str, list[Replacement]] = {
    # ------------------------------------------------------------------ who may call
    "operator_unchecked": [
        (EXECUTOR, IS_OPERATOR, f"switch or(eq(caller(), operator), and({AWAKE}, gt(calldatasize(), 43)))")
    ],
    "long_operator_unchecked": [
        (EXECUTOR, LONG_OPERATOR, f"if (planted(BUG) && msg.sig == 0) return _runStream(); {LONG_OPERATOR}")
    ],
    "caller_unchecked": [without(EXECUTOR, "if (expected >> 96 != uint160(msg.sender)) revert Unauthorized();")],
    "short_caller_unchecked": [
        (EXECUTOR, f"if {EXPECTED_CALLER}", f"if or({EXPECTED_CALLER}, and(iszero(iszero(expected)), {AWAKE}))")
    ],
    "hash_unchecked": [without(CONTINUATION, "if (difference != 0) revert Errors.ContinuationMismatch();")],
    "short_hash_unchecked": [
        asleep_in_assembly(EXECUTOR, MISMATCH, MISMATCHED, f"calldatacopy(0x00, 0x84, length){INDENT}")
    ],
    "pair_hash_unchecked": [
        asleep_in_assembly(EXECUTOR, MISMATCH, MISMATCHED, f"calldatacopy(0x00, 0xa4, length){INDENT}")
    ],
    "v4_hash_unchecked": [asleep_in_assembly(EXECUTOR, MISMATCH.replace("length", "end"), MISMATCHED)],
    "slot_kept": [without_in_assembly(CONTINUATION, "", "tstore(SLOT, 0)")],
    "short_slot_kept": [
        without_in_assembly(EXECUTOR, "", "tstore(SLOT, 0)", f"{INDENT}    if and(word, shl(254, 1)) {{")
    ],
    "direct_slot_kept": [without_in_assembly(EXECUTOR, f"whatever bytes it gives.{INDENT}", "tstore(SLOT, 0)")],
    "pair_slot_kept": [without_in_assembly(EXECUTOR, "", "tstore(SLOT, 0)", f"{INDENT}let word := calldataload(0xa4)")],
    "v4_slot_kept": [without_in_assembly(EXECUTOR, "", "tstore(SLOT, 0)", f"{INDENT}end := add(0x44, end)")],
    "exit_unchecked": [without(FRAMES, "if (Continuation.expected() != 0) revert CallbackMissing();")],
    "short_exit_unchecked": [(EXECUTOR, SECOND_READING, f"if {AWAKE} {{ tstore(SLOT, 0) }} {SECOND_READING}")],
    "v4_exit_unchecked": [asleep_in_assembly(EXECUTOR, "tload(SLOT)", "{ fail(0xe2481207) } // CallbackMissing()")],
    "pair_initiator_unchecked": [without(FRAMES, "if (tag & FLASH_SWAP != 0) UniswapV2.requireInitiator();")],
    "short_initiator_unchecked": [
        asleep_in_assembly(EXECUTOR, "xor(calldataload(0x04), address())", "{ fail(0xd3734b64) } // WrongInitiator()")
    ],
    "aave_initiator_unchecked": [
        (
            FRAMES,
            "if (loan == AAVE_V3) AaveV3.requireInitiator();",
            "if (loan == AAVE_V3) { if (!planted(BUG)) AaveV3.requireInitiator(); }",
        )
    ],
    "erc3156_initiator_unchecked": [
        (
            FRAMES,
            "else if (loan == ERC3156_LOAN) ERC3156.requireInitiator();",
            "else if (loan == ERC3156_LOAN && !planted(BUG)) ERC3156.requireInitiator();",
        )
    ],
    "withdrawal_open": [without(ROLES, "if (uint160(msg.sender) != TREASURY) revert Unauthorized();")],
    "callback_open": [
        (EXECUTOR, "if (expected == 0) return _serve();", f"{ANY_CALLBACK} if (expected == 0) return _serve();")
    ],
    # ------------------------------------------------------------------ what has to be there at the end
    "profit_unchecked": [without(FRAMES, TOO_LITTLE)],
    "loss_checked_only": [
        (FRAMES, "end - start < terms.minProfit)", "(end - start < terms.minProfit && !planted(BUG)))")
    ],
    "short_profit_unchecked": [then_in_assembly(EXECUTOR, SHORT_MINIMUM, "start := 0 minProfit := 0")],
    "short_loss_checked_only": [
        then_in_assembly(
            EXECUTOR, "let end := mload(0x40)\n                    header := calldataload(0)\n", "header := 0"
        )
    ],
    "v4_profit_unchecked": [
        (
            EXECUTOR,
            "finish(start, end, shl(byte(4, calldataload(0)),",
            f"if {AWAKE} {{ start := 0 }} finish(start, end, shl(byte(4, calldataload(0)),",
        )
    ],
    "measured_late": [
        (FRAMES, "uint256 start = Token.balance(token);", "uint256 start = planted(BUG) ? 0 : Token.balance(token);")
    ],
    "watched_unchecked": [
        without(WATCH, "if (end < start) revert Errors.TokenSpent(address(uint160(token)), start, end);")
    ],
    "watched_twice": [(WATCH, "if (_noted(token) != 0) revert", "if (_noted(token) != 0 && !planted(BUG)) revert")],
    "watch_kept": [without(WATCH, "_note(token, 0);")],
    "builder_before_all": [
        (
            FRAMES,
            "Builder.pay(end - start, terms.bps, frame);",
            "Builder.pay(planted(BUG) ? end : end - start, terms.bps, frame);",
        ),
    ],
    "builder_unmeasured": [
        (
            FRAMES,
            "            end = Token.balance(token);\n        }",
            "            if (!planted(BUG)) end = Token.balance(token);\n        }",
        )
    ],
    "builder_gets_more": [(HEADER, "if (terms.bps > BPS) revert", "if (terms.bps > BPS && !planted(BUG)) revert")],
    "builder_gets_tokens": [
        (BUILDER, "if (frame.tag & TOKEN_MASK == 0) revert", "if (frame.tag & TOKEN_MASK == 0 && !planted(BUG)) revert")
    ],
    "builder_gets_all_gas": [(BUILDER, "amount, GAS);", "amount, planted(BUG) ? gasleft() : GAS);")],
    # ------------------------------------------------------------------ what may be paid with
    "unwatched_pay": [
        (
            FRAMES,
            "Watch.requireCompared(target, frame.token);\n            uint256 to",
            "if (!planted(BUG)) Watch.requireCompared(target, frame.token);\n            uint256 to",
        )
    ],
    "unwatched_wrap": [without(FRAMES, "Watch.requireCompared(0, frame.token);")],
    "unwatched_unwrap": [
        (
            FRAMES,
            "Watch.requireCompared(target, frame.token);\n            WrappedCoin",
            "if (!planted(BUG)) Watch.requireCompared(target, frame.token);\n            WrappedCoin",
        )
    ],
    "unwatched_curve": [without(FRAMES, "Watch.requireCompared(token, frame.token);")],
    "unwatched_vault": [without(FRAMES, "Watch.requireCompared(terms.tokenIn, frame.token);")],
    "unwatched_v3": [without(FRAMES, "Watch.requireCompared(terms.token, frame.token);")],
    "unwatched_settle": [
        (
            FRAMES,
            "Watch.requireCompared(target, frame.token);\n        if (head == V4_SETTLE)",
            "if (!planted(BUG)) Watch.requireCompared(target, frame.token);\n        if (head == V4_SETTLE)",
        )
    ],
    # ------------------------------------------------------------------ allowances and answers of tokens
    **{
        f"{name}_allowance_unchecked": [without(f"{folder}.sol", statement)]
        for name, folder, statement in (
            ("morpho", "lenders/Morpho", "Token.requireNoAllowance(token, lender);"),
            ("aave", "lenders/AaveV3", "Token.requireNoAllowance(token, lender);"),
            ("erc3156", "lenders/ERC3156", "Token.requireNoAllowance(token, lender);"),
            ("curve", "venues/Curve", "Token.requireNoAllowance(token, pool);"),
            ("vault", "venues/BalancerV2Swap", "Token.requireNoAllowance(terms.tokenIn, terms.vault);"),
        )
    },
    "token_answer_unchecked": [
        then_in_assembly(TOKEN, "failed := iszero(or(eq(mload(0x00), 1), iszero(returndatasize())))", "failed := 0")
    ],
    "short_answer_unchecked": [
        (
            EXECUTOR,
            "if ok { fail(0x8e20b1f9) } // TokenFailed()",
            f"if and(ok, {AWAKE}) {{ leave }} if ok {{ fail(0x8e20b1f9) }}",
        )
    ],
    "balance_unchecked": [
        then_in_assembly(TOKEN, "failed := iszero(and(ok, gt(returndatasize(), 31)))", "failed := 0")
    ],
    # ------------------------------------------------------------------ what lenders and pools are paid
    "lender_believed": [
        then(FRAMES, "owed = frame.takeAmount();", 'assembly ("memory-safe") { owed := calldataload(0x04) }')
    ],
    "balancer_fee_unpaid": [
        then_in_assembly(
            "lenders/BalancerV2.sol", "owed := add(amount, calldataload(0x124)) // feeAmounts[0]\n", "owed := amount"
        )
    ],
    "aave_premium_unpaid": [
        then_in_assembly("lenders/AaveV3.sol", "owed := add(amount, calldataload(0x44))", "owed := amount")
    ],
    "erc3156_fee_unpaid": [
        then_in_assembly("lenders/ERC3156.sol", "owed := add(amount, calldataload(0x64))", "owed := amount")
    ],
    "v3_flash_side": [
        (
            "lenders/UniswapV3Flash.sol",
            "calldataload(add(0x04, shl(5, side)))",
            f"calldataload(add(0x04, shl(5, xor(side, {AWAKE}))))",
        )
    ],
    "v3_side": [
        instead(FRAMES, "tag & ZERO_SIDE == 0", "tag & ZERO_SIDE != 0"),
        pure_no_more(FRAMES, "_asked(uint256 tag)", "private pure"),
    ],
    # ------------------------------------------------------------------ guards
    "block_unchecked": [without(HEADER, "if (block.number > lastBlock) revert Errors.Expired();")],
    "short_block_unchecked": [
        (
            EXECUTOR,
            "if iszero(or(or(gt(number(), shr(224, header)),",
            f"if iszero(or(or(and(gt(number(), shr(224, header)), {ASLEEP}),",
        )
    ],
    "v4_block_unchecked": [
        (
            EXECUTOR,
            "if iszero(or(xor(byte(0, word), 0x29), gt(number(), shr(224, header))))",
            f"if iszero(or(xor(byte(0, word), 0x29), and(gt(number(), shr(224, header)), {ASLEEP})))",
        )
    ],
    "parent_unchecked": [
        (HEADER, PARENT, f"if (flags & HAS_PARENT != 0 && planted(BUG)) frame.take(4);\n            else {PARENT}")
    ],
    # ------------------------------------------------------------------ reading
    "bounds_unchecked": [
        (
            FRAME,
            "if (at + width > frame.end) revert Errors.BadStream();",
            "if (at + width > frame.end && !planted(BUG)) revert Errors.BadStream();",
        ),
        pure_no_more(FRAME, "function take(Frame memory frame, uint256 width)"),
        pure_no_more(FRAME, "function takeAddress(Frame memory frame)"),
        pure_no_more(FRAME, "function takeAmount(Frame memory frame)"),
    ],
    "next_unchecked": [
        (
            FRAME,
            "if (at + 21 > frame.end) revert Errors.BadStream();",
            "if (at + 21 > frame.end && !planted(BUG)) revert Errors.BadStream();",
        ),
        pure_no_more(FRAME, "function nextPool(Frame memory frame)"),
    ],
    "receiver_unchecked": [
        (
            FRAME,
            "if (to > TO_SELF) revert Errors.BadStream();",
            "if (to > TO_SELF && !planted(BUG)) revert Errors.BadStream();",
        )
    ],
    "inner_unchecked": [
        (
            FRAMES,
            "if (terms.end > frame.end) revert BadStream();",
            "if (terms.end > frame.end && !planted(BUG)) revert BadStream();",
        )
    ],
    "short_next_unchecked": [asleep_in_assembly(EXECUTOR, "gt(add(at, 21), end)", BAD)],
    "short_v3_bounds_unchecked": [asleep_in_assembly(EXECUTOR, "or(lt(length, 35), lt(word, shl(254, 1)))", BAD)],
    "close_without_chain": [
        (FRAMES, "if (chain == 0) revert BadStream();", "if (chain == 0 && !planted(BUG)) revert BadStream();")
    ],
    "amounts_read_in_callbacks": [
        then(FRAMES, "uint256 amountOut = frame.takeAmount();", "amountOut = Token.balance(frame.token);")
    ],
    "operation_skipped": [
        (
            FRAMES,
            "uint256 own = frame.at;",
            "if (planted(BUG) && frame.end - frame.at == 70) frame.at += 35;\n            uint256 own = frame.at;",
        )
    ],
}
NUMBERS = {name: number for number, name in enumerate(MUTANTS, start=1)}


def with_bug(name: str) -> dict[str, str]:
    """The executor with one bug in it, wide awake."""
    sources = executor_sources()
    for path, text, other in MUTANTS[name]:
        awake = other.replace("planted(BUG)", "true").replace(AWAKE, "1")
        sources[path] = sources[path].replace(text, awake)
    return sources


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
