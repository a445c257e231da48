"""Bugs to plant in the adapter, each of which some attempt has to notice. All are in one contract, asleep."""

from __future__ import annotations

from tests.contracts.compiler import adapter_sources
from tests.contracts.mutants import PLANT, Replacement, without

ADAPTER = "Adapter.sol"
ASSET = "adapters/Asset.sol"
BASE = "adapters/AdapterBase.sol"
BORROWER = "adapters/FlashBorrower.sol"
FILLER = "adapters/Filler.sol"
LEVERAGER = "adapters/Leverager.sol"
LIQUIDATOR = "adapters/Liquidator.sol"
SESSION = "adapters/Session.sol"
SWAPPER = "adapters/Swapper.sol"
PREFIX = "adapter: "
"""Before the names of the adapter's bugs, where those of the executor are listed as well."""


def instead(path: str, expression: str, other: str) -> Replacement:
    """Take ``other`` for an expression."""
    return path, expression, f"(planted(BUG) ? {other} : {expression})"


def then(path: str, statement: str, more: str) -> Replacement:
    """Spoil a result just after it was found."""
    return path, statement, f"{statement} if (planted(BUG)) {{ {more} }}"


ACCEPT_END = "_write(BUSY);\n    }\n\n    /// @dev Require that whoever was expected"
UNEXPECTED_SUM = "if (tokens + coins > job.maxOutput) revert UnexpectedOrder();"
READS = [
    (SESSION, "private pure returns (uint256)", "private view returns (uint256)"),
    (
        BORROWER,
        "private pure returns (address token, uint256 amount)",
        "private view returns (address token, uint256 amount)",
    ),
    (FILLER, "        private\n        pure\n", "        private\n        view\n"),
    (SWAPPER, "internal pure returns (address)", "internal view returns (address)"),
]
"""A planted bug reads storage, so what holds one is no longer pure."""

MUTANTS: dict[str, list[Replacement]] = {
    # ------------------------------------------------------------------ sessions
    "caller_unchecked": [instead(SESSION, "uint256(uint160(caller)) << 96", "0")],
    "bytes_unchecked": [instead(SESSION, "uint256(hash) >> 168 << 8", "0")],
    "purpose_unchecked": [(SESSION, "| purpose;", "| (planted(BUG) ? 9 : purpose);")],
    "callback_open": [
        without(
            SESSION,
            "if (_read() != _commitment(msg.sender, purpose, keccak256(data))) revert AdapterErrors.Unauthorized();",
        )
    ],
    "commitment_kept": [(SESSION, ACCEPT_END, f"if (!planted(BUG)) {ACCEPT_END}")],
    "silence_unchecked": [without(SESSION, "if (_read() != BUSY) revert AdapterErrors.CallbackMissing();")],
    "sessions_nested": [without(SESSION, "if (_read() != IDLE) revert AdapterErrors.Busy();")],
    "session_left_open": [without(SESSION, "_write(IDLE);")],
    "coins_from_anybody": [without(SESSION, "if (_read() == IDLE) revert AdapterErrors.Unauthorized();")],
    # ------------------------------------------------------------------ roles and bounds
    "operator_unchecked": [without(BASE, "if (msg.sender != OPERATOR) revert Unauthorized();")],
    "block_unchecked": [without(BASE, "if (block.number > lastBlock) revert Expired();")],
    "treasury_unchecked": [without(BASE, "if (msg.sender != TREASURY) revert Unauthorized();")],
    "mandate_changed_meanwhile": [without(BASE, "Session.requireIdle();")],
    "delivery_believed": [
        (
            BASE,
            "        _deliver(token);\n        profit = _growth",
            "        profit = _deliver(token);\n        if (!planted(BUG)) profit = _growth",
        )
    ],
    "output_unchecked": [without(BASE, "if (grown < minimum) revert OutputTooSmall(grown, minimum);")],
    # ------------------------------------------------------------------ tokens
    "token_answer_unchecked": [
        without(
            ASSET,
            "if (answer.length != 0 && abi.decode(answer, (uint256)) != 1) revert AdapterErrors.TokenFailed();",
        )
    ],
    "loan_allowance_unchecked": [without(BORROWER, "Asset.requireNoAllowance(token, target);")],
    "liquidation_allowance_unchecked": [
        without(LIQUIDATOR, "Asset.requireNoAllowance(job.market.loanToken, job.morpho);")
    ],
    "fill_allowance_unchecked": [without(FILLER, "Asset.requireNoAllowance(job.tokenOut, job.reactor);")],
    "supply_allowance_unchecked": [
        without(LEVERAGER, "Asset.requireNoAllowance(position.collateral, position.protocol);")
    ],
    "repay_allowance_unchecked": [without(LEVERAGER, "Asset.requireNoAllowance(position.debt, position.protocol);")],
    "offer_not_taken_back": [without(LIQUIDATOR, "Asset.revoke(job.debt, job.pool);")],
    # ------------------------------------------------------------------ routes
    "asked_amount_unchecked": [without(SWAPPER, "if (asked != amount) revert PartialFill(asked, amount);")],
    "step_unchecked": [
        (SWAPPER, "{\n                revert BadRoute();", "{\n                if (!planted(BUG)) revert BadRoute();")
    ],
    "whole_steps_unchecked": [
        without(SWAPPER, "if (route.length == 0 || route.length % STEP_WIDTH != 0) revert BadRoute();")
    ],
    "last_token_unchecked": [without(SWAPPER, "if (_lastToken(route) != wanted) revert BadRoute();")],
    "delivery_to_itself": [without(ADAPTER, "if (to == address(this)) revert BadRoute();")],
    # ------------------------------------------------------------------ loans
    "initiator_unchecked": [without(BORROWER, "if (initiator != address(this)) revert WrongInitiator();")],
    "lender_believed": [
        then(BORROWER, "amount = uint256(bytes32(data[20:ACTION_AT]));", "amount = uint256(bytes32(msg.data[4:36]));")
    ],
    "balancer_fee_unpaid": [instead(BORROWER, "amount + fee", "amount")],
    "aave_premium_unpaid": [instead(BORROWER, "amount + premium", "amount")],
    # ------------------------------------------------------------------ fills
    "order_input_unchecked": [without(FILLER, "if (orders[i].input.token != tokenIn) revert UnexpectedOrder();")],
    "order_output_unchecked": [
        (FILLER, "else revert UnexpectedOrder();", "else if (!planted(BUG)) revert UnexpectedOrder();")
    ],
    "order_sum_unchecked": [without(FILLER, UNEXPECTED_SUM)],
    "coins_refused_unchecked": [without(FILLER, "if (!sent) revert TokenFailed();")],
    "approval_without_end": [(FILLER, "msg.sender, tokens)", "msg.sender, planted(BUG) ? type(uint256).max : tokens)")],
    # ------------------------------------------------------------------ positions
    "mandate_unchecked": [without(LEVERAGER, "if (block.number > mandate.lastBlock) revert NoMandate();")],
    "loss_unchecked": [without(LEVERAGER, "if (loss > limit) revert LossTooLarge(loss, limit);")],
    "limit_of_the_operator_ignored": [
        (LEVERAGER, "= job.maxLoss <", "= (planted(BUG) ? type(uint256).max : job.maxLoss) <")
    ],
    "budget_ignored": [
        (
            LEVERAGER,
            "job.maxLoss : mandate.lossBudget;",
            "job.maxLoss : planted(BUG) ? job.maxLoss : mandate.lossBudget;",
        )
    ],
    "budget_kept": [
        without(LEVERAGER, "if (loss != 0) _mandates[key].lossBudget = mandate.lossBudget - uint128(loss);")
    ],
    "debt_unchecked": [instead(LEVERAGER, "end.debt > mandate.maxDebt", "false")],
    "health_unchecked": [instead(LEVERAGER, "end.health < mandate.minHealth", "false")],
    "later_price": [
        (
            LEVERAGER,
            "loss = _loss(price, start, end, rest);",
            "if (planted(BUG)) price = Positions.price(position); loss = _loss(price, start, end, rest);",
        )
    ],
    "wallet_believed": [
        (
            LEVERAGER,
            "State memory start = ",
            "uint256 wallet = planted(BUG) ? Asset.balance(position.debt, TREASURY) : 0; State memory start = ",
        ),
        then(
            LEVERAGER,
            "uint256 rest = _deliver(position.debt);",
            "rest = Asset.balance(position.debt, TREASURY) - wallet;",
        ),
    ],
}
NUMBERS = {name: number for number, name in enumerate(MUTANTS, start=1)}


def planted_sources() -> dict[str, str]:
    """The adapter with every bug in it, all asleep."""
    sources = adapter_sources()

    def replace(name: str, path: str, text: str, other: str) -> None:
        assert sources[path].count(text) == 1, f"{name}: {path} holds {sources[path].count(text)} times: {text}"
        sources[path] = sources[path].replace(text, other)

    for path, text, other in READS:
        replace("reads", path, text, other)
    for name, replacements in MUTANTS.items():
        for path, text, other in replacements:
            replace(name, path, text, other.replace("BUG", str(NUMBERS[name])))
    pragma = "pragma solidity 0.8.30;\n"
    for path in {path for replacements in MUTANTS.values() for path, _, _ in replacements}:
        plant = ("./" if "/" not in path else "../") + "Plant.sol"
        sources[path] = sources[path].replace(pragma, f'{pragma}import {{planted}} from "{plant}";\n')
    sources["Plant.sol"] = "// SPDX-License-Identifier: MIT\n" + pragma + PLANT
    return sources
