// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

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
    function borrow(uint256 lender, uint256 amount, uint256 token, uint256 at, uint256 end) internal {
        uint256 continuation;
        assembly ("memory-safe") {
            continuation := add(mload(0x40), 0x84)
        }
        uint256 length = Loan.write(continuation, token, at, end);
        Continuation.expect(lender, continuation, length, LAYOUT_MORPHO);
        assembly ("memory-safe") {
            let call_ := mload(0x40)
            mstore(call_, shl(224, 0xe0232b42)) // flashLoan(address,uint256,bytes)
            mstore(add(call_, 0x04), token)
            mstore(add(call_, 0x24), amount)
            mstore(add(call_, 0x44), 0x60)
            mstore(add(call_, 0x64), length)
            if iszero(call(gas(), lender, 0, call_, add(0x84, length), 0x00, 0x00)) {
                returndatacopy(call_, 0, returndatasize())
                revert(call_, returndatasize())
            }
        }
        Token.requireNoAllowance(token, lender);
    }

    /// @dev Let the lender pull what was borrowed.
    function repay(uint256 token, uint256 amount) internal {
        Token.approve(token, uint160(msg.sender), amount);
    }
}
