// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {Errors} from "../Errors.sol";

/// @title Who may call back, with which bytes
/// @notice One transient slot, one purpose. It holds
///
///     caller(160) | keccak256(continuation)(88) | layout(8)
///
/// from just before an external call that calls back until the first thing the callback does. The layout of the callback
/// is thereby committed too, and is never taken from the selector that a caller chooses.
library Continuation {
    uint256 private constant SLOT = 0;
    uint256 private constant HASH_MASK = 0xffffffffffffffffffffff00;

    /// @dev Let `caller_` call back once, with the `length` bytes of memory from `start` as continuation.
    ///
    ///     transient[SLOT] = caller << 96 | (keccak(memory[start : start + length]) & HASH_MASK) | layout
    function expect(address caller_, uint256 start, uint256 length, uint256 layout) internal {
        assembly ("memory-safe") {
            tstore(SLOT, or(shl(96, caller_), or(and(keccak256(start, length), HASH_MASK), layout)))
        }
    }

    /// @dev Check a callback and make it the last one.
    ///
    ///     committed = transient[SLOT]; transient[SLOT] = 0
    ///     require committed >> 96 == msg.sender                      (zero when nothing is expected)
    ///     layout = committed & 0xff
    ///     start = 4 + 32 * layout
    ///     length = calldata word before start
    ///     require keccak(calldata[start : start + length]) matches   (past the end calldata reads as zero, here and later)
    ///
    /// @return start Position of the continuation in the calldata.
    /// @return length Its length in bytes.
    /// @return layout The layout that was committed.
    function open() internal returns (uint256 start, uint256 length, uint256 layout) {
        uint256 committed;
        assembly ("memory-safe") {
            committed := tload(SLOT)
        }
        if (committed >> 96 != uint160(msg.sender) || committed == 0) revert Errors.Unauthorized();
        uint256 actual;
        assembly ("memory-safe") {
            tstore(SLOT, 0)
            layout := and(committed, 0xff)
            start := add(4, shl(5, layout))
            length := calldataload(sub(start, 32))
            let copy := mload(0x40)
            calldatacopy(copy, start, length)
            actual := and(keccak256(copy, length), HASH_MASK)
        }
        if (committed & HASH_MASK != actual) revert Errors.ContinuationMismatch();
    }

    /// @dev At an exit nothing may be expected any more.
    function requireNone() internal view {
        uint256 committed;
        assembly ("memory-safe") {
            committed := tload(SLOT)
        }
        if (committed != 0) revert Errors.CallbackMissing();
    }
}
