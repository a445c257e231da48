// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

/// @title Oracle and interest rate model of a Morpho market, both of them set by the test
contract AdapterMarket {
    struct MarketParams {
        address loanToken;
        address collateralToken;
        address oracle;
        address irm;
        uint256 lltv;
    }

    struct Market {
        uint128 totalSupplyAssets;
        uint128 totalSupplyShares;
        uint128 totalBorrowAssets;
        uint128 totalBorrowShares;
        uint128 lastUpdate;
        uint128 fee;
    }

    uint256 public price;
    uint256 public rate;

    function set(uint256 price_, uint256 rate_) external {
        price = price_;
        rate = rate_;
    }

    function borrowRate(MarketParams calldata, Market calldata) external view returns (uint256) {
        return rate;
    }
}
