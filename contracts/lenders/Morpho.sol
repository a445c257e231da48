// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {Frame} from "../libraries/Frame.sol";
import {Continuation} from "../libraries/Continuation.sol";
import {LAYOUT_MORPHO} from "../libraries/Opcodes.sol";
import {Token} from "../libraries/Token.sol";
import {Loan} from "./Loan.sol";

/// @title Morpho Blue: free of charge, pulls the repayment after its callback
library Morpho {
    /// @dev Borrow, run the rest of the stream in the callback, and see that the approval was used up.
    ///
    ///     memory = flashLoan.selector | token | amount | 0x60 | length | continuation
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
            Continuation.expect(lender, buffer + 0xa0, token, loan.own, frame.end, loan.tag | LAYOUT_MORPHO);
        assembly ("memory-safe") {
            mstore(buffer, 0xe0232b42) // flashLoan(address,uint256,bytes)
            mstore(add(buffer, 0x20), token)
            mstore(add(buffer, 0x40), amount)
            mstore(add(buffer, 0x60), 0x60)
            mstore(add(buffer, 0x80), length)
            if iszero(call(gas(), lender, 0, add(buffer, 0x1c), add(0x84, length), 0x00, 0x00)) {
                returndatacopy(buffer, 0, returndatasize())
                revert(buffer, returndatasize())
            }
        }
        Token.requireNoAllowance(token, lender);
    }

    /// @dev Let the lender pull what was borrowed.
    function repay(uint256 token, uint256 amount) internal {
        Token.approve(token, uint160(msg.sender), amount);
    }
}
