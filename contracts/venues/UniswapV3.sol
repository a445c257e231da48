// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {Continuation} from "../libraries/Continuation.sol";
import {LAYOUT_V3} from "../libraries/Opcodes.sol";

/// @title Uniswap V3 and its forks
/// @notice Every swap is a flash swap: the pool pays out, calls back, and is paid by the rest of the stream.
library UniswapV3 {
    /// @dev One above TickMath.MIN_SQRT_RATIO and one below MAX_SQRT_RATIO: no limit but the range of prices.
    uint256 private constant LOWEST_PRICE = 4295128740;
    uint256 private constant HIGHEST_PRICE = 1461446703485210103287273052203988822378723970341;

    /// @dev Swap exactly `amountIn`; `zeroForOne` is 0 or 1.
    ///
    ///     continuation = token | calldata[rest : end]
    ///     memory = swap.selector | to | zeroForOne | amountIn | price limit | 0xa0 | length | continuation
    ///     expect the pool to call back with the continuation
    ///     call the pool, pass on its revert data
    function swap(
        uint256 pool,
        uint256 zeroForOne,
        uint256 amountIn,
        uint256 to,
        uint256 token,
        uint256 rest,
        uint256 end
    ) internal {
        uint256 continuation;
        uint256 length;
        assembly ("memory-safe") {
            continuation := add(mload(0x40), 0xc4)
            length := sub(end, rest)
            mstore(continuation, shl(96, token))
            calldatacopy(add(continuation, 20), rest, length)
            length := add(length, 20)
        }
        Continuation.expect(pool, continuation, length, LAYOUT_V3);
        assembly ("memory-safe") {
            let call_ := sub(continuation, 0xc4)
            mstore(call_, shl(224, 0x128acb08)) // swap(address,bool,int256,uint160,bytes)
            mstore(add(call_, 0x04), to)
            mstore(add(call_, 0x24), zeroForOne)
            mstore(add(call_, 0x44), amountIn)
            mstore(add(call_, 0x64), xor(HIGHEST_PRICE, mul(zeroForOne, xor(HIGHEST_PRICE, LOWEST_PRICE))))
            mstore(add(call_, 0x84), 0xa0)
            mstore(add(call_, 0xa4), length)
            if iszero(call(gas(), pool, 0, call_, add(0xc4, length), 0x00, 0x00)) {
                returndatacopy(call_, 0, returndatasize())
                revert(call_, returndatasize())
            }
        }
    }

    /// @dev What the calling pool asks for: the positive one of the callback's two deltas, or zero.
    function asked() internal pure returns (uint256 amount) {
        assembly ("memory-safe") {
            amount := calldataload(0x04)
            if iszero(sgt(amount, 0)) { amount := calldataload(0x24) }
        }
    }
}
