// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {Errors} from "../Errors.sol";

/// @title The chain's coin and ERC-20 tokens, also those that return nothing
/// @notice Addresses are words here and in the venues: masking them again and again would cost gas and change nothing. The
/// chain's coin has the zero address.
library Token {
    /// @dev What this contract holds; reverts when the answer is not a whole word.
    ///
    ///     memory = balanceOf.selector | this
    ///     require staticcall succeeded and returned >= 32 bytes
    function balance(uint256 token) internal view returns (uint256 amount) {
        if (token == 0) return address(this).balance;
        uint256 failed;
        assembly ("memory-safe") {
            mstore(0x00, 0x70a08231) // balanceOf(address)
            mstore(0x20, address())
            let ok := staticcall(gas(), token, 0x1c, 0x24, 0x00, 0x20)
            failed := iszero(and(ok, gt(returndatasize(), 31)))
            amount := mload(0x00)
        }
        if (failed != 0) revert Errors.TokenFailed();
    }

    /// @dev Send `amount` to `to`.
    function transfer(uint256 token, uint256 to, uint256 amount) internal {
        if (token == 0) call(to, amount, gasleft());
        else _send(token, 0xa9059cbb, to, amount); // transfer(address,uint256)
    }

    /// @dev `token.approve(spender, amount)`.
    function approve(uint256 token, uint256 spender, uint256 amount) internal {
        _send(token, 0x095ea7b3, spender, amount); // approve(address,uint256)
    }

    /// @dev Require `token.allowance(this, spender) == 0`.
    ///
    ///     memory = allowance.selector | this | spender
    ///     require staticcall succeeded and returned a zero word
    function requireNoAllowance(uint256 token, uint256 spender) internal view {
        uint256 failed;
        assembly ("memory-safe") {
            let buffer := mload(0x40)
            mstore(buffer, 0xdd62ed3e) // allowance(address,address)
            mstore(add(buffer, 0x20), address())
            mstore(add(buffer, 0x40), spender)
            let ok := staticcall(gas(), token, add(buffer, 0x1c), 0x44, 0x00, 0x20)
            failed := iszero(and(and(ok, gt(returndatasize(), 31)), iszero(mload(0x00))))
        }
        if (failed != 0) revert Errors.AllowanceLeft();
    }

    /// @dev Send coins with a call that has no data; reverts with what the receiver reverts with.
    function call(uint256 to, uint256 amount, uint256 gas_) internal {
        assembly ("memory-safe") {
            if iszero(call(gas_, to, amount, 0x00, 0x00, 0x00, 0x00)) {
                let buffer := mload(0x40)
                returndatacopy(buffer, 0x00, returndatasize())
                revert(buffer, returndatasize())
            }
        }
    }

    /// @dev `selector(address,uint256)`, whose boolean answer may be left out.
    ///
    ///     memory = selector | target | amount
    ///     require call succeeded and (returned true or returned nothing)
    function _send(uint256 token, uint256 selector, uint256 target, uint256 amount) private {
        uint256 failed;
        assembly ("memory-safe") {
            let buffer := mload(0x40)
            mstore(buffer, selector)
            mstore(add(buffer, 0x20), target)
            mstore(add(buffer, 0x40), amount)
            mstore(0x00, 0)
            if iszero(call(gas(), token, 0, add(buffer, 0x1c), 0x44, 0x00, 0x20)) {
                returndatacopy(buffer, 0, returndatasize())
                revert(buffer, returndatasize())
            }
            failed := iszero(or(eq(mload(0x00), 1), iszero(returndatasize())))
        }
        if (failed != 0) revert Errors.TokenFailed();
    }
}
