// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

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
    function borrow(uint256 lender, uint256 amount, uint256 token, uint256 at, uint256 end) internal {
        uint256 continuation;
        assembly ("memory-safe") {
            continuation := add(mload(0x40), 0x124)
        }
        uint256 length = Loan.write(continuation, token, at, end);
        Continuation.expect(lender, continuation, length, LAYOUT_BALANCER_V2);
        assembly ("memory-safe") {
            let call_ := mload(0x40)
            mstore(call_, shl(224, 0x5c38449e)) // flashLoan(address,address[],uint256[],bytes)
            mstore(add(call_, 0x04), address())
            mstore(add(call_, 0x24), 0x80)
            mstore(add(call_, 0x44), 0xc0)
            mstore(add(call_, 0x64), 0x100)
            mstore(add(call_, 0x84), 1)
            mstore(add(call_, 0xa4), token)
            mstore(add(call_, 0xc4), 1)
            mstore(add(call_, 0xe4), amount)
            mstore(add(call_, 0x104), length)
            if iszero(call(gas(), lender, 0, call_, add(0x124, length), 0x00, 0x00)) {
                returndatacopy(call_, 0, returndatasize())
                revert(call_, returndatasize())
            }
        }
    }

    /// @dev Send back what was borrowed and the fee that the vault names in its callback.
    function repay(uint256 token, uint256 amount) internal {
        uint256 fee;
        assembly ("memory-safe") {
            fee := calldataload(0x124) // feeAmounts[0]
            fee := add(fee, amount)
        }
        Token.transfer(token, uint160(msg.sender), fee);
    }
}
