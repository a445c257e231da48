// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

interface IToken {
    function transfer(address to, uint256 amount) external returns (bool);
}

struct Key {
    address currency0;
    address currency1;
    uint24 fee;
    int24 tickSpacing;
    address hooks;
}

struct Position {
    int24 tickLower;
    int24 tickUpper;
    int256 liquidityDelta;
    bytes32 salt;
}

struct Terms {
    bool zeroForOne;
    int256 amountSpecified;
    uint160 sqrtPriceLimitX96;
}

interface IManager {
    function initialize(Key memory key, uint160 price) external returns (int24);
    function unlock(bytes calldata data) external returns (bytes memory);
    function modifyLiquidity(Key memory key, Position memory position, bytes calldata data)
        external
        returns (int256, int256);
    function swap(Key memory key, Terms memory terms, bytes calldata data) external returns (int256);
    function sync(address currency) external;
    function settle() external payable returns (uint256);
    function take(address currency, address to, uint256 amount) external;
}

/// @title Fills pools of Uniswap V4 and trades in them, out of what it holds
contract V4Hand {
    IManager private immutable MANAGER;

    constructor(IManager manager) payable {
        MANAGER = manager;
    }

    receive() external payable {}

    function fill(Key calldata key, uint160 price, Position calldata position) external payable {
        MANAGER.initialize(key, price);
        MANAGER.unlock(abi.encode(true, key, abi.encode(position)));
    }

    function trade(Key calldata key, Terms calldata terms) external payable {
        MANAGER.unlock(abi.encode(false, key, abi.encode(terms)));
    }

    function unlockCallback(bytes calldata data) external returns (bytes memory) {
        (bool fills, Key memory key, bytes memory what) = abi.decode(data, (bool, Key, bytes));
        int256 delta;
        if (fills) (delta,) = MANAGER.modifyLiquidity(key, abi.decode(what, (Position)), "");
        else delta = MANAGER.swap(key, abi.decode(what, (Terms)), "");
        _close(key.currency0, int128(delta >> 128));
        _close(key.currency1, int128(delta));
        return "";
    }

    function _close(address currency, int128 delta) private {
        if (delta > 0) MANAGER.take(currency, address(this), uint128(delta));
        if (delta >= 0) return;
        uint256 owed = uint128(-delta);
        if (currency == address(0)) {
            MANAGER.settle{value: owed}();
            return;
        }
        MANAGER.sync(currency);
        IToken(currency).transfer(address(MANAGER), owed);
        MANAGER.settle();
    }
}
