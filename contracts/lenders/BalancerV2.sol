// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {Continuation} from "../libraries/Continuation.sol";
import {BUFFER} from "../libraries/Memory.sol";
import {LAYOUT_BALANCER_V2, TOKEN_MASK} from "../libraries/Opcodes.sol";
import {Token} from "../libraries/Token.sol";

/// @title Balancer V2's vault: repaid by a transfer inside its callback
library BalancerV2 {
    /// @dev Borrow and run the rest of the stream in the callback.
    ///
    ///     memory = flashLoan.selector | this | 0x80 | 0xc0 | 0x100 | [token] | [amount] | length | continuation
    ///     expect the lender to call back with the continuation
    ///     call the lender, pass on its revert data
    function borrow(uint256 lender, uint256 amount, uint256 token, uint256 at, uint256 end, uint256 tag) internal {
        uint256 length = Continuation.expect(
            lender, BUFFER + 0x140, token, at, end, (tag & TOKEN_MASK) | LAYOUT_BALANCER_V2
        );
        assembly ("memory-safe") {
            mstore(BUFFER, 0x5c38449e) // flashLoan(address,address[],uint256[],bytes)
            mstore(add(BUFFER, 0x20), address())
            mstore(add(BUFFER, 0x40), 0x80)
            mstore(add(BUFFER, 0x60), 0xc0)
            mstore(add(BUFFER, 0x80), 0x100)
            mstore(add(BUFFER, 0xa0), 1)
            mstore(add(BUFFER, 0xc0), token)
            mstore(add(BUFFER, 0xe0), 1)
            mstore(add(BUFFER, 0x100), amount)
            mstore(add(BUFFER, 0x120), length)
            if iszero(call(gas(), lender, 0, add(BUFFER, 0x1c), add(0x124, length), 0x00, 0x00)) {
                returndatacopy(BUFFER, 0, returndatasize())
                revert(BUFFER, returndatasize())
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
