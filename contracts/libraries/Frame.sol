// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {Errors} from "../Errors.sol";
import {ADDRESS_WIDTH, AMOUNT_WIDTH, LAYOUT_ENTRY, LAYOUT_MASK, TO_NEXT, TO_SELF} from "./Opcodes.sol";

/// @dev A part of the calldata that is being run.
/// @param at Position of what is read next.
/// @param end Behind the last operation.
/// @param tag How the frame was entered.
/// @param token The profit token.
struct Frame {
    uint256 at;
    uint256 end;
    uint256 tag;
    uint256 token;
}

using Reader for Frame global;

/// @title Reads the fields of operations, and never past the end of the frame
library Reader {
    /// @dev The next `width` bytes as a number.
    function take(Frame memory frame, uint256 width) internal pure returns (uint256 value) {
        unchecked {
            uint256 at = frame.at;
            frame.at = at + width;
            if (at + width > frame.end) revert Errors.BadStream();
            assembly ("memory-safe") {
                value := shr(sub(256, shl(3, width)), calldataload(at))
            }
        }
    }

    function takeAddress(Frame memory frame) internal pure returns (uint256) {
        return take(frame, ADDRESS_WIDTH);
    }

    function takeAmount(Frame memory frame) internal pure returns (uint256) {
        return take(frame, AMOUNT_WIDTH);
    }

    /// @dev The contract that the bits of `to` name, everything of the operation itself having been read.
    function receiver(Frame memory frame, uint256 to) internal view returns (uint256) {
        if (to & TO_NEXT != 0) return nextPool(frame);
        return to == TO_SELF || frame.tag & LAYOUT_MASK == LAYOUT_ENTRY ? uint160(address(this)) : uint160(msg.sender);
    }

    /// @dev The contract that the next byte names.
    function takeReceiver(Frame memory frame) internal view returns (uint256) {
        uint256 to = take(frame, 1);
        if (to > TO_SELF) revert Errors.BadStream();
        return receiver(frame, to);
    }

    /// @dev The pool of the next operation; every operation that can be delivered to names it behind its head.
    function nextPool(Frame memory frame) internal pure returns (uint256 pool) {
        unchecked {
            uint256 at = frame.at;
            if (at + 21 > frame.end) revert Errors.BadStream();
            assembly ("memory-safe") {
                pool := shr(96, calldataload(add(at, 1)))
            }
        }
    }
}
