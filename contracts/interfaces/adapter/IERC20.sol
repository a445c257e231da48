// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

/// @title What the adapter uses of ERC-20
interface IERC20 {
    /// @param owner Whose balance.
    /// @return Raw units.
    function balanceOf(address owner) external view returns (uint256);

    /// @param owner Who pays.
    /// @param spender Who may take.
    /// @return Raw units.
    function allowance(address owner, address spender) external view returns (uint256);

    /// @param to Who is paid.
    /// @param amount Raw units.
    function transfer(address to, uint256 amount) external returns (bool);

    /// @param from Who pays, having approved the caller.
    /// @param to Who is paid.
    /// @param amount Raw units.
    function transferFrom(address from, address to, uint256 amount) external returns (bool);

    /// @param spender Who may take from the caller.
    /// @param amount Raw units.
    function approve(address spender, uint256 amount) external returns (bool);
}

/// @title The wrapped coin of a chain
interface IWrappedCoin {
    /// @notice Turn wrapped coins of the caller into coins.
    /// @param amount Wei.
    function withdraw(uint256 amount) external;
}
