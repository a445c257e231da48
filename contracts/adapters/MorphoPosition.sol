// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {Asset} from "./Asset.sol";
import {Price, State} from "./Positions.sol";
import {IAdapter} from "../interfaces/IAdapter.sol";
import {IMorpho, IMorphoOracle} from "../interfaces/adapter/IMorpho.sol";

/// @title A position on Morpho Blue
/// @notice The owner authorizes this contract, which Morpho knows for all markets and all amounts or not at all: the
/// mandate bounds what is done with it.
library MorphoPosition {
    // As in Morpho's SharesMathLib and ConstantsLib.
    uint256 private constant VIRTUAL_SHARES = 1e6;
    uint256 private constant VIRTUAL_ASSETS = 1;
    uint256 private constant PRICE_SCALE = 1e36;

    function price(IAdapter.Position calldata position) internal view returns (Price memory) {
        return Price({numerator: IMorphoOracle(position.oracle).price(), denominator: PRICE_SCALE});
    }

    /// @dev health = collateral * price / 1e36 * lltv / debt
    function read(IAdapter.Position calldata position, address owner, Price memory price_)
        internal
        returns (State memory state)
    {
        IMorpho.MarketParams memory market = _market(position);
        IMorpho morpho = IMorpho(position.protocol);
        morpho.accrueInterest(market);
        (state.collateral, state.debt,) = _holdings(morpho, market, owner);
        state.health = type(uint256).max;
        if (state.debt != 0) {
            uint256 worth = state.collateral * price_.numerator / price_.denominator;
            state.health = worth * position.lltv / state.debt;
        }
    }

    function increase(IAdapter.Position calldata position, address owner, uint256 debt) internal {
        IMorpho.MarketParams memory market = _market(position);
        IMorpho morpho = IMorpho(position.protocol);
        uint256 collateral = Asset.balance(position.collateral, address(this));
        Asset.approve(position.collateral, position.protocol, collateral);
        morpho.supplyCollateral(market, collateral, owner, "");
        morpho.borrow(market, debt, 0, owner, address(this));
    }

    /// @dev All debt is repaid by shares, which leaves nothing; a part of it by assets.
    function decrease(IAdapter.Position calldata position, address owner, uint256 debt, uint256 collateral) internal {
        IMorpho.MarketParams memory market = _market(position);
        IMorpho morpho = IMorpho(position.protocol);
        (uint256 held, uint256 owed, uint256 shares) = _holdings(morpho, market, owner);
        bool all = debt >= owed;
        if (all) debt = owed;
        if (debt != 0) {
            Asset.approve(position.debt, position.protocol, debt);
            morpho.repay(market, all ? 0 : debt, all ? shares : 0, owner, "");
        }
        morpho.withdrawCollateral(market, collateral > held ? held : collateral, owner, address(this));
    }

    /// @dev debt = ceil(shares * (total assets + 1) / (total shares + 1e6))
    function _holdings(IMorpho morpho, IMorpho.MarketParams memory market, address owner)
        private
        view
        returns (uint256 collateral, uint256 debt, uint256 shares)
    {
        bytes32 id = keccak256(abi.encode(market));
        (, shares, collateral) = morpho.position(id, owner);
        (,, uint256 totalAssets, uint256 totalShares,,) = morpho.market(id);
        uint256 divisor = totalShares + VIRTUAL_SHARES;
        debt = (shares * (totalAssets + VIRTUAL_ASSETS) + divisor - 1) / divisor;
    }

    function _market(IAdapter.Position calldata position) private pure returns (IMorpho.MarketParams memory) {
        return IMorpho.MarketParams({
            loanToken: position.debt,
            collateralToken: position.collateral,
            oracle: position.oracle,
            irm: position.irm,
            lltv: position.lltv
        });
    }
}
