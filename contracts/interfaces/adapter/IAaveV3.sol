// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

/// @title What the adapter uses of the pool of Aave V3 and its forks
interface IAaveV3Pool {
    /// @dev The first fields of what the pool knows of an asset; those behind them differ from version to version.
    /// `configuration` holds the decimals in bits 48 to 55.
    struct ReserveData {
        uint256 configuration;
        uint128 liquidityIndex;
        uint128 currentLiquidityRate;
        uint128 variableBorrowIndex;
        uint128 currentVariableBorrowRate;
        uint128 currentStableBorrowRate;
        uint40 lastUpdateTimestamp;
        uint16 id;
        address aTokenAddress;
        address stableDebtTokenAddress;
        address variableDebtTokenAddress;
    }

    /// @notice Lend, call back `executeOperation`, and pull the amount and a premium.
    /// @param receiver Who is lent to and called back.
    /// @param asset The token.
    /// @param amount Raw units.
    /// @param params Come back with the callback.
    /// @param referralCode Zero.
    function flashLoanSimple(
        address receiver,
        address asset,
        uint256 amount,
        bytes calldata params,
        uint16 referralCode
    ) external;

    /// @notice Repay debt of a borrower below a health of 1, and get collateral with a bonus for it.
    /// @param collateralAsset What is received.
    /// @param debtAsset What is repaid, pulled from the caller.
    /// @param user The borrower.
    /// @param debtToCover At most, raw units.
    /// @param receiveAToken False: the token itself is received.
    function liquidationCall(
        address collateralAsset,
        address debtAsset,
        address user,
        uint256 debtToCover,
        bool receiveAToken
    ) external;

    /// @param asset Is pulled from the caller.
    /// @param amount Raw units.
    /// @param onBehalfOf Who gets the aTokens.
    /// @param referralCode Zero.
    function supply(address asset, uint256 amount, address onBehalfOf, uint16 referralCode) external;

    /// @param asset Is paid to the caller.
    /// @param amount Raw units.
    /// @param interestRateMode 2: variable.
    /// @param referralCode Zero.
    /// @param onBehalfOf Who owes it, having delegated credit to the caller.
    function borrow(address asset, uint256 amount, uint256 interestRateMode, uint16 referralCode, address onBehalfOf)
        external;

    /// @param asset Is pulled from the caller.
    /// @param amount Raw units, at most what is owed.
    /// @param interestRateMode 2: variable.
    /// @param onBehalfOf Whose debt it is.
    /// @return What was repaid.
    function repay(address asset, uint256 amount, uint256 interestRateMode, address onBehalfOf)
        external
        returns (uint256);

    /// @param asset Which one.
    /// @param amount Raw units, or the greatest number for all that the caller has.
    /// @param to Who gets it.
    /// @return What was withdrawn.
    function withdraw(address asset, uint256 amount, address to) external returns (uint256);

    /// @param asset Which one.
    function getReserveData(address asset) external view returns (ReserveData memory);

    /// @param user Whose account.
    /// @return totalCollateralBase In the oracle's currency.
    /// @return totalDebtBase In the oracle's currency.
    /// @return availableBorrowsBase In the oracle's currency.
    /// @return currentLiquidationThreshold Basis points.
    /// @return ltv Basis points.
    /// @return healthFactor 1e18 at the point of liquidation; the greatest number without debt.
    function getUserAccountData(address user)
        external
        view
        returns (
            uint256 totalCollateralBase,
            uint256 totalDebtBase,
            uint256 availableBorrowsBase,
            uint256 currentLiquidationThreshold,
            uint256 ltv,
            uint256 healthFactor
        );

    /// @return The registry of the market's contracts.
    function ADDRESSES_PROVIDER() external view returns (address);
}

/// @title What the adapter uses of the registry of an Aave market
interface IAaveV3AddressesProvider {
    /// @return The oracle by which the pool values every asset.
    function getPriceOracle() external view returns (address);
}

/// @title What the adapter uses of the oracle of an Aave market
interface IAaveV3Oracle {
    /// @param asset Which one.
    /// @return Of one whole token, in the market's currency.
    function getAssetPrice(address asset) external view returns (uint256);
}
