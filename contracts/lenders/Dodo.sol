// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {Frame} from "../libraries/Frame.sol";
import {Continuation} from "../libraries/Continuation.sol";
import {FLASH_SWAP, LAYOUT_V2} from "../libraries/Opcodes.sol";
import {Token} from "../libraries/Token.sol";
import {Loan} from "./Loan.sol";

/// @title DODO's pools (DVM, DPP, DSP): free of charge when exactly what was lent comes back in the callback
library Dodo {
    /// @dev Borrow and run the rest of the stream in the callback, whose words stand as those of a pair's.
    ///
    ///     memory = flashLoan.selector | base | quote | this | 0x80 | length | continuation
    ///     expect the lender to call back with the continuation, naming this contract as the sender
    ///     call the lender, pass on its revert data
    /// @param side 0 when the profit token is the pool's base token, 1 when it is the quote token.
    function borrow(Loan memory loan, Frame memory frame, uint256 side) internal {
        (uint256 lender, uint256 amount) = (loan.lender, loan.amount);
        uint256 buffer;
        assembly ("memory-safe") {
            buffer := mload(0x40)
        }
        uint256 length = Continuation.expect(
            lender, buffer + 0xc0, frame.token, loan.own, frame.end, loan.tag | LAYOUT_V2 | FLASH_SWAP
        );
        assembly ("memory-safe") {
            mstore(buffer, 0xd0a494e4) // flashLoan(uint256,uint256,address,bytes)
            mstore(add(buffer, 0x20), mul(amount, iszero(side)))
            mstore(add(buffer, 0x40), mul(amount, side))
            mstore(add(buffer, 0x60), address())
            mstore(add(buffer, 0x80), 0x80)
            mstore(add(buffer, 0xa0), length)
            if iszero(call(gas(), lender, 0, add(buffer, 0x1c), add(0xa4, length), 0x00, 0x00)) {
                returndatacopy(buffer, 0, returndatasize())
                revert(buffer, returndatasize())
            }
        }
    }

    /// @dev Send back what was borrowed.
    function repay(uint256 token, uint256 amount) internal {
        Token.transfer(token, uint160(msg.sender), amount);
    }
}
