// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {AavePosition} from "./AavePosition.sol";
import {MorphoPosition} from "./MorphoPosition.sol";
import {IAdapter} from "../interfaces/IAdapter.sol";

/// @param collateral Raw units.
/// @param debt Raw units, rounded up.
/// @param health 1e18 at the point of liquidation; the greatest number without debt.
struct State {
    uint256 collateral;
    uint256 debt;
    uint256 health;
}

/// @dev `collateral * numerator / denominator` is its worth in raw units of the debt token.
struct Price {
    uint256 numerator;
    uint256 denominator;
}

/// @title Positions of an account in a lending protocol, which lets this contract act for it
library Positions {
    /// @dev The price by which the protocol itself would liquidate.
    function price(IAdapter.Position calldata position) internal view returns (Price memory) {
        return position.venue == IAdapter.Venue.AAVE_V3
            ? AavePosition.price(position)
            : MorphoPosition.price(position);
    }

    /// @dev Interest up to this block included.
    /// @param price_ By which a Morpho position is valued; Aave values an account itself.
    function read(IAdapter.Position calldata position, address owner, Price memory price_)
        internal
        returns (State memory)
    {
        return position.venue == IAdapter.Venue.AAVE_V3
            ? AavePosition.read(position, owner)
            : MorphoPosition.read(position, owner, price_);
    }

    /// @dev Supply all collateral that this contract has for `owner`, and borrow on its account.
    function increase(IAdapter.Position calldata position, address owner, uint256 debt) internal {
        if (position.venue == IAdapter.Venue.AAVE_V3) AavePosition.increase(position, owner, debt);
        else MorphoPosition.increase(position, owner, debt);
    }

    /// @dev Repay up to `debt` for `owner`, and withdraw up to `collateral` of it to this contract.
    function decrease(IAdapter.Position calldata position, address owner, uint256 debt, uint256 collateral) internal {
        if (position.venue == IAdapter.Venue.AAVE_V3) AavePosition.decrease(position, owner, debt, collateral);
        else MorphoPosition.decrease(position, owner, debt, collateral);
    }
}
