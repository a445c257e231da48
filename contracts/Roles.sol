// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {Errors} from "./Errors.sol";
import {IExecutor} from "./interfaces/IExecutor.sol";
import {Token} from "./libraries/Token.sol";

/// @title The two roles, and the functions that are served between transactions of the operator
abstract contract Roles is Errors {
    /// @dev Words, since whoever compares an address with them would mask it each time.
    uint256 internal immutable OPERATOR;
    uint256 private immutable TREASURY;

    constructor(address operator, address treasury) {
        if (operator == address(0) || treasury == address(0)) revert ZeroAddress();
        OPERATOR = uint160(operator);
        TREASURY = uint160(treasury);
    }

    /// @dev The functions of `IExecutor`, for anybody but the operator, whose own calls are streams; and coins that come
    /// without a word, as wrapped coins and V4's manager pay them.
    function _serve() internal {
        if (msg.data.length == 0) return;
        if (msg.sig == IExecutor.sweep.selector) {
            (address token, uint256 amount) = abi.decode(msg.data[4:], (address, uint256));
            if (uint160(msg.sender) != TREASURY) revert Unauthorized();
            Token.transfer(uint160(token), TREASURY, amount);
        } else if (msg.sig == IExecutor.operator.selector) {
            _answer(OPERATOR);
        } else if (msg.sig == IExecutor.treasury.selector) {
            _answer(TREASURY);
        } else {
            revert Unauthorized();
        }
    }

    function _answer(uint256 value) private pure {
        assembly ("memory-safe") {
            mstore(0x00, value)
            return(0x00, 0x20)
        }
    }
}
