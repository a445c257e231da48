// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {Errors} from "./Errors.sol";
import {IExecutor} from "./interfaces/IExecutor.sol";
import {Token} from "./libraries/Token.sol";

/// @title The two roles, and the functions that are served between transactions of the operator
abstract contract Roles is Errors {
    address internal immutable OPERATOR;
    address private immutable TREASURY;

    constructor(address operator, address treasury) {
        if (operator == address(0) || treasury == address(0)) revert ZeroAddress();
        OPERATOR = operator;
        TREASURY = treasury;
    }

    /// @dev The functions of `IExecutor`, between transactions of the operator, whose own calls are streams.
    function _serve() internal {
        if (msg.sig == IExecutor.sweep.selector) {
            (address token, uint256 amount) = abi.decode(msg.data[4:], (address, uint256));
            _sweep(token, amount);
        } else if (msg.sig == IExecutor.operator.selector) {
            _answer(OPERATOR);
        } else if (msg.sig == IExecutor.treasury.selector) {
            _answer(TREASURY);
        } else {
            revert Unauthorized();
        }
    }

    function _answer(address value) private pure {
        assembly ("memory-safe") {
            mstore(0x00, value)
            return(0x00, 0x20)
        }
    }

    function _sweep(address token, uint256 amount) private {
        if (msg.sender != TREASURY) revert Unauthorized();
        if (token == address(0)) {
            (bool ok,) = TREASURY.call{value: amount}("");
            if (!ok) revert TokenFailed();
        } else {
            Token.transfer(uint160(token), uint160(TREASURY), amount);
        }
    }
}
