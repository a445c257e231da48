// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

/// @title What the adapter uses of a Uniswap V2 pair and its forks
interface IUniswapV2Pair {
    /// @return reserve0 Of the token with the lower address, raw units.
    /// @return reserve1 Of the other one, raw units.
    /// @return updated When, seconds modulo 2^32.
    function getReserves() external view returns (uint112 reserve0, uint112 reserve1, uint32 updated);

    /// @param amount0Out Raw units.
    /// @param amount1Out Raw units.
    /// @param to Who gets them.
    /// @param data Empty: no callback.
    function swap(uint256 amount0Out, uint256 amount1Out, address to, bytes calldata data) external;
}

/// @title What the adapter uses of a Uniswap V3 pool and its forks
interface IUniswapV3Pool {
    /// @param recipient Who gets the output.
    /// @param zeroForOne Whether token0 goes in.
    /// @param amountSpecified Input, raw units.
    /// @param sqrtPriceLimitX96 Where to stop.
    /// @param data Comes back with the callback.
    /// @return amount0 What the pool gets of token0; negative when it pays.
    /// @return amount1 What the pool gets of token1; negative when it pays.
    function swap(
        address recipient,
        bool zeroForOne,
        int256 amountSpecified,
        uint160 sqrtPriceLimitX96,
        bytes calldata data
    ) external returns (int256 amount0, int256 amount1);
}
