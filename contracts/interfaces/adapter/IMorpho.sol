// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

/// @title What the adapter uses of Morpho Blue
interface IMorpho {
    /// @dev What a market is; its identity is the hash of it.
    struct MarketParams {
        address loanToken;
        address collateralToken;
        address oracle;
        address irm;
        uint256 lltv;
    }

    /// @notice Lend, call back `onMorphoFlashLoan`, and pull the amount. Free of charge.
    /// @param token Which one.
    /// @param assets Raw units.
    /// @param data Comes back with the callback.
    function flashLoan(address token, uint256 assets, bytes calldata data) external;

    /// @notice Pay out collateral of an unhealthy borrower, call back `onMorphoLiquidate`, and pull what it repays.
    /// @param marketParams The market.
    /// @param borrower Whose position.
    /// @param seizedAssets Collateral to take, raw units; zero when shares are given.
    /// @param repaidShares Debt to repay, shares; zero when collateral is given.
    /// @param data Comes back with the callback.
    /// @return seized Collateral, raw units.
    /// @return repaid Debt, raw units.
    function liquidate(
        MarketParams calldata marketParams,
        address borrower,
        uint256 seizedAssets,
        uint256 repaidShares,
        bytes calldata data
    ) external returns (uint256 seized, uint256 repaid);

    /// @param marketParams The market.
    /// @param assets Collateral that is pulled from the caller, raw units.
    /// @param onBehalf Whose position.
    /// @param data Empty: no callback.
    function supplyCollateral(
        MarketParams calldata marketParams,
        uint256 assets,
        address onBehalf,
        bytes calldata data
    ) external;

    /// @param marketParams The market.
    /// @param assets Collateral, raw units.
    /// @param onBehalf Whose position, having authorized the caller.
    /// @param receiver Who gets it.
    function withdrawCollateral(
        MarketParams calldata marketParams,
        uint256 assets,
        address onBehalf,
        address receiver
    ) external;

    /// @param marketParams The market.
    /// @param assets Raw units; zero when shares are given.
    /// @param shares Zero when assets are given.
    /// @param onBehalf Who owes it, having authorized the caller.
    /// @param receiver Who gets it.
    /// @return Assets and shares.
    function borrow(
        MarketParams calldata marketParams,
        uint256 assets,
        uint256 shares,
        address onBehalf,
        address receiver
    ) external returns (uint256, uint256);

    /// @param marketParams The market.
    /// @param assets Raw units; zero when shares are given.
    /// @param shares Zero when assets are given.
    /// @param onBehalf Whose debt.
    /// @param data Empty: no callback.
    /// @return Assets and shares.
    function repay(
        MarketParams calldata marketParams,
        uint256 assets,
        uint256 shares,
        address onBehalf,
        bytes calldata data
    ) external returns (uint256, uint256);

    /// @notice Bring the interest of a market up to this block.
    /// @param marketParams The market.
    function accrueInterest(MarketParams calldata marketParams) external;

    /// @param id Hash of the market's parameters.
    /// @param user Whose position.
    function position(bytes32 id, address user)
        external
        view
        returns (uint256 supplyShares, uint128 borrowShares, uint128 collateral);

    /// @param id Hash of the market's parameters.
    function market(bytes32 id)
        external
        view
        returns (
            uint128 totalSupplyAssets,
            uint128 totalSupplyShares,
            uint128 totalBorrowAssets,
            uint128 totalBorrowShares,
            uint128 lastUpdate,
            uint128 fee
        );
}

/// @title The oracle of a Morpho market
interface IMorphoOracle {
    /// @return Raw units of the loan token that one raw unit of collateral is worth, times 1e36.
    function price() external view returns (uint256);
}
