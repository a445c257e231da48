// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {Errors} from "../Errors.sol";
import {Continuation} from "../libraries/Continuation.sol";
import {Frame} from "../libraries/Frame.sol";
import {FLASH_SWAP, LAYOUT_V2, TOKEN_MASK} from "../libraries/Opcodes.sol";

/// @title Uniswap V2, its forks, and the volatile and stable pools of Solidly and its descendants
library UniswapV2 {
    /// @dev Take `amountOut`; the input lies in the pool.
    ///
    ///     memory = swap.selector | 0 | 0 | to | 0x80 | 0
    ///     memory.amount[direction]Out = amountOut
    ///     call the pool, pass on its revert data
    function swap(uint256 pool, uint256 zeroForOne, uint256 amountOut, uint256 to) internal {
        assembly ("memory-safe") {
            let buffer := mload(0x40)
            mstore(buffer, 0x022c0d9f) // swap(uint256,uint256,address,bytes)
            mstore(add(buffer, 0x20), mul(amountOut, iszero(zeroForOne)))
            mstore(add(buffer, 0x40), mul(amountOut, zeroForOne))
            mstore(add(buffer, 0x60), to)
            mstore(add(buffer, 0x80), 0x80)
            mstore(add(buffer, 0xa0), 0)
            if iszero(call(gas(), pool, 0, add(buffer, 0x1c), 0xa4, 0x00, 0x00)) {
                returndatacopy(buffer, 0, returndatasize())
                revert(buffer, returndatasize())
            }
        }
    }

    /// @dev Take `amountOut`, and run what is left of the frame in the callback.
    ///
    ///     memory = swap.selector | 0 | 0 | this | 0x80 | length | continuation
    ///     memory.amount[direction]Out = amountOut
    ///     expect the pool to call back with the continuation
    ///     call the pool, pass on its revert data
    function flashSwap(uint256 pool, uint256 zeroForOne, uint256 amountOut, Frame memory frame) internal {
        uint256 buffer;
        assembly ("memory-safe") {
            buffer := mload(0x40)
        }
        uint256 tag = (frame.tag & TOKEN_MASK) | LAYOUT_V2 | FLASH_SWAP;
        uint256 length = Continuation.expect(pool, buffer + 0xc0, frame.token, frame.at, frame.end, tag);
        frame.at = frame.end;
        assembly ("memory-safe") {
            mstore(buffer, 0x022c0d9f) // swap(uint256,uint256,address,bytes)
            mstore(add(buffer, 0x20), mul(amountOut, iszero(zeroForOne)))
            mstore(add(buffer, 0x40), mul(amountOut, zeroForOne))
            mstore(add(buffer, 0x60), address())
            mstore(add(buffer, 0x80), 0x80)
            mstore(add(buffer, 0xa0), length)
            if iszero(call(gas(), pool, 0, add(buffer, 0x1c), add(0xa4, length), 0x00, 0x00)) {
                returndatacopy(buffer, 0, returndatasize())
                revert(buffer, returndatasize())
            }
        }
    }

    /// @dev Require that this contract itself asked for the flash swap.
    function requireInitiator() internal view {
        uint256 initiator;
        assembly ("memory-safe") {
            initiator := calldataload(0x04) // uniswapV2Call(sender, amount0, amount1, data)
        }
        if (initiator != uint160(address(this))) revert Errors.WrongInitiator();
    }
}
