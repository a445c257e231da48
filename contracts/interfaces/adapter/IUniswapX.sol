// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

/// @title The reactors of UniswapX, which settle orders that swappers signed
interface IReactor {
    struct SignedOrder {
        bytes order;
        bytes sig;
    }

    struct OrderInfo {
        address reactor;
        address swapper;
        uint256 nonce;
        uint256 deadline;
        address additionalValidationContract;
        bytes additionalValidationData;
    }

    struct InputToken {
        address token;
        uint256 amount;
        uint256 maxAmount;
    }

    struct OutputToken {
        address token;
        uint256 amount;
        address recipient;
    }

    struct ResolvedOrder {
        OrderInfo info;
        InputToken input;
        OutputToken[] outputs;
        bytes sig;
        bytes32 hash;
    }

    /// @notice Pay the order's input to the caller, call back `reactorCallback`, and pull the outputs from the caller.
    /// @param order As the swapper signed it.
    /// @param callbackData Comes back with the callback.
    function executeWithCallback(SignedOrder calldata order, bytes calldata callbackData) external payable;
}
