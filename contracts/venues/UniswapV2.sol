// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {Errors} from "../Errors.sol";

/// @title Uniswap V2 and its forks
library UniswapV2 {
    /// @dev Require that this contract itself asked for the flash swap.
    function requireInitiator() internal view {
        uint256 initiator;
        assembly ("memory-safe") {
            initiator := calldataload(0x04) // uniswapV2Call(sender, amount0, amount1, data)
        }
        if (initiator != uint160(address(this))) revert Errors.WrongInitiator();
    }
}
