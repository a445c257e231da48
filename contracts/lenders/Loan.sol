// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

/// @title The continuation of a loan
/// @notice It starts with the loan's own operation, so that what is repaid is the amount that was committed, whatever
/// the lender says in its callback:
///
///     continuation = token(20) | head(1) lender(20) amount(14) | rest
library Loan {
    /// @dev Write the continuation to memory.
    ///
    ///     memory[destination] = token | calldata[at : end]
    ///
    /// @return length Its length in bytes.
    function write(uint256 destination, uint256 token, uint256 at, uint256 end) internal pure returns (uint256 length) {
        assembly ("memory-safe") {
            length := add(sub(end, at), 20)
            mstore(destination, shl(96, token))
            calldatacopy(add(destination, 20), at, sub(end, at))
        }
    }

    /// @dev The committed amount of the continuation at `start` of the calldata.
    function amount(uint256 start) internal pure returns (uint256 committed) {
        assembly ("memory-safe") {
            committed := shr(144, calldataload(add(start, 41))) // behind token(20), head(1) and lender(20)
        }
    }
}
