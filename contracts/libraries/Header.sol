// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {Errors} from "../Errors.sol";
import {Coins} from "./Coins.sol";
import {Frame} from "./Frame.sol";
import "./Opcodes.sol";

/// @dev What a stream asks for beside its operations.
/// @param minProfit Least growth of the balance of the profit token, raw units.
/// @param bps Share of the profit that the builder of the block is paid.
/// @param watched Position of the watched tokens in the calldata.
/// @param count How many they are.
struct Terms {
    uint256 minProfit;
    uint256 bps;
    uint256 watched;
    uint256 count;
}

/// @title The header of a stream in both of its forms
library Header {
    /// @dev Read it and check its guards.
    function read() internal view returns (Frame memory frame, Terms memory terms) {
        frame.end = msg.data.length;
        frame.tag = NUMBER_ETHEREUM << TOKEN_SHIFT;
        frame.token = ETHEREUM_WETH;
        uint256 lastBlock = frame.take(4);
        uint256 shift = frame.take(1);
        terms.minProfit = frame.take(3) << shift;
        if (lastBlock == 0) {
            uint256 flags = frame.take(1);
            lastBlock = frame.take(4);
            if (flags & HAS_PARENT != 0 && uint256(blockhash(block.number - 1)) >> 224 != frame.take(4)) {
                revert Errors.WrongParent();
            }
            if (flags & HAS_BUILDER != 0) terms.bps = frame.take(2);
            if (terms.bps > BPS) revert Errors.BadStream();
            frame.tag = (flags & TOKEN_NUMBER) << TOKEN_SHIFT;
            (frame.at, frame.token) = Coins.read(frame.tag, frame.at);
            if (flags & HAS_WATCHED != 0) {
                terms.count = frame.take(1);
                terms.watched = frame.at;
                frame.at += ADDRESS_WIDTH * terms.count;
            }
            if (frame.at > frame.end) revert Errors.BadStream();
        }
        if (block.number > lastBlock) revert Errors.Expired();
    }
}
