// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {Errors} from "../Errors.sol";
import "./Opcodes.sol";

/// @title Profit tokens that have a number
library Coins {
    /// @dev The token whose number a tag holds, or calldata[at : at + 20] where that is zero; and what follows.
    function read(uint256 number, uint256 at) internal pure returns (uint256 next, uint256 token) {
        number >>= TOKEN_SHIFT;
        if (number == NUMBER_ETHEREUM) return (at, ETHEREUM_WETH);
        if (number == NUMBER_NATIVE) return (at, 0);
        if (number == NUMBER_OP_STACK) return (at, OP_STACK_WETH);
        if (number == NUMBER_ARBITRUM) return (at, ARBITRUM_WETH);
        if (number == NUMBER_POLYGON) return (at, POLYGON_WPOL);
        if (number != 0) revert Errors.BadStream();
        assembly ("memory-safe") {
            token := shr(96, calldataload(at))
            next := add(at, ADDRESS_WIDTH)
        }
    }
}
