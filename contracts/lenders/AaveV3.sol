// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {Errors} from "../Errors.sol";
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
    function borrow(uint256 lender, uint256 amount, uint256 token, uint256 at, uint256 end) internal {
        uint256 continuation;
        assembly ("memory-safe") {
            continuation := add(mload(0x40), 0xc4)
        }
        uint256 length = Loan.write(continuation, token, at, end);
        Continuation.expect(lender, continuation, length, LAYOUT_AAVE_V3);
        assembly ("memory-safe") {
            let call_ := mload(0x40)
            mstore(call_, shl(224, 0x42b0b77c)) // flashLoanSimple(address,address,uint256,bytes,uint16)
            mstore(add(call_, 0x04), address())
            mstore(add(call_, 0x24), token)
            mstore(add(call_, 0x44), amount)
            mstore(add(call_, 0x64), 0xa0)
            mstore(add(call_, 0x84), 0)
            mstore(add(call_, 0xa4), length)
            if iszero(call(gas(), lender, 0, call_, add(0xc4, length), 0x00, 0x00)) {
                returndatacopy(call_, 0, returndatasize())
                revert(call_, returndatasize())
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

    /// @dev Let the lender pull what was borrowed and the premium that it names in its callback.
    function repay(uint256 token, uint256 amount) internal {
        uint256 owed;
        assembly ("memory-safe") {
            owed := add(amount, calldataload(0x44))
        }
        Token.approve(token, uint160(msg.sender), owed);
    }
}
