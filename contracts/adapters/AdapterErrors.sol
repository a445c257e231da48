// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

/// @title Every error that the adapter itself raises
/// @notice A failing pool, token, lender, reactor or protocol keeps its own revert data, which is passed on unchanged.
interface AdapterErrors {
    /// @notice The caller is not the one that this call, at this moment, is reserved for; or it is, but calls back
    /// another function than the committed one, or with other bytes.
    error Unauthorized();

    /// @notice A constructor argument is the zero address.
    error ZeroAddress();

    /// @notice The block is later than the last one for which the call was computed.
    error Expired();

    /// @notice Another call is under way: one thing at a time.
    error Busy();

    /// @notice The loan was asked for by somebody else: the lender names another initiator than this contract.
    error WrongInitiator();

    /// @notice A pool, lender, protocol or reactor returned without having called back.
    error CallbackMissing();

    /// @notice A token or the chain's coin was refused, or an answer of a token makes no sense.
    error TokenFailed();

    /// @notice A spender did not take all of what it was approved for.
    error AllowanceLeft();

    /// @notice The route is not of whole steps, holds an unknown one, or ends with another token or at this contract.
    error BadRoute();

    /// @notice A pool asks for another amount than the one that was committed.
    /// @param asked By the pool, raw units.
    /// @param committed All that there was of the token, raw units.
    error PartialFill(uint256 asked, uint256 committed);

    /// @notice What arrived at its destination is less than the caller asked for.
    /// @param output What arrived, raw units.
    /// @param minimum Least amount that the caller asked for, raw units.
    error OutputTooSmall(uint256 output, uint256 minimum);

    /// @notice A reactor resolved the order to something else than was committed: its input, an output or their sum.
    error UnexpectedOrder();

    /// @notice The treasury has signed off nothing of the kind, or not for this block any more.
    error NoMandate();

    /// @notice The treasury's position lost more than the operator or the mandate allows.
    /// @param loss Equity lost at the protocol's own price, raw units of the debt token.
    /// @param limit The smaller one of the two limits, raw units of the debt token.
    error LossTooLarge(uint256 loss, uint256 limit);

    /// @notice The position would owe more than the mandate allows.
    /// @param debt After the call, raw units.
    /// @param limit Of the mandate, raw units.
    error DebtTooLarge(uint256 debt, uint256 limit);

    /// @notice The position would be closer to its liquidation than the mandate allows.
    /// @param health After the call, 1e18 at the point of liquidation.
    /// @param minimum Of the mandate.
    error HealthTooLow(uint256 health, uint256 minimum);
}
