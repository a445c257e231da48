// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {Token} from "../libraries/Token.sol";

/// @title WETH9 and its like
library WrappedCoin {
    /// @dev coin.deposit{value: amount}()
    function deposit(uint256 coin, uint256 amount) internal {
        assembly ("memory-safe") {
            mstore(0x00, 0xd0e30db0) // deposit()
            if iszero(call(gas(), coin, amount, 0x1c, 0x04, 0x00, 0x00)) {
                let buffer := mload(0x40)
                returndatacopy(buffer, 0, returndatasize())
                revert(buffer, returndatasize())
            }
        }
    }

    /// @dev coin.withdraw(amount)
    function withdraw(uint256 coin, uint256 amount) internal {
        assembly ("memory-safe") {
            mstore(0x00, 0x2e1a7d4d) // withdraw(uint256)
            mstore(0x20, amount)
            if iszero(call(gas(), coin, 0, 0x1c, 0x24, 0x00, 0x00)) {
                let buffer := mload(0x40)
                returndatacopy(buffer, 0, returndatasize())
                revert(buffer, returndatasize())
            }
        }
    }
}
