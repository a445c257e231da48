// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {Continuation} from "../libraries/Continuation.sol";
import {Frame} from "../libraries/Frame.sol";

// One above TickMath.MIN_SQRT_RATIO and one below MAX_SQRT_RATIO: no limit but the range of prices.
uint256 constant LOWEST_PRICE = 4295128740;
uint256 constant HIGHEST_PRICE = 1461446703485210103287273052203988822378723970341;

/// @title Uniswap V3, its forks, and pools of Solidly's descendants with the same interface
library UniswapV3 {
    /// @param pool Whom to call.
    /// @param to Receiver of the output.
    /// @param zeroForOne 1 when the pool's token0 goes in, else 0.
    /// @param amountIn Raw units.
    /// @param token Of the frame that its callback opens.
    /// @param from Position of what that frame runs.
    /// @param end Behind that.
    /// @param tag Of that frame.
    struct Swap {
        uint256 pool;
        uint256 to;
        uint256 zeroForOne;
        uint256 amountIn;
        uint256 token;
        uint256 from;
        uint256 end;
        uint256 tag;
    }

    /// @dev Swap, calldata[from : end] being run in the callback.
    ///
    ///     memory = swap.selector | to | zeroForOne | amountIn | price limit | 0xa0 | length | continuation
    ///     expect the pool to call back with the continuation
    ///     call the pool, pass on its revert data
    function swap(Swap memory terms) internal {
        uint256 buffer;
        assembly ("memory-safe") {
            buffer := mload(0x40)
        }
        uint256 length =
            Continuation.expect(terms.pool, buffer + 0xe0, terms.token, terms.from, terms.end, terms.tag);
        assembly ("memory-safe") {
            let zeroForOne := mload(add(terms, 0x40))
            mstore(buffer, 0x128acb08) // swap(address,bool,int256,uint160,bytes)
            mstore(add(buffer, 0x20), mload(add(terms, 0x20)))
            mstore(add(buffer, 0x40), zeroForOne)
            mstore(add(buffer, 0x60), mload(add(terms, 0x60)))
            mstore(add(buffer, 0x80), xor(HIGHEST_PRICE, mul(zeroForOne, xor(HIGHEST_PRICE, LOWEST_PRICE))))
            mstore(add(buffer, 0xa0), 0xa0)
            mstore(add(buffer, 0xc0), length)
            if iszero(call(gas(), mload(terms), 0, add(buffer, 0x1c), add(0xc4, length), 0x00, 0x00)) {
                returndatacopy(buffer, 0, returndatasize())
                revert(buffer, returndatasize())
            }
        }
    }
}
