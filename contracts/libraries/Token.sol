// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {Errors} from "../Errors.sol";

/// @title ERC-20 calls that also accept tokens which return nothing
library Token {
    /// @dev `token.balanceOf(this)`; reverts when the answer is not a whole word.
    ///
    ///     memory = balanceOf.selector | this
    ///     require staticcall succeeded and returned >= 32 bytes
    function balance(address token) internal view returns (uint256 amount) {
        bool ok;
        assembly ("memory-safe") {
            mstore(0x00, 0x70a08231) // balanceOf(address)
            mstore(0x20, address())
            ok := staticcall(gas(), token, 0x1c, 0x24, 0x00, 0x20)
            ok := and(ok, gt(returndatasize(), 31))
            amount := mload(0x00)
        }
        if (!ok) revert Errors.TokenFailed();
    }

    /// @dev `token.transfer(to, amount)`.
    function transfer(address token, address to, uint256 amount) internal {
        _send(token, 0xa9059cbb, to, amount); // transfer(address,uint256)
    }

    /// @dev `token.approve(spender, amount)`.
    function approve(address token, address spender, uint256 amount) internal {
        _send(token, 0x095ea7b3, spender, amount); // approve(address,uint256)
    }

    /// @dev Require `token.allowance(this, spender) == 0`.
    ///
    ///     memory = allowance.selector | this | spender
    ///     require staticcall succeeded and returned a zero word
    function requireNoAllowance(address token, address spender) internal view {
        bool ok;
        assembly ("memory-safe") {
            let memory_ := mload(0x40)
            mstore(memory_, shl(224, 0xdd62ed3e)) // allowance(address,address)
            mstore(add(memory_, 0x04), address())
            mstore(add(memory_, 0x24), spender)
            ok := staticcall(gas(), token, memory_, 0x44, 0x00, 0x20)
            ok := and(ok, and(gt(returndatasize(), 31), iszero(mload(0x00))))
        }
        if (!ok) revert Errors.AllowanceLeft();
    }

    /// @dev `selector(address,uint256)`, whose boolean answer may be left out.
    ///
    ///     memory = selector | target | amount
    ///     require call succeeded and (returned nothing or returned true)
    function _send(address token, uint256 selector, address target, uint256 amount) private {
        bool ok;
        assembly ("memory-safe") {
            let memory_ := mload(0x40)
            mstore(memory_, shl(224, selector))
            mstore(add(memory_, 0x04), target)
            mstore(add(memory_, 0x24), amount)
            ok := call(gas(), token, 0, memory_, 0x44, 0x00, 0x20)
            if iszero(ok) {
                returndatacopy(memory_, 0, returndatasize())
                revert(memory_, returndatasize())
            }
            ok := or(iszero(returndatasize()), and(gt(returndatasize(), 31), eq(mload(0x00), 1)))
        }
        if (!ok) revert Errors.TokenFailed();
    }
}
