// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {Asset} from "./Asset.sol";
import {FlashBorrower} from "./FlashBorrower.sol";
import {LIQUIDATION_MORPHO, Session} from "./Session.sol";
import {IAaveV3Pool} from "../interfaces/adapter/IAaveV3.sol";
import {IAdapter} from "../interfaces/IAdapter.sol";
import {IMorpho} from "../interfaces/adapter/IMorpho.sol";

/// @title Liquidations on Aave V3 and Morpho Blue
abstract contract Liquidator is FlashBorrower {
    /// @dev In the callback of the loan. The pool caps what it takes, by its close factor and by the collateral.
    function _liquidateAave(bytes calldata arguments) internal {
        IAdapter.AaveLiquidation calldata job = _aaveJob(arguments);
        Asset.approve(job.debt, job.pool, job.amount);
        IAaveV3Pool(job.pool).liquidationCall(job.collateral, job.debt, job.borrower, job.amount, false);
        Asset.revoke(job.debt, job.pool);
        _sellFor(job.collateral, job.route, job.debt);
    }

    /// @dev Morpho pays the collateral first, calls back, and pulls the debt at last: no loan is needed. What is
    /// committed are the arguments of the operator's call.
    function _liquidateMorpho(IAdapter.MorphoLiquidation calldata job) internal {
        bytes memory data = msg.data[4:];
        Session.expect(job.morpho, LIQUIDATION_MORPHO, data);
        IMorpho(job.morpho).liquidate(job.market, job.borrower, job.seizedAssets, job.repaidShares, data);
        Session.settled();
        Asset.requireNoAllowance(job.market.loanToken, job.morpho);
    }

    /// @dev Sell what was seized, and let Morpho pull what it asks for.
    function _onMorphoLiquidation(uint256 repaid, bytes calldata data) internal {
        Session.accept(LIQUIDATION_MORPHO, data);
        IAdapter.MorphoLiquidation calldata job = _morphoJob(data);
        address debt = job.market.loanToken;
        _sellFor(job.market.collateralToken, job.route, debt);
        Asset.approve(debt, msg.sender, repaid);
    }

    /// @dev The arguments of a function that takes one struct: a word that says where it starts, and the struct.
    ///
    ///     job = arguments + arguments[0 : 32]
    function _aaveJob(bytes calldata arguments) private pure returns (IAdapter.AaveLiquidation calldata job) {
        assembly ("memory-safe") {
            job := add(arguments.offset, calldataload(arguments.offset))
        }
    }

    /// @dev The arguments of a function that takes one struct: a word that says where it starts, and the struct.
    ///
    ///     job = arguments + arguments[0 : 32]
    function _morphoJob(bytes calldata arguments) private pure returns (IAdapter.MorphoLiquidation calldata job) {
        assembly ("memory-safe") {
            job := add(arguments.offset, calldataload(arguments.offset))
        }
    }
}
