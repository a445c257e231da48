// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {Asset} from "./Asset.sol";
import {FlashBorrower} from "./FlashBorrower.sol";
import {Positions, Price, State} from "./Positions.sol";
import {IAdapter} from "../interfaces/IAdapter.sol";

/// @title Opens and closes leveraged positions of the treasury, within what it signed off
/// @notice The operator chooses lender, route and amounts, so nothing of them is trusted. What a call has cost the
/// treasury is measured on the position itself, before and after, at the price that was valid before anybody else was
/// called; it is taken from the mandate's budget, which only the treasury can fill.
abstract contract Leverager is FlashBorrower {
    mapping(bytes32 key => IAdapter.Mandate) private _mandates;

    /// @dev
    ///
    ///     require a mandate for the position and this block
    ///     price, state before
    ///     borrow: in the callback `_open` or `_close`
    ///     require the protocol took what it was approved for
    ///     send the rest of the debt token to the treasury, state after
    ///     loss = equity before - equity after - rest, at least 0
    ///     require loss, debt and health are within the bounds; take the loss from the budget
    function _lever(uint8 action, IAdapter.Leverage calldata job) internal returns (uint256 loss) {
        bytes32 key = _key(job.position);
        IAdapter.Mandate memory mandate = _mandates[key];
        if (block.number > mandate.lastBlock) revert NoMandate();
        IAdapter.Position calldata position = job.position;
        Price memory price = Positions.price(position);
        State memory start = Positions.read(position, TREASURY, price);
        _borrow(job.lender, position.debt, job.debt, action);
        Asset.requireNoAllowance(position.collateral, position.protocol);
        Asset.requireNoAllowance(position.debt, position.protocol);
        uint256 rest = _deliver(position.debt);
        State memory end = Positions.read(position, TREASURY, price);
        loss = _loss(price, start, end, rest);
        uint256 limit = job.maxLoss < mandate.lossBudget ? job.maxLoss : mandate.lossBudget;
        if (loss > limit) revert LossTooLarge(loss, limit);
        if (end.debt > start.debt && end.debt > mandate.maxDebt) revert DebtTooLarge(end.debt, mandate.maxDebt);
        if (end.health < start.health && end.health < mandate.minHealth) {
            revert HealthTooLow(end.health, mandate.minHealth);
        }
        if (loss != 0) _mandates[key].lossBudget = mandate.lossBudget - uint128(loss);
    }

    /// @dev In the callback of the loan: sell it for collateral, supply that, and borrow what the lender gets back.
    function _open(bytes calldata arguments, uint256 owed) internal {
        IAdapter.Leverage calldata job = _leverageJob(arguments);
        _sellFor(job.position.debt, job.route, job.position.collateral);
        Positions.increase(job.position, TREASURY, owed);
    }

    /// @dev In the callback of the loan: repay with it, withdraw collateral, and sell that for what the lender is owed.
    function _close(bytes calldata arguments) internal {
        IAdapter.Leverage calldata job = _leverageJob(arguments);
        Positions.decrease(job.position, TREASURY, job.debt, job.collateral);
        _sellFor(job.position.collateral, job.route, job.position.debt);
    }

    function _setMandate(IAdapter.Position calldata position, IAdapter.Mandate calldata mandate) internal {
        bytes32 key = _key(position);
        _mandates[key] = mandate;
        emit IAdapter.MandateSet(key, position, mandate);
    }

    function _mandateOf(IAdapter.Position calldata position) internal view returns (IAdapter.Mandate memory) {
        return _mandates[_key(position)];
    }

    function _key(IAdapter.Position calldata position) private pure returns (bytes32) {
        return keccak256(abi.encode(position));
    }

    /// @dev What went is more than what came: collateral and debt are valued at one price.
    function _loss(Price memory price, State memory start, State memory end, uint256 rest)
        private
        pure
        returns (uint256)
    {
        uint256 gone = start.collateral * price.numerator / price.denominator + end.debt;
        uint256 come = end.collateral * price.numerator / price.denominator + start.debt + rest;
        return gone > come ? gone - come : 0;
    }

    /// @dev The arguments of a function that takes one struct: a word that says where it starts, and the struct.
    ///
    ///     job = arguments + arguments[0 : 32]
    function _leverageJob(bytes calldata arguments) private pure returns (IAdapter.Leverage calldata job) {
        assembly ("memory-safe") {
            job := add(arguments.offset, calldataload(arguments.offset))
        }
    }
}
