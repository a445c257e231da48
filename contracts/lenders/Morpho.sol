// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {Continuation} from "../libraries/Continuation.sol";
import {BUFFER} from "../libraries/Memory.sol";
import {LAYOUT_MORPHO, TOKEN_MASK} from "../libraries/Opcodes.sol";
import {Token} from "../libraries/Token.sol";

/// @title Morpho Blue: free of charge, pulls the repayment after its callback
library Morpho {
    /// @dev Borrow, run the rest of the stream in the callback, and see that the approval was used up.
    ///
    ///     memory = flashLoan.selector | token | amount | 0x60 | length | continuation
    ///     expect the lender to call back with the continuation
    ///     call the lender, pass on its revert data
    ///     require token.allowance(this, lender) == 0
    function borrow(uint256 lender, uint256 amount, uint256 token, uint256 at, uint256 end, uint256 tag) internal {
        uint256 length = Continuation.expect(
            lender, BUFFER + 0xa0, token, at, end, (tag & TOKEN_MASK) | LAYOUT_MORPHO
        );
        assembly ("memory-safe") {
            mstore(BUFFER, 0xe0232b42) // flashLoan(address,uint256,bytes)
            mstore(add(BUFFER, 0x20), token)
            mstore(add(BUFFER, 0x40), amount)
            mstore(add(BUFFER, 0x60), 0x60)
            mstore(add(BUFFER, 0x80), length)
            if iszero(call(gas(), lender, 0, add(BUFFER, 0x1c), add(0x84, length), 0x00, 0x00)) {
                returndatacopy(BUFFER, 0, returndatasize())
                revert(BUFFER, returndatasize())
            }
        }
        Token.requireNoAllowance(token, lender);
    }

    /// @dev Let the lender pull what was borrowed.
    function repay(uint256 token, uint256 amount) internal {
        Token.approve(token, uint160(msg.sender), amount);
    }
}
