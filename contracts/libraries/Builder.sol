// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {Errors} from "../Errors.sol";
import {WrappedCoin} from "../venues/WrappedCoin.sol";
import {Frame} from "./Frame.sol";
import {BPS, TOKEN_MASK} from "./Opcodes.sol";
import {Token} from "./Token.sol";

/// @title The payment to the builder of the block out of the profit
library Builder {
    /// @dev Enough for a builder's contract to take a payment and note it, too little to do anything else.
    uint256 private constant GAS = 30_000;

    /// @dev Pay `bps` of `profit`, rounded down, in the chain's coin; for profits in it and in its wrapped form alone.
    function pay(uint256 profit, uint256 bps, Frame memory frame) internal {
        if (frame.tag & TOKEN_MASK == 0) revert Errors.BadStream();
        uint256 amount = profit * bps / BPS;
        if (frame.token != 0) WrappedCoin.withdraw(frame.token, amount);
        Token.call(uint160(address(block.coinbase)), amount, GAS);
    }
}
