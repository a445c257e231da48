// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

// One above TickMath.MIN_SQRT_RATIO and one below MAX_SQRT_RATIO: no limit but the range of prices.
uint256 constant LOWEST_PRICE = 4295128740;
uint256 constant HIGHEST_PRICE = 1461446703485210103287273052203988822378723970341;
