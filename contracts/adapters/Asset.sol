// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {AdapterErrors} from "./AdapterErrors.sol";
import {IERC20} from "../interfaces/adapter/IERC20.sol";

/// @title ERC-20 calls that also accept tokens which return nothing
library Asset {
    function balance(address token, address owner) internal view returns (uint256) {
        return IERC20(token).balanceOf(owner);
    }

    function transfer(address token, address to, uint256 amount) internal {
        _call(token, abi.encodeCall(IERC20.transfer, (to, amount)));
    }

    function transferFrom(address token, address from, address to, uint256 amount) internal {
        _call(token, abi.encodeCall(IERC20.transferFrom, (from, to, amount)));
    }

    function approve(address token, address spender, uint256 amount) internal {
        _call(token, abi.encodeCall(IERC20.approve, (spender, amount)));
    }

    /// @dev Require that nothing is left of what `spender` was approved for.
    function requireNoAllowance(address token, address spender) internal view {
        if (IERC20(token).allowance(address(this), spender) != 0) revert AdapterErrors.AllowanceLeft();
    }

    /// @dev Take back what is left of what `spender` was approved for.
    function revoke(address token, address spender) internal {
        if (IERC20(token).allowance(address(this), spender) != 0) approve(token, spender, 0);
    }

    /// @dev Require the call to succeed and to answer with true or with nothing. That there is a contract at all is
    /// known from its balances, which are read before.
    ///
    ///     if the call failed: revert with what the token reverted with
    function _call(address token, bytes memory data) private {
        (bool ok, bytes memory answer) = token.call(data);
        if (!ok) {
            assembly ("memory-safe") {
                revert(add(answer, 0x20), mload(answer))
            }
        }
        if (answer.length != 0 && abi.decode(answer, (uint256)) != 1) revert AdapterErrors.TokenFailed();
    }
}
