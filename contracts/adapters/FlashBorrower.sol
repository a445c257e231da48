// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {Asset} from "./Asset.sol";
import {LOAN_AAVE_V3, LOAN_BALANCER_V2, LOAN_MORPHO, Session} from "./Session.sol";
import {Swapper} from "./Swapper.sol";
import {IAaveV3Pool} from "../interfaces/adapter/IAaveV3.sol";
import {IAdapter} from "../interfaces/IAdapter.sol";
import {IBalancerV2Vault} from "../interfaces/adapter/IBalancerV2.sol";
import {IMorpho} from "../interfaces/adapter/IMorpho.sol";

/// @title Takes a flash loan, runs a job in its callback and repays it
/// @notice What comes back with the callback is what was committed: token and amount are never the lender's word. Its
/// fee is, and what that leads to is checked at the end of the call.
///
///     data = token(20) | amount(32) | action(1) | arguments of the operator's call
abstract contract FlashBorrower is Swapper {
    uint256 private constant ACTION_AT = 52;
    uint256 private constant ARGUMENTS_AT = 53;

    /// @dev Borrow, run the job in the callback, and see that the lender took what it was approved for.
    /// @param action What the job is.
    function _borrow(IAdapter.Lender calldata lender, address token, uint256 amount, uint8 action) internal {
        address target = lender.target;
        bytes memory data = abi.encodePacked(token, amount, action, msg.data[4:]);
        if (lender.kind == IAdapter.LenderKind.MORPHO) {
            Session.expect(target, LOAN_MORPHO, data);
            IMorpho(target).flashLoan(token, amount, data);
        } else if (lender.kind == IAdapter.LenderKind.BALANCER_V2) {
            (address[] memory tokens, uint256[] memory amounts) = (new address[](1), new uint256[](1));
            (tokens[0], amounts[0]) = (token, amount);
            Session.expect(target, LOAN_BALANCER_V2, data);
            IBalancerV2Vault(target).flashLoan(address(this), tokens, amounts, data);
        } else {
            Session.expect(target, LOAN_AAVE_V3, data);
            IAaveV3Pool(target).flashLoanSimple(address(this), token, amount, data, 0);
        }
        Session.settled();
        Asset.requireNoAllowance(token, target);
    }

    /// @dev Pulls the repayment after its callback.
    function _onMorphoLoan(bytes calldata data) internal {
        Session.accept(LOAN_MORPHO, data);
        (address token, uint256 amount) = _loan(data);
        _onLoan(data, amount);
        Asset.approve(token, msg.sender, amount);
    }

    /// @dev Is repaid by a transfer inside its callback.
    function _onBalancerLoan(uint256 fee, bytes calldata data) internal {
        Session.accept(LOAN_BALANCER_V2, data);
        (address token, uint256 amount) = _loan(data);
        uint256 owed = amount + fee;
        _onLoan(data, owed);
        Asset.transfer(token, msg.sender, owed);
    }

    /// @dev Pulls the repayment and its premium after its callback.
    function _onAaveLoan(uint256 premium, address initiator, bytes calldata data) internal {
        Session.accept(LOAN_AAVE_V3, data);
        if (initiator != address(this)) revert WrongInitiator();
        (address token, uint256 amount) = _loan(data);
        uint256 owed = amount + premium;
        _onLoan(data, owed);
        Asset.approve(token, msg.sender, owed);
    }

    /// @dev Run the job. The loan is there; after it this contract has to hold `owed` of its token.
    /// @param arguments Of the operator's call.
    function _onLoan(uint8 action, bytes calldata arguments, uint256 owed) internal virtual;

    function _onLoan(bytes calldata data, uint256 owed) private {
        _onLoan(uint8(data[ACTION_AT]), data[ARGUMENTS_AT:], owed);
    }

    function _loan(bytes calldata data) private pure returns (address token, uint256 amount) {
        token = address(bytes20(data[:20]));
        amount = uint256(bytes32(data[20:ACTION_AT]));
    }
}
