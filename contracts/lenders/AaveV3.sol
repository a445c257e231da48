// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {Errors} from "../Errors.sol";
import {Frame} from "../libraries/Frame.sol";
import {Continuation} from "../libraries/Continuation.sol";
import {LAYOUT_AAVE_V3} from "../libraries/Opcodes.sol";
import {Token} from "../libraries/Token.sol";
import {Loan} from "./Loan.sol";

/// @title Aave V3 and its forks: pulls the repayment and a premium after its callback
library AaveV3 {
    /// @dev Borrow, run the rest of the stream in the callback, and see that the approval was used up.
    ///
    ///     memory = flashLoanSimple.selector | this | token | amount | 0xa0 | referral 0 | length | continuation
    ///     expect the lender to call back with the continuation
    ///     call the lender, pass on its revert data
    ///     require token.allowance(this, lender) == 0
    function borrow(Loan memory loan, Frame memory frame) internal {
        (uint256 lender, uint256 amount, uint256 token) = (loan.lender, loan.amount, frame.token);
        uint256 buffer;
        assembly ("memory-safe") {
            buffer := mload(0x40)
        }
        uint256 length =
            Continuation.expect(lender, buffer + 0xe0, token, loan.own, frame.end, loan.tag | LAYOUT_AAVE_V3);
        assembly ("memory-safe") {
            mstore(buffer, 0x42b0b77c) // flashLoanSimple(address,address,uint256,bytes,uint16)
            mstore(add(buffer, 0x20), address())
            mstore(add(buffer, 0x40), token)
            mstore(add(buffer, 0x60), amount)
            mstore(add(buffer, 0x80), 0xa0)
            mstore(add(buffer, 0xa0), 0)
            mstore(add(buffer, 0xc0), length)
            if iszero(call(gas(), lender, 0, add(buffer, 0x1c), add(0xc4, length), 0x00, 0x00)) {
                returndatacopy(buffer, 0, returndatasize())
                revert(buffer, returndatasize())
            }
        }
        Token.requireNoAllowance(token, lender);
    }

    /// @dev Require that this contract itself asked for the loan.
    function requireInitiator() internal view {
        uint256 initiator;
        assembly ("memory-safe") {
            initiator := calldataload(0x64) // executeOperation(asset, amount, premium, initiator, params)
        }
        if (initiator != uint160(address(this))) revert Errors.WrongInitiator();
    }

    /// @dev Let the lender pull what was borrowed and the premium that it names in its callback; return true.
    function repay(uint256 token, uint256 amount) internal {
        uint256 owed;
        assembly ("memory-safe") {
            owed := add(amount, calldataload(0x44))
        }
        Token.approve(token, uint160(msg.sender), owed);
        assembly ("memory-safe") {
            mstore(0x00, 1)
            return(0x00, 0x20)
        }
    }
}
