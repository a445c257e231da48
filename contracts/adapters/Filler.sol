// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {Asset} from "./Asset.sol";
import {FILL_UNISWAPX, Session} from "./Session.sol";
import {Swapper} from "./Swapper.sol";
import {IAdapter} from "../interfaces/IAdapter.sol";
import {IWrappedCoin} from "../interfaces/adapter/IERC20.sol";
import {IReactor} from "../interfaces/adapter/IUniswapX.sol";

/// @title Fills orders of UniswapX
abstract contract Filler is Swapper {
    address private constant COIN = address(0); // as orders name it

    /// @dev Let the reactor pay the input and call back, and see that it took what it was approved for. What is
    /// committed are the arguments of the operator's call.
    function _fill(IAdapter.Fill calldata job) internal {
        bytes memory data = msg.data[4:];
        Session.expect(job.reactor, FILL_UNISWAPX, data);
        IReactor(job.reactor).executeWithCallback(job.order, data);
        Session.settled();
        Asset.requireNoAllowance(job.tokenOut, job.reactor);
    }

    /// @dev Sell the input; approve or pay exactly the outputs.
    ///
    ///     require each order pays tokenIn and wants tokenOut or the coin, all together maxOutput at most
    ///     sell tokenIn along the route
    ///     approve the sum of tokenOut; unwrap and send the sum of the coin
    function _onFill(IReactor.ResolvedOrder[] calldata orders, bytes calldata data) internal {
        Session.accept(FILL_UNISWAPX, data);
        IAdapter.Fill calldata job = _fillJob(data);
        (uint256 tokens, uint256 coins) = _outputs(orders, job.tokenIn, job.tokenOut);
        if (tokens + coins > job.maxOutput) revert UnexpectedOrder();
        _sellFor(job.tokenIn, job.route, job.tokenOut);
        if (coins != 0) {
            IWrappedCoin(job.tokenOut).withdraw(coins);
            (bool sent,) = msg.sender.call{value: coins}("");
            if (!sent) revert TokenFailed();
        }
        if (tokens != 0) Asset.approve(job.tokenOut, msg.sender, tokens);
    }

    function _outputs(IReactor.ResolvedOrder[] calldata orders, address tokenIn, address tokenOut)
        private
        pure
        returns (uint256 tokens, uint256 coins)
    {
        for (uint256 i = 0; i < orders.length; i++) {
            if (orders[i].input.token != tokenIn) revert UnexpectedOrder();
            IReactor.OutputToken[] calldata outputs = orders[i].outputs;
            for (uint256 j = 0; j < outputs.length; j++) {
                if (outputs[j].token == tokenOut) tokens += outputs[j].amount;
                else if (outputs[j].token == COIN) coins += outputs[j].amount;
                else revert UnexpectedOrder();
            }
        }
    }

    /// @dev The arguments of a function that takes one struct: a word that says where it starts, and the struct.
    ///
    ///     job = arguments + arguments[0 : 32]
    function _fillJob(bytes calldata arguments) private pure returns (IAdapter.Fill calldata job) {
        assembly ("memory-safe") {
            job := add(arguments.offset, calldataload(arguments.offset))
        }
    }
}
