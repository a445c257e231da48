// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {Errors} from "../Errors.sol";
import {Continuation} from "../libraries/Continuation.sol";
import {LAYOUT_V2} from "../libraries/Opcodes.sol";

/// @title Uniswap V2 and its forks
/// @notice The keeper quotes the output, so forks with any fee and any callback name are served by the same code.
/// `side` is 1 when the output is the pool's token1, else 0.
library UniswapV2 {
    /// @dev Swap whose input already lies in the pool.
    ///
    ///     memory = swap.selector | 0 | 0 | to | 0x80 | 0
    ///     memory.amount[side]Out = amountOut
    ///     call the pool, pass on its revert data
    function swap(uint256 pool, uint256 side, uint256 amountOut, uint256 to) internal {
        assembly ("memory-safe") {
            let call_ := mload(0x40)
            mstore(call_, shl(224, 0x022c0d9f)) // swap(uint256,uint256,address,bytes)
            mstore(add(call_, 0x04), 0)
            mstore(add(call_, 0x24), 0)
            mstore(add(add(call_, 0x04), shl(5, side)), amountOut)
            mstore(add(call_, 0x44), to)
            mstore(add(call_, 0x64), 0x80)
            mstore(add(call_, 0x84), 0)
            if iszero(call(gas(), pool, 0, call_, 0xa4, 0x00, 0x00)) {
                returndatacopy(call_, 0, returndatasize())
                revert(call_, returndatasize())
            }
        }
    }

    /// @dev Flash swap: the pool pays this contract, calls back, and is paid by the rest of the stream. A pair calls back
    /// the receiver of its output, so the output cannot be delivered elsewhere.
    ///
    ///     continuation = token | calldata[rest : end]
    ///     memory = swap.selector | 0 | 0 | this | 0x80 | length | continuation
    ///     memory.amount[side]Out = amountOut
    ///     expect the pool to call back with the continuation
    ///     call the pool, pass on its revert data
    function flashSwap(uint256 pool, uint256 side, uint256 amountOut, uint256 token, uint256 rest, uint256 end)
        internal
    {
        uint256 continuation;
        uint256 length;
        assembly ("memory-safe") {
            continuation := add(mload(0x40), 0xa4)
            length := sub(end, rest)
            mstore(continuation, shl(96, token))
            calldatacopy(add(continuation, 20), rest, length)
            length := add(length, 20)
        }
        Continuation.expect(pool, continuation, length, LAYOUT_V2);
        assembly ("memory-safe") {
            let call_ := sub(continuation, 0xa4)
            mstore(call_, shl(224, 0x022c0d9f)) // swap(uint256,uint256,address,bytes)
            mstore(add(call_, 0x04), 0)
            mstore(add(call_, 0x24), 0)
            mstore(add(add(call_, 0x04), shl(5, side)), amountOut)
            mstore(add(call_, 0x44), address())
            mstore(add(call_, 0x64), 0x80)
            mstore(add(call_, 0x84), length)
            if iszero(call(gas(), pool, 0, call_, add(0xa4, length), 0x00, 0x00)) {
                returndatacopy(call_, 0, returndatasize())
                revert(call_, returndatasize())
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
