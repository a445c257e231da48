// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {AdapterBase} from "./AdapterBase.sol";
import {Asset} from "./Asset.sol";
import {PAY_V3, Session} from "./Session.sol";
import {IUniswapV2Pair, IUniswapV3Pool} from "../interfaces/adapter/IUniswapPools.sol";

// A route is a row of steps: kind(1) pool(20) fee(3) tokenOut(20). The fee is in millionths and counts for V2 alone.
uint256 constant STEP_WIDTH = 44;
uint256 constant STEP_V2 = 1;
uint256 constant STEP_V3 = 2;
uint256 constant FEE_UNIT = 1_000_000;

// One above TickMath.MIN_SQRT_RATIO and one below MAX_SQRT_RATIO: no limit but the range of prices.
uint160 constant LOWEST_SQRT_PRICE = 4295128740;
uint160 constant HIGHEST_SQRT_PRICE = 1461446703485210103287273052203988822378723970341;

/// @title Sells all there is of a token along a route of V2 and V3 pools
/// @notice Each step sells everything that the step before it brought, measured and never believed, so nothing of the
/// first token or of those between is left over. A V2 pool is paid by the step before it.
abstract contract Swapper is AdapterBase {
    struct Step {
        uint256 kind;
        address pool;
        uint256 fee;
        address tokenOut;
    }

    /// @dev Sell this contract's whole balance of `token` for `wanted`, which stays here.
    function _sellFor(address token, bytes calldata route, address wanted) internal {
        if (_lastToken(route) != wanted) revert BadRoute();
        _sell(token, route, address(this));
    }

    /// @dev Sell this contract's whole balance of `token`.
    ///
    ///     for each step:
    ///         receiver = the pool of the next step if that is V2; `to` after the last one; else this
    ///         V2: pay the pool unless the step before did, quote from its reserves and surplus, swap
    ///         V3: swap, pay in the callback
    ///
    /// @param route Of whole steps.
    /// @param to Who gets the last token.
    function _sell(address token, bytes calldata route, address to) internal {
        uint256 length = route.length;
        bool paid;
        for (uint256 at = 0; at < length; at += STEP_WIDTH) {
            Step memory step = _step(route, at);
            bool last = at + STEP_WIDTH == length;
            bool toPool;
            address receiver = last ? to : address(this);
            if (!last) {
                Step memory next = _step(route, at + STEP_WIDTH);
                toPool = next.kind == STEP_V2;
                if (toPool) receiver = next.pool;
            }
            if (step.kind == STEP_V2) {
                if (!paid) Asset.transfer(token, step.pool, Asset.balance(token, address(this)));
                _swapV2(step, token, receiver);
            } else if (step.kind == STEP_V3) {
                _swapV3(step, token, receiver);
            } else {
                revert BadRoute();
            }
            paid = toPool;
            token = step.tokenOut;
        }
    }

    /// @dev What a route ends with. It has to be of whole steps, at least one.
    function _lastToken(bytes calldata route) internal pure returns (address) {
        if (route.length == 0 || route.length % STEP_WIDTH != 0) revert BadRoute();
        return address(bytes20(route[route.length - 20:]));
    }

    /// @dev The pool has its input already: what it holds above its reserve.
    ///
    ///     out = in * (1 - fee) * reserveOut / (reserveIn + in * (1 - fee))       as UniswapV2Library.getAmountOut
    function _swapV2(Step memory step, address tokenIn, address to) private {
        bool zeroForOne = tokenIn < step.tokenOut;
        (uint256 reserveIn, uint256 reserveOut,) = IUniswapV2Pair(step.pool).getReserves();
        if (!zeroForOne) (reserveIn, reserveOut) = (reserveOut, reserveIn);
        uint256 amountIn = (Asset.balance(tokenIn, step.pool) - reserveIn) * (FEE_UNIT - step.fee);
        uint256 amountOut = amountIn * reserveOut / (reserveIn * FEE_UNIT + amountIn);
        (uint256 out0, uint256 out1) = zeroForOne ? (uint256(0), amountOut) : (amountOut, uint256(0));
        IUniswapV2Pair(step.pool).swap(out0, out1, to, "");
    }

    /// @dev The pool is paid in its callback.
    ///
    ///     data = token | amount
    ///     expect the pool to ask for exactly that
    function _swapV3(Step memory step, address tokenIn, address to) private {
        bool zeroForOne = tokenIn < step.tokenOut;
        uint256 amount = Asset.balance(tokenIn, address(this));
        bytes memory data = abi.encodePacked(tokenIn, amount);
        Session.expect(step.pool, PAY_V3, data);
        uint160 limit = zeroForOne ? LOWEST_SQRT_PRICE : HIGHEST_SQRT_PRICE;
        IUniswapV3Pool(step.pool).swap(to, zeroForOne, int256(amount), limit, data);
        Session.settled();
    }

    /// @dev The callback of a V3 pool.
    function _payPool(int256 amount0, int256 amount1, bytes calldata data) internal {
        Session.accept(PAY_V3, data);
        address token = address(bytes20(data[:20]));
        uint256 amount = uint256(bytes32(data[20:52]));
        uint256 asked = uint256(amount0 > 0 ? amount0 : amount1);
        if (asked != amount) revert PartialFill(asked, amount);
        Asset.transfer(token, msg.sender, amount);
    }

    function _step(bytes calldata route, uint256 at) private pure returns (Step memory step) {
        bytes calldata text = route[at:at + STEP_WIDTH];
        step.kind = uint8(text[0]);
        step.pool = address(bytes20(text[1:21]));
        step.fee = uint24(bytes3(text[21:24]));
        step.tokenOut = address(bytes20(text[24:]));
    }
}
