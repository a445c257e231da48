// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {Errors} from "../Errors.sol";

/// @title Atomic arbitrage: borrow, swap, repay, and keep the profit or revert
/// @notice The fallback function takes operator streams, the callbacks of pools and lenders, and coins without a word:
///
///     stream  = lastBlock(4) shift(1) mantissa(3) | op...
///             = 0(4) shift(1) mantissa(3) flags(1) lastBlock(4) [parent(4)] [bps(2)] [token(20)] [count(1) watched(20)...] | op...
///
/// The profit token has to grow by `mantissa << shift`, and no watched token may shrink; the executor pays with no others. All
/// numbers are big-endian; the operations are listed in `libraries/Opcodes.sol` and drawn in `docs/executor.md`.
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
