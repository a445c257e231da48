// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {Asset} from "./Asset.sol";
import {Price, State} from "./Positions.sol";
import {IAaveV3AddressesProvider, IAaveV3Oracle, IAaveV3Pool} from "../interfaces/adapter/IAaveV3.sol";
import {IAdapter} from "../interfaces/IAdapter.sol";

/// @title A position on Aave V3
/// @notice The owner delegates credit in the variable debt token, to open, and approves aTokens, to close. Both are
/// amounts, and each use takes from them.
library AavePosition {
    uint256 private constant VARIABLE_RATE = 2;

    /// @dev collateral * price(collateral) / 10^decimals(collateral) * 10^decimals(debt) / price(debt)
    function price(IAdapter.Position calldata position) internal view returns (Price memory) {
        IAaveV3Pool pool = IAaveV3Pool(position.protocol);
        IAaveV3Oracle oracle =
            IAaveV3Oracle(IAaveV3AddressesProvider(pool.ADDRESSES_PROVIDER()).getPriceOracle());
        return Price({
            numerator: oracle.getAssetPrice(position.collateral) * _unit(pool, position.debt),
            denominator: oracle.getAssetPrice(position.debt) * _unit(pool, position.collateral)
        });
    }

    function read(IAdapter.Position calldata position, address owner) internal view returns (State memory state) {
        IAaveV3Pool pool = IAaveV3Pool(position.protocol);
        state.collateral = Asset.balance(_aToken(pool, position), owner);
        state.debt = Asset.balance(_debtToken(pool, position), owner);
        (,,,,, state.health) = pool.getUserAccountData(owner);
    }

    function increase(IAdapter.Position calldata position, address owner, uint256 debt) internal {
        IAaveV3Pool pool = IAaveV3Pool(position.protocol);
        uint256 collateral = Asset.balance(position.collateral, address(this));
        Asset.approve(position.collateral, position.protocol, collateral);
        pool.supply(position.collateral, collateral, owner, 0);
        pool.borrow(position.debt, debt, VARIABLE_RATE, 0, owner);
    }

    /// @dev The pool takes no "all" on behalf of another account, so the debt is read.
    function decrease(IAdapter.Position calldata position, address owner, uint256 debt, uint256 collateral) internal {
        IAaveV3Pool pool = IAaveV3Pool(position.protocol);
        uint256 owed = Asset.balance(_debtToken(pool, position), owner);
        if (debt > owed) debt = owed;
        if (debt != 0) {
            Asset.approve(position.debt, position.protocol, debt);
            pool.repay(position.debt, debt, VARIABLE_RATE, owner);
        }
        address aToken = _aToken(pool, position);
        uint256 held = Asset.balance(aToken, owner);
        Asset.transferFrom(aToken, owner, address(this), collateral > held ? held : collateral);
        pool.withdraw(position.collateral, type(uint256).max, address(this));
    }

    function _aToken(IAaveV3Pool pool, IAdapter.Position calldata position) private view returns (address) {
        return pool.getReserveData(position.collateral).aTokenAddress;
    }

    function _debtToken(IAaveV3Pool pool, IAdapter.Position calldata position) private view returns (address) {
        return pool.getReserveData(position.debt).variableDebtTokenAddress;
    }

    function _unit(IAaveV3Pool pool, address asset) private view returns (uint256) {
        return 10 ** uint8(pool.getReserveData(asset).configuration >> 48);
    }
}
