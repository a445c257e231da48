// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {Frame} from "../libraries/Frame.sol";
import {Continuation} from "../libraries/Continuation.sol";
import {LAYOUT_V3} from "../libraries/Opcodes.sol";
import {Token} from "../libraries/Token.sol";
import {Loan} from "./Loan.sol";

/// @title `flash` of a V3 pool that is not part of the route: repaid, and the pool's fee, by a transfer in its callback
library UniswapV3Flash {
    /// @dev Borrow and run the rest of the stream in the callback.
    ///
    ///     memory = flash.selector | this | amount0 | amount1 | 0x80 | length | continuation
    ///     expect the lender to call back with the continuation
    ///     call the lender, pass on its revert data
    /// @param side 0 when the profit token is the pool's token0, else 1.
    function borrow(Loan memory loan, Frame memory frame, uint256 side) internal {
        (uint256 lender, uint256 amount) = (loan.lender, loan.amount);
        uint256 buffer;
        assembly ("memory-safe") {
            buffer := mload(0x40)
        }
        uint256 length =
            Continuation.expect(lender, buffer + 0xc0, frame.token, loan.own, frame.end, loan.tag | LAYOUT_V3);
        assembly ("memory-safe") {
            mstore(buffer, 0x490e6cbc) // flash(address,uint256,uint256,bytes)
            mstore(add(buffer, 0x20), address())
            mstore(add(buffer, 0x40), mul(amount, iszero(side)))
            mstore(add(buffer, 0x60), mul(amount, side))
            mstore(add(buffer, 0x80), 0x80)
            mstore(add(buffer, 0xa0), length)
            if iszero(call(gas(), lender, 0, add(buffer, 0x1c), add(0xa4, length), 0x00, 0x00)) {
                returndatacopy(buffer, 0, returndatasize())
                revert(buffer, returndatasize())
            }
        }
    }

    /// @dev Send back what was borrowed and the fee that the pool names in its callback.
    function repay(uint256 token, uint256 amount, uint256 side) internal {
        uint256 owed;
        assembly ("memory-safe") {
            owed := add(amount, calldataload(add(0x04, shl(5, side)))) // uniswapV3FlashCallback(fee0, fee1, data)
        }
        Token.transfer(token, uint160(msg.sender), owed);
    }
}
