// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {Errors} from "../Errors.sol";
import {Continuation} from "../libraries/Continuation.sol";
import {BUFFER} from "../libraries/Memory.sol";
import {LAYOUT_AAVE_V3, TOKEN_MASK} from "../libraries/Opcodes.sol";
import {Token} from "../libraries/Token.sol";

/// @title Aave V3 and its forks: pulls the repayment and a premium after its callback
library AaveV3 {
    /// @dev Borrow, run the rest of the stream in the callback, and see that the approval was used up.
    ///
    ///     memory = flashLoanSimple.selector | this | token | amount | 0xa0 | referral 0 | length | continuation
    ///     expect the lender to call back with the continuation
    ///     call the lender, pass on its revert data
    ///     require token.allowance(this, lender) == 0
    function borrow(uint256 lender, uint256 amount, uint256 token, uint256 at, uint256 end, uint256 tag) internal {
        uint256 length = Continuation.expect(
            lender, BUFFER + 0xe0, token, at, end, (tag & TOKEN_MASK) | LAYOUT_AAVE_V3
        );
        assembly ("memory-safe") {
            mstore(BUFFER, 0x42b0b77c) // flashLoanSimple(address,address,uint256,bytes,uint16)
            mstore(add(BUFFER, 0x20), address())
            mstore(add(BUFFER, 0x40), token)
            mstore(add(BUFFER, 0x60), amount)
            mstore(add(BUFFER, 0x80), 0xa0)
            mstore(add(BUFFER, 0xa0), 0)
            mstore(add(BUFFER, 0xc0), length)
            if iszero(call(gas(), lender, 0, add(BUFFER, 0x1c), add(0xc4, length), 0x00, 0x00)) {
                returndatacopy(BUFFER, 0, returndatasize())
                revert(BUFFER, returndatasize())
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
