// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {Frame} from "../libraries/Frame.sol";
import {Continuation} from "../libraries/Continuation.sol";
import {LAYOUT_BALANCER_V2} from "../libraries/Opcodes.sol";
import {Token} from "../libraries/Token.sol";
import {Loan} from "./Loan.sol";

/// @title Balancer V2's vault: repaid by a transfer inside its callback
library BalancerV2 {
    /// @dev Borrow and run the rest of the stream in the callback.
    ///
    ///     memory = flashLoan.selector | this | 0x80 | 0xc0 | 0x100 | [token] | [amount] | length | continuation
    ///     expect the lender to call back with the continuation
    ///     call the lender, pass on its revert data
    function borrow(Loan memory loan, Frame memory frame) internal {
        (uint256 lender, uint256 amount, uint256 token) = (loan.lender, loan.amount, frame.token);
        uint256 buffer;
        assembly ("memory-safe") {
            buffer := mload(0x40)
        }
        uint256 length =
            Continuation.expect(lender, buffer + 0x140, token, loan.own, frame.end, loan.tag | LAYOUT_BALANCER_V2);
        assembly ("memory-safe") {
            mstore(buffer, 0x5c38449e) // flashLoan(address,address[],uint256[],bytes)
            mstore(add(buffer, 0x20), address())
            mstore(add(buffer, 0x40), 0x80)
            mstore(add(buffer, 0x60), 0xc0)
            mstore(add(buffer, 0x80), 0x100)
            mstore(add(buffer, 0xa0), 1)
            mstore(add(buffer, 0xc0), token)
            mstore(add(buffer, 0xe0), 1)
            mstore(add(buffer, 0x100), amount)
            mstore(add(buffer, 0x120), length)
            if iszero(call(gas(), lender, 0, add(buffer, 0x1c), add(0x124, length), 0x00, 0x00)) {
                returndatacopy(buffer, 0, returndatasize())
                revert(buffer, returndatasize())
            }
        }
    }

    /// @dev Send back what was borrowed and the fee that the vault names in its callback.
    function repay(uint256 token, uint256 amount) internal {
        uint256 owed;
        assembly ("memory-safe") {
            owed := add(amount, calldataload(0x124)) // feeAmounts[0]
        }
        Token.transfer(token, uint160(msg.sender), owed);
    }
}
