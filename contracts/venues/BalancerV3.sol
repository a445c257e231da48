// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {Frame} from "../libraries/Frame.sol";
import {Continuation} from "../libraries/Continuation.sol";
import {LAYOUT_UNLOCK, TOKEN_MASK} from "../libraries/Opcodes.sol";
import {Token} from "../libraries/Token.sol";

/// @title The vault of Balancer V3, which keeps accounts until it is locked again; swaps and loans are free of its own fee
library BalancerV3 {
    /// @dev Unlock, and run what is left of the frame in the callback. The vault calls back with exactly the bytes that it is
    /// given, so they bring a selector and the words of a `bytes` argument along, as V4's callback has them.
    ///
    ///     memory = unlock.selector | 0x20 | 0x44 + length | 0(4) | 0x20 | length | continuation
    ///     expect the vault to call back with the continuation
    ///     call the vault, pass on its revert data
    function unlock(uint256 vault, Frame memory frame) internal {
        uint256 buffer;
        assembly ("memory-safe") {
            buffer := mload(0x40)
        }
        uint256 tag = (frame.tag & TOKEN_MASK) | LAYOUT_UNLOCK;
        uint256 length = Continuation.expect(vault, buffer + 0xa4, frame.token, frame.at, frame.end, tag);
        frame.at = frame.end;
        assembly ("memory-safe") {
            mstore(buffer, 0x48c89491) // unlock(bytes)
            mstore(add(buffer, 0x20), 0x20)
            mstore(add(buffer, 0x40), add(0x44, length))
            mstore(add(buffer, 0x60), 0)
            mstore(add(buffer, 0x64), 0x20)
            mstore(add(buffer, 0x84), length)
            if iszero(call(gas(), vault, 0, add(buffer, 0x1c), add(0x88, length), 0x00, 0x00)) {
                returndatacopy(buffer, 0, returndatasize())
                revert(buffer, returndatasize())
            }
        }
    }

    /// @dev Swap on account.
    ///
    ///     memory = swap.selector | 0x20 | EXACT_IN | pool | tokenIn | tokenOut | amountIn | 0 | 0xe0 | 0
    ///     call the vault, which is the caller; pass on its revert data
    function swap(uint256 pool, uint256 tokenIn, uint256 tokenOut, uint256 amountIn) internal {
        assembly ("memory-safe") {
            let buffer := mload(0x40)
            mstore(buffer, 0x2bfb780c) // swap((uint8,address,address,address,uint256,uint256,bytes))
            mstore(add(buffer, 0x20), 0x20)
            mstore(add(buffer, 0x40), 0)
            mstore(add(buffer, 0x60), pool)
            mstore(add(buffer, 0x80), tokenIn)
            mstore(add(buffer, 0xa0), tokenOut)
            mstore(add(buffer, 0xc0), amountIn)
            mstore(add(buffer, 0xe0), 0)
            mstore(add(buffer, 0x100), 0xe0)
            mstore(add(buffer, 0x120), 0)
            if iszero(call(gas(), caller(), 0, add(buffer, 0x1c), 0x124, 0x00, 0x00)) {
                returndatacopy(buffer, 0, returndatasize())
                revert(buffer, returndatasize())
            }
        }
    }

    /// @dev vault.sendTo(token, to, amount)
    function take(uint256 token, uint256 amount, uint256 to) internal {
        assembly ("memory-safe") {
            let buffer := mload(0x40)
            mstore(buffer, 0xae639329) // sendTo(address,address,uint256)
            mstore(add(buffer, 0x20), token)
            mstore(add(buffer, 0x40), to)
            mstore(add(buffer, 0x60), amount)
            if iszero(call(gas(), caller(), 0, add(buffer, 0x1c), 0x64, 0x00, 0x00)) {
                returndatacopy(buffer, 0, returndatasize())
                revert(buffer, returndatasize())
            }
        }
    }

    /// @dev token.transfer(vault, amount); vault.settle(token, amount)
    function settle(uint256 token, uint256 amount) internal {
        Token.transfer(token, uint160(msg.sender), amount);
        assembly ("memory-safe") {
            let buffer := mload(0x40)
            mstore(buffer, 0x15afd409) // settle(address,uint256)
            mstore(add(buffer, 0x20), token)
            mstore(add(buffer, 0x40), amount)
            if iszero(call(gas(), caller(), 0, add(buffer, 0x1c), 0x44, 0x00, 0x00)) {
                returndatacopy(buffer, 0, returndatasize())
                revert(buffer, returndatasize())
            }
        }
    }
}
