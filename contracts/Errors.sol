// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

/// @title Every error that the executor itself raises
/// @notice A failing pool, token or lender keeps its own revert data, which is passed on unchanged.
interface Errors {
    /// @notice The caller is not the one that this call, at this moment, is reserved for.
    error Unauthorized();

    /// @notice A constructor argument is the zero address.
    error ZeroAddress();

    /// @notice The block is later than the last one for which the stream was computed.
    error Expired();

    /// @notice The parent block is not the one on whose state the stream was computed.
    error WrongParent();

    /// @notice The stream is not well formed: an operation is cut off, unknown, has unknown flags, or cannot stand where it stands.
    error BadStream();

    /// @notice The expected pool or lender called back, but not with the bytes that were committed.
    error ContinuationMismatch();

    /// @notice The call was started by somebody else: the pool or lender names another initiator than this contract.
    error WrongInitiator();

    /// @notice A pool or lender returned without having called back.
    error CallbackMissing();

    /// @notice A token refused a transfer or an approval without reverting, or does not tell balances.
    error TokenFailed();

    /// @notice A lender did not take the repayment that it was approved for.
    error AllowanceLeft();

    /// @notice An operation pays with a token that is neither the profit token nor watched.
    error NotWatched(address token);

    /// @notice There is less of a watched token than before.
    /// @param start Balance before the first operation, raw units.
    /// @param end Balance after the last operation, raw units.
    error TokenSpent(address token, uint256 start, uint256 end);

    /// @notice The balance of the profit token did not grow enough.
    /// @param start Balance before the first operation, raw units.
    /// @param end Balance after the last operation, raw units.
    /// @param minProfit Least growth that the operator asked for, raw units.
    error ProfitTooSmall(uint256 start, uint256 end, uint256 minProfit);
}
