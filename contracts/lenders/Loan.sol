// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {OPERAND_AT} from "../libraries/Opcodes.sol";

/// @title The continuation of a loan
/// @notice It starts with the loan's own operation, so that what is repaid is the amount that was committed, whatever
/// the lender says in its callback:
///
///     continuation = [token(20)] | head(1) lender(20) amount(14) | rest
library Loan {
    /// @dev The committed amount of the loan whose operation is at `at` of the calldata.
    function amount(uint256 at) internal pure returns (uint256 committed) {
        assembly ("memory-safe") {
            committed := shr(144, calldataload(add(at, OPERAND_AT)))
        }
    }
}
