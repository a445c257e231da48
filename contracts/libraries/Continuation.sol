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

    /// @dev Let `target` call back once, with the `length` bytes of memory from `start` as continuation.
    ///
    ///     transient[SLOT] = target << 96 | (keccak(memory[start : start + length]) & HASH_MASK) | layout
    function expect(uint256 target, uint256 start, uint256 length, uint256 layout) internal {
        assembly ("memory-safe") {
            tstore(SLOT, or(shl(96, target), or(and(keccak256(start, length), HASH_MASK), layout)))
        }
    }

    /// @dev What is expected now; zero when nothing is.
    function expected() internal view returns (uint256 committed) {
        assembly ("memory-safe") {
            committed := tload(SLOT)
        }
    }

    /// @dev Check the bytes of the callback that was committed to, and let it be the last one.
    ///
    ///     transient[SLOT] = 0
    ///     layout = committed & 0xff
    ///     start = 4 + 32 * layout
    ///     length = calldata word before start
    ///     require keccak(calldata[start : start + length]) matches   (past the end calldata reads as zero, here and later)
    ///
    /// @param committed The slot, whose address the caller has already been held against.
    /// @return start Position of the continuation in the calldata.
    /// @return end Position behind it.
    /// @return layout The layout that was committed.
    function open(uint256 committed) internal returns (uint256 start, uint256 end, uint256 layout) {
        uint256 difference;
        assembly ("memory-safe") {
            tstore(SLOT, 0)
            layout := and(committed, 0xff)
            start := add(4, shl(5, layout))
            let length := calldataload(sub(start, 32))
            end := add(start, length)
            let copy := mload(0x40)
            calldatacopy(copy, start, length)
            difference := and(xor(keccak256(copy, length), committed), HASH_MASK)
        }
        if (difference != 0) revert Errors.ContinuationMismatch();
    }
}
