// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {Errors} from "../Errors.sol";
import {ADDRESS_WIDTH, LAYOUT_MASK, LOAN_MASK, NO_LOAN, TOKEN_MASK} from "./Opcodes.sol";
import {Frame} from "./Frame.sol";
import {Coins} from "./Coins.sol";

uint256 constant SLOT = 0;
uint256 constant HASH_MASK = 0xffffffffffffffffffff0000;

/// @title Who may call back, with which bytes
/// @notice One transient slot, one purpose. It holds
///
///     caller(160) | keccak256(continuation)(80) | tag(16)
///
/// from just before an external call that calls back until the callback, which checks it and sets it to zero, or to what is
/// expected next, before it does anything else. The layout of the callback is thereby committed too, and is never taken
/// from the selector that a caller chooses. So is the profit token: by its number, or in the continuation where it has
/// none.
///
///     continuation = [token(20)] | op...
library Continuation {
    /// @dev Write `calldata[at : end]` to memory as a continuation, and let `target` call back once with it.
    ///
    ///     memory[destination] = [token if it has no number] | calldata[at : end]
    ///     transient[SLOT] = target << 96 | (keccak(memory[destination : destination + length]) & HASH_MASK) | tag
    ///
    /// @param tag Layout of the callback, number of the token, kind of the frame.
    /// @return length Of the continuation, bytes.
    function expect(uint256 target, uint256 destination, uint256 token, uint256 at, uint256 end, uint256 tag)
        internal
        returns (uint256 length)
    {
        assembly ("memory-safe") {
            let width := mul(ADDRESS_WIDTH, iszero(and(tag, TOKEN_MASK)))
            mstore(destination, shl(96, token))
            length := sub(end, at)
            calldatacopy(add(destination, width), at, length)
            length := add(length, width)
            tag := or(tag, mul(NO_LOAN, iszero(and(tag, LOAN_MASK))))
            tstore(SLOT, or(shl(96, target), or(and(keccak256(destination, length), HASH_MASK), tag)))
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
    ///     start = 4 + 32 * layout
    ///     length = calldata word before start
    ///     require keccak(calldata[start : start + length]) matches   (past the end calldata reads as zero, here and later)
    ///
    /// @param committed The slot, whose address the caller has already been held against.
    function open(uint256 committed) internal returns (Frame memory frame) {
        uint256 difference;
        uint256 at;
        uint256 end;
        assembly ("memory-safe") {
            tstore(SLOT, 0)
            at := add(4, shl(5, and(committed, LAYOUT_MASK)))
            let length := calldataload(sub(at, 32))
            end := add(at, length)
            let buffer := mload(0x40)
            calldatacopy(buffer, at, length)
            difference := and(xor(keccak256(buffer, length), committed), HASH_MASK)
        }
        if (difference != 0) revert Errors.ContinuationMismatch();
        frame.tag = committed & 0xffff;
        (frame.at, frame.token) = Coins.read(committed & TOKEN_MASK, at);
        frame.end = end;
    }
}
