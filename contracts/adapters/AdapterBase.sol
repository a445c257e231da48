// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {AdapterErrors} from "./AdapterErrors.sol";
import {Asset} from "./Asset.sol";
import {Session} from "./Session.sol";

/// @title The two roles, and what every call of the operator has in common
abstract contract AdapterBase is AdapterErrors {
    address internal immutable OPERATOR;
    address internal immutable TREASURY;

    constructor(address operator_, address treasury_) {
        if (operator_ == address(0) || treasury_ == address(0)) revert ZeroAddress();
        OPERATOR = operator_;
        TREASURY = treasury_;
    }

    modifier onlyOperator(uint256 lastBlock) {
        if (msg.sender != OPERATOR) revert Unauthorized();
        if (block.number > lastBlock) revert Expired();
        _;
    }

    modifier onlyTreasury() {
        if (msg.sender != TREASURY) revert Unauthorized();
        Session.requireIdle();
        _;
    }

    /// @dev One at a time, and nobody is expected when it ends.
    modifier inSession() {
        Session.enter();
        _;
        Session.leave();
    }

    /// @dev Send all there is of `token` to the treasury.
    function _deliver(address token) internal returns (uint256 amount) {
        amount = Asset.balance(token, address(this));
        if (amount != 0) Asset.transfer(token, TREASURY, amount);
    }

    /// @dev Send all there is of `token` to the treasury, and require that its balance has grown enough.
    /// @param start Balance of the treasury before the call, raw units.
    function _deliverProfit(address token, uint256 start, uint256 minimum) internal returns (uint256 profit) {
        _deliver(token);
        profit = _growth(token, TREASURY, start, minimum);
    }

    /// @dev Require that the balance of `owner` has grown by `minimum`.
    function _growth(address token, address owner, uint256 start, uint256 minimum)
        internal
        view
        returns (uint256 grown)
    {
        grown = Asset.balance(token, owner) - start;
        if (grown < minimum) revert OutputTooSmall(grown, minimum);
    }
}
