// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {IMorpho} from "./adapter/IMorpho.sol";
import {IReactor} from "./adapter/IUniswapX.sol";

/// @title Trades that need approvals or positions: liquidations, leverage, fills of orders, swaps for a settlement
/// @notice The adapter holds nothing and approves nothing between transactions. A route is a row of 44-byte steps:
///
///     step = kind(1) pool(20) fee(3) tokenOut(20)       kind 1: V2 with a fee in millionths, kind 2: V3
///
/// Every step sells all that the one before it brought. What the operator's calls earn goes to the treasury.
interface IAdapter {
    enum LenderKind {
        MORPHO,
        BALANCER_V2,
        AAVE_V3
    }

    /// @param kind Which functions it has.
    /// @param target Its address.
    struct Lender {
        LenderKind kind;
        address target;
    }

    /// @param pool Of Aave V3 or a fork.
    /// @param collateral Token to receive.
    /// @param debt Token to borrow and repay, and in which the profit is.
    /// @param borrower Whose debt is repaid.
    /// @param amount To borrow and, at most, to repay, raw units of `debt`.
    /// @param lender Who lends it.
    /// @param route From `collateral` to `debt`.
    /// @param minProfit Least amount that has to reach the treasury, raw units of `debt`.
    /// @param lastBlock Later the call reverts.
    struct AaveLiquidation {
        address pool;
        address collateral;
        address debt;
        address borrower;
        uint256 amount;
        Lender lender;
        bytes route;
        uint256 minProfit;
        uint256 lastBlock;
    }

    /// @param morpho Morpho Blue.
    /// @param market Which of its markets.
    /// @param borrower Whose debt is repaid.
    /// @param seizedAssets Collateral to take, raw units; zero when shares are given.
    /// @param repaidShares Debt to repay, shares; zero when collateral is given.
    /// @param route From the collateral to the loan token.
    /// @param minProfit Least amount that has to reach the treasury, raw units of the loan token.
    /// @param lastBlock Later the call reverts.
    struct MorphoLiquidation {
        address morpho;
        IMorpho.MarketParams market;
        address borrower;
        uint256 seizedAssets;
        uint256 repaidShares;
        bytes route;
        uint256 minProfit;
        uint256 lastBlock;
    }

    /// @param reactor Of UniswapX.
    /// @param order As the swapper signed it.
    /// @param tokenIn What the order pays.
    /// @param tokenOut What the order wants, wrapped where it wants the chain's coin.
    /// @param maxOutput Most that the order may want when it is resolved, raw units.
    /// @param route From `tokenIn` to `tokenOut`.
    /// @param minProfit Least amount of `tokenOut` that has to reach the treasury, raw units.
    /// @param lastBlock Later the call reverts.
    struct Fill {
        address reactor;
        IReactor.SignedOrder order;
        address tokenIn;
        address tokenOut;
        uint256 maxOutput;
        bytes route;
        uint256 minProfit;
        uint256 lastBlock;
    }

    enum Venue {
        AAVE_V3,
        MORPHO
    }

    /// @param venue Which functions the protocol has.
    /// @param protocol Aave's pool, or Morpho Blue.
    /// @param collateral Token.
    /// @param debt Token.
    /// @param oracle Of the Morpho market; zero on Aave.
    /// @param irm Interest rate model of the Morpho market; zero on Aave.
    /// @param lltv Liquidation threshold of the Morpho market, 1e18 for all; zero on Aave.
    struct Position {
        Venue venue;
        address protocol;
        address collateral;
        address debt;
        address oracle;
        address irm;
        uint256 lltv;
    }

    /// @notice What the treasury signs off for one of its positions.
    /// @param maxDebt Most that the position may owe after it was opened further, raw units.
    /// @param lossBudget What all calls together may cost, at the protocol's own price, raw units of the debt token.
    /// @param minHealth Least health after a call that lowers it, 1e18 at the point of liquidation.
    /// @param lastBlock Later nothing is allowed.
    struct Mandate {
        uint128 maxDebt;
        uint128 lossBudget;
        uint128 minHealth;
        uint128 lastBlock;
    }

    /// @param position Of the treasury.
    /// @param debt To borrow flash, raw units: what is sold for collateral, or, at most, repaid.
    /// @param collateral To withdraw at most when the position is closed, raw units; ignored when it is opened.
    /// @param lender Who lends `debt`.
    /// @param route From debt to collateral to open, from collateral to debt to close.
    /// @param maxLoss What the call may cost, at the protocol's own price, raw units of the debt token.
    /// @param lastBlock Later the call reverts.
    struct Leverage {
        Position position;
        uint256 debt;
        uint256 collateral;
        Lender lender;
        bytes route;
        uint256 maxLoss;
        uint256 lastBlock;
    }

    /// @notice The treasury signed off, changed or took back what may be done with one of its positions.
    event MandateSet(bytes32 indexed key, Position position, Mandate mandate);

    /// @notice The hot key: it can run trades, it cannot withdraw.
    function operator() external view returns (address);

    /// @notice The cold account: it gets every profit, owns every position, and signs off what may be done with them.
    function treasury() external view returns (address);

    /// @notice Repay debt on Aave V3 out of a flash loan, and sell the collateral. For the operator.
    /// @return profit What reached the treasury, raw units of the debt token.
    function liquidateAave(AaveLiquidation calldata job) external returns (uint256 profit);

    /// @notice Liquidate on Morpho Blue, and sell the collateral before the debt has to be repaid. For the operator.
    /// @return profit What reached the treasury, raw units of the loan token.
    function liquidateMorpho(MorphoLiquidation calldata job) external returns (uint256 profit);

    /// @notice Fill an order of UniswapX by selling its input. For the operator.
    /// @return profit What reached the treasury, raw units of `tokenOut`.
    function fill(Fill calldata job) external returns (uint256 profit);

    /// @notice Borrow, sell for collateral, supply it and let the treasury owe what was borrowed. For the operator.
    /// @return loss Equity that it cost, raw units of the debt token.
    function open(Leverage calldata job) external returns (uint256 loss);

    /// @notice Borrow, repay the treasury's debt, withdraw its collateral, and sell that to repay. For the operator.
    /// @return loss Equity that it cost, raw units of the debt token.
    function close(Leverage calldata job) external returns (uint256 loss);

    /// @notice Sell all of a token that was sent here within the same transaction. For everybody, as one interaction of
    /// a settlement: whoever leaves tokens here without selling them at once gives them away.
    /// @param tokenIn What to sell.
    /// @param route From it to what is wanted.
    /// @param minOut Least amount that has to reach `to`, raw units.
    /// @param to Who is paid.
    /// @return amountOut What reached `to`, raw units.
    function swap(address tokenIn, bytes calldata route, uint256 minOut, address to)
        external
        returns (uint256 amountOut);

    /// @notice Sign off what may be done with a position; zeros take it back. For the treasury.
    function setMandate(Position calldata position, Mandate calldata mandate) external;

    /// @notice What is signed off for a position, its budget being what is left of it.
    function mandateOf(Position calldata position) external view returns (Mandate memory);

    /// @notice Send what was left here by mistake to the treasury. For the treasury.
    /// @param token An ERC-20 token, or the zero address for the chain's coin.
    /// @param amount Raw units.
    function sweep(address token, uint256 amount) external;
}

/// @title What pools, lenders, protocols and reactors call back
/// @notice Each of them is served while it is expected to, once, with exactly the bytes that it was given.
interface IAdapterCallbacks {
    /// @notice Of a Uniswap V3 pool: pays its input.
    /// @param amount0Delta What the pool asks for of token0, raw units; negative when it paid.
    /// @param amount1Delta What the pool asks for of token1, raw units; negative when it paid.
    /// @param data As committed.
    function uniswapV3SwapCallback(int256 amount0Delta, int256 amount1Delta, bytes calldata data) external;

    /// @notice The same of a PancakeSwap V3 pool.
    function pancakeV3SwapCallback(int256 amount0Delta, int256 amount1Delta, bytes calldata data) external;

    /// @notice Of Morpho Blue, for a flash loan.
    /// @param assets What it says it lent.
    /// @param data As committed.
    function onMorphoFlashLoan(uint256 assets, bytes calldata data) external;

    /// @notice Of Morpho Blue, for a liquidation.
    /// @param repaidAssets What it will pull, raw units of the loan token.
    /// @param data As committed.
    function onMorphoLiquidate(uint256 repaidAssets, bytes calldata data) external;

    /// @notice Of Balancer V2's vault.
    /// @param tokens What it says it lent.
    /// @param amounts What it says it lent, raw units.
    /// @param feeAmounts What it asks for beyond, raw units.
    /// @param userData As committed.
    function receiveFlashLoan(
        address[] calldata tokens,
        uint256[] calldata amounts,
        uint256[] calldata feeAmounts,
        bytes calldata userData
    ) external;

    /// @notice Of Aave's pool.
    /// @param asset What it says it lent.
    /// @param amount What it says it lent, raw units.
    /// @param premium What it asks for beyond, raw units.
    /// @param initiator Who asked for the loan.
    /// @param params As committed.
    /// @return Always true.
    function executeOperation(
        address asset,
        uint256 amount,
        uint256 premium,
        address initiator,
        bytes calldata params
    ) external returns (bool);

    /// @notice Of a UniswapX reactor, which has paid the orders' inputs.
    /// @param resolvedOrders What it paid and wants.
    /// @param callbackData As committed.
    function reactorCallback(IReactor.ResolvedOrder[] calldata resolvedOrders, bytes calldata callbackData) external;
}
