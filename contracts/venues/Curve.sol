// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {Token} from "../libraries/Token.sol";

/// @title Curve's StableSwap and crypto pools, and those with their interface
/// @notice The three functions named `exchange` differ in the types of the coins' positions, which are small and so the same
/// words, and in who moves the input. What a pool pays out goes to this contract, or to the receiver that it lets one name.
library Curve {
    uint256 internal constant INT128 = 0x3df02124; // exchange(int128,int128,uint256,uint256)
    uint256 internal constant UINT256 = 0x5b41b908; // exchange(uint256,uint256,uint256,uint256)
    uint256 private constant RECEIVED = 0xafb43012; // exchange_received(int128,int128,uint256,uint256,address)

    /// @dev Swap what the pool is approved for and pulls.
    ///
    ///     token.approve(pool, amountIn)
    ///     memory = selector | i | j | amountIn | 0
    ///     call the pool, pass on its revert data
    ///     require token.allowance(this, pool) == 0
    function exchange(uint256 selector, uint256 pool, uint256 token, uint256 i, uint256 j, uint256 amountIn) internal {
        Token.approve(token, pool, amountIn);
        _call(selector, pool, i, j, amountIn, 0, 0x84);
        Token.requireNoAllowance(token, pool);
    }

    /// @dev Swap what lies in the pool already.
    ///
    ///     memory = selector | i | j | amountIn | 0 | to
    ///     call the pool, pass on its revert data
    function exchangeReceived(uint256 pool, uint256 i, uint256 j, uint256 amountIn, uint256 to) internal {
        _call(RECEIVED, pool, i, j, amountIn, to, 0xa4);
    }

    function _call(uint256 selector, uint256 pool, uint256 i, uint256 j, uint256 amountIn, uint256 to, uint256 size)
        private
    {
        assembly ("memory-safe") {
            let buffer := mload(0x40)
            mstore(buffer, selector)
            mstore(add(buffer, 0x20), i)
            mstore(add(buffer, 0x40), j)
            mstore(add(buffer, 0x60), amountIn)
            mstore(add(buffer, 0x80), 0)
            mstore(add(buffer, 0xa0), to)
            if iszero(call(gas(), pool, 0, add(buffer, 0x1c), size, 0x00, 0x00)) {
                returndatacopy(buffer, 0, returndatasize())
                revert(buffer, returndatasize())
            }
        }
    }
}
