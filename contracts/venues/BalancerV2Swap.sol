// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {Token} from "../libraries/Token.sol";

/// @title Swaps through the vault of Balancer V2
library BalancerV2Swap {
    /// @param vault Whom to call.
    /// @param amountIn Raw units.
    /// @param poolId The pool.
    struct Swap {
        uint256 vault;
        uint256 amountIn;
        uint256 poolId;
        uint256 tokenIn;
        uint256 tokenOut;
        uint256 to;
    }

    /// @dev Swap what the vault is approved for and pulls.
    ///
    ///     tokenIn.approve(vault, amountIn)
    ///     memory = swap.selector | 0xe0 | this | false | to | false | 0 | block.timestamp
    ///            | poolId | GIVEN_IN | tokenIn | tokenOut | amountIn | 0xc0 | 0
    ///     call the vault, pass on its revert data
    ///     require tokenIn.allowance(this, vault) == 0
    function swap(Swap memory terms) internal {
        Token.approve(terms.tokenIn, terms.vault, terms.amountIn);
        assembly ("memory-safe") {
            let buffer := mload(0x40)
            mstore(buffer, 0x52bbbe29) // swap((bytes32,uint8,address,address,uint256,bytes),(address,bool,address,bool),..)
            mstore(add(buffer, 0x20), 0xe0)
            mstore(add(buffer, 0x40), address())
            mstore(add(buffer, 0x60), 0)
            mstore(add(buffer, 0x80), mload(add(terms, 0xa0)))
            mstore(add(buffer, 0xa0), 0)
            mstore(add(buffer, 0xc0), 0)
            mstore(add(buffer, 0xe0), timestamp())
            mstore(add(buffer, 0x100), mload(add(terms, 0x40)))
            mstore(add(buffer, 0x120), 0)
            mstore(add(buffer, 0x140), mload(add(terms, 0x60)))
            mstore(add(buffer, 0x160), mload(add(terms, 0x80)))
            mstore(add(buffer, 0x180), mload(add(terms, 0x20)))
            mstore(add(buffer, 0x1a0), 0xc0)
            mstore(add(buffer, 0x1c0), 0)
            if iszero(call(gas(), mload(terms), 0, add(buffer, 0x1c), 0x1c4, 0x00, 0x00)) {
                returndatacopy(buffer, 0, returndatasize())
                revert(buffer, returndatasize())
            }
        }
        Token.requireNoAllowance(terms.tokenIn, terms.vault);
    }
}
