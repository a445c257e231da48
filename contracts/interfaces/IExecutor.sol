// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {Errors} from "../Errors.sol";

/// @title Atomic arbitrage: borrow, swap, repay, and keep the profit or revert
/// @notice The fallback function takes operator streams and the callbacks of pools and lenders:
///
///     stream  = minProfit(16) | guard(4) [parent(4)] | [token(20)] | op...
///     guard   = hasParent(1 bit) token(3 bits) lastBlock(28 bits)
///
/// The token is the profit token, by its number or, where that is zero, by its address: the only one that the executor
/// itself ever pays, approves or measures. All numbers are big-endian; the operations are listed in `libraries/Opcodes.sol` and drawn in `docs/executor.md`.
interface IExecutor is Errors {
    /// @notice The hot key: the only account whose streams are run. It can execute, it cannot withdraw.
    function operator() external view returns (address);

    /// @notice The cold account: the only destination of a withdrawal and the only account that can ask for one.
    function treasury() external view returns (address);

    /// @notice Send `amount` of `token` to the treasury. For the treasury only.
    /// @param token An ERC-20 token, or the zero address for the chain's coin.
    /// @param amount Raw units.
    function sweep(address token, uint256 amount) external;
}
