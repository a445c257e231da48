// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

/// @title What the adapter uses of Balancer V2's vault
interface IBalancerV2Vault {
    /// @notice Lend, call back `receiveFlashLoan`, and require that it was repaid.
    /// @param recipient Who is lent to and called back.
    /// @param tokens In ascending order.
    /// @param amounts Raw units.
    /// @param userData Comes back with the callback.
    function flashLoan(
        address recipient,
        address[] calldata tokens,
        uint256[] calldata amounts,
        bytes calldata userData
    ) external;
}
