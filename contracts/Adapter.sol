// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {AdapterBase} from "./adapters/AdapterBase.sol";
import {Asset} from "./adapters/Asset.sol";
import {Filler} from "./adapters/Filler.sol";
import {FlashBorrower} from "./adapters/FlashBorrower.sol";
import {Leverager} from "./adapters/Leverager.sol";
import {Liquidator} from "./adapters/Liquidator.sol";
import {Session} from "./adapters/Session.sol";
import {IAdapter, IAdapterCallbacks} from "./interfaces/IAdapter.sol";
import {IReactor} from "./interfaces/adapter/IUniswapX.sol";

/// @title Trades that need approvals or positions
/// @notice Every entry opens a session, in which nothing else can begin; every callback has to be the expected one.
/// See `IAdapter` for what the functions do, and `docs/adapter.md` for what each party can do at worst.
contract Adapter is IAdapter, IAdapterCallbacks, Liquidator, Leverager, Filler {
    // What runs in the callback of a flash loan.
    uint8 private constant LIQUIDATE_AAVE = 1;
    uint8 private constant OPEN = 2;
    uint8 private constant CLOSE = 3;

    constructor(address operator_, address treasury_) AdapterBase(operator_, treasury_) {}

    /// @dev Coins come only out of the wrapped coin, on their way to a reactor.
    receive() external payable {
        Session.requireBusy();
    }

    // ------------------------------------------------------------------ the operator

    /// @inheritdoc IAdapter
    function liquidateAave(AaveLiquidation calldata job)
        external
        onlyOperator(job.lastBlock)
        inSession
        returns (uint256 profit)
    {
        uint256 start = Asset.balance(job.debt, TREASURY);
        _borrow(job.lender, job.debt, job.amount, LIQUIDATE_AAVE);
        profit = _deliverProfit(job.debt, start, job.minProfit);
    }

    /// @inheritdoc IAdapter
    function liquidateMorpho(MorphoLiquidation calldata job)
        external
        onlyOperator(job.lastBlock)
        inSession
        returns (uint256 profit)
    {
        uint256 start = Asset.balance(job.market.loanToken, TREASURY);
        _liquidateMorpho(job);
        profit = _deliverProfit(job.market.loanToken, start, job.minProfit);
    }

    /// @inheritdoc IAdapter
    function fill(Fill calldata job) external onlyOperator(job.lastBlock) inSession returns (uint256 profit) {
        uint256 start = Asset.balance(job.tokenOut, TREASURY);
        _fill(job);
        profit = _deliverProfit(job.tokenOut, start, job.minProfit);
    }

    /// @inheritdoc IAdapter
    function open(Leverage calldata job) external onlyOperator(job.lastBlock) inSession returns (uint256 loss) {
        loss = _lever(OPEN, job);
    }

    /// @inheritdoc IAdapter
    function close(Leverage calldata job) external onlyOperator(job.lastBlock) inSession returns (uint256 loss) {
        loss = _lever(CLOSE, job);
    }

    // ------------------------------------------------------------------ everybody

    /// @inheritdoc IAdapter
    function swap(address tokenIn, bytes calldata route, uint256 minOut, address to)
        external
        inSession
        returns (uint256 amountOut)
    {
        if (to == address(this)) revert BadRoute();
        address tokenOut = _lastToken(route);
        uint256 start = Asset.balance(tokenOut, to);
        _sell(tokenIn, route, to);
        amountOut = _growth(tokenOut, to, start, minOut);
    }

    /// @inheritdoc IAdapter
    function operator() external view returns (address) {
        return OPERATOR;
    }

    /// @inheritdoc IAdapter
    function treasury() external view returns (address) {
        return TREASURY;
    }

    /// @inheritdoc IAdapter
    function mandateOf(Position calldata position) external view returns (Mandate memory) {
        return _mandateOf(position);
    }

    // ------------------------------------------------------------------ the treasury

    /// @inheritdoc IAdapter
    function setMandate(Position calldata position, Mandate calldata mandate) external onlyTreasury {
        _setMandate(position, mandate);
    }

    /// @inheritdoc IAdapter
    function sweep(address token, uint256 amount) external onlyTreasury {
        if (token == address(0)) {
            (bool ok,) = TREASURY.call{value: amount}("");
            if (!ok) revert TokenFailed();
        } else {
            Asset.transfer(token, TREASURY, amount);
        }
    }

    // ------------------------------------------------------------------ callbacks

    /// @inheritdoc IAdapterCallbacks
    function uniswapV3SwapCallback(int256 amount0Delta, int256 amount1Delta, bytes calldata data) external {
        _payPool(amount0Delta, amount1Delta, data);
    }

    /// @inheritdoc IAdapterCallbacks
    function pancakeV3SwapCallback(int256 amount0Delta, int256 amount1Delta, bytes calldata data) external {
        _payPool(amount0Delta, amount1Delta, data);
    }

    /// @inheritdoc IAdapterCallbacks
    function onMorphoFlashLoan(uint256, bytes calldata data) external {
        _onMorphoLoan(data);
    }

    /// @inheritdoc IAdapterCallbacks
    function onMorphoLiquidate(uint256 repaidAssets, bytes calldata data) external {
        _onMorphoLiquidation(repaidAssets, data);
    }

    /// @inheritdoc IAdapterCallbacks
    function receiveFlashLoan(
        address[] calldata,
        uint256[] calldata,
        uint256[] calldata feeAmounts,
        bytes calldata userData
    ) external {
        _onBalancerLoan(feeAmounts[0], userData);
    }

    /// @inheritdoc IAdapterCallbacks
    function executeOperation(address, uint256, uint256 premium, address initiator, bytes calldata params)
        external
        returns (bool)
    {
        _onAaveLoan(premium, initiator, params);
        return true;
    }

    /// @inheritdoc IAdapterCallbacks
    function reactorCallback(IReactor.ResolvedOrder[] calldata resolvedOrders, bytes calldata callbackData) external {
        _onFill(resolvedOrders, callbackData);
    }

    /// @inheritdoc FlashBorrower
    function _onLoan(uint8 action, bytes calldata arguments, uint256 owed) internal override {
        if (action == LIQUIDATE_AAVE) _liquidateAave(arguments);
        else if (action == OPEN) _open(arguments, owed);
        else _close(arguments);
    }
}
