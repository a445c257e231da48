// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

/// Stands in the place of a pool's token and believes everybody.
contract Purse {
    uint256 private held;
    uint256 public paid;

    function hold(uint256 amount) external {
        held = amount;
    }

    function balanceOf(address) external view returns (uint256) {
        return held;
    }

    function transfer(address, uint256 amount) external returns (bool) {
        held -= amount;
        paid = amount;
        return true;
    }

    function transferFrom(address, address, uint256 amount) external returns (bool) {
        held += amount;
        return true;
    }
}

interface IPair {
    function swap(uint256 amount0, uint256 amount1, address to, bytes calldata data) external;
}

interface IStableSwap {
    function exchange(int128 i, int128 j, uint256 dx, uint256 min) external;
}

/// Carries out swaps in deployed pools and takes each back, so that all of a list see the same state.
contract Judge {
    error Paid(uint256 amount);

    struct Trade {
        bool zeroForOne;
        uint256 amountIn;
        uint256 amountOut;
    }

    struct Exchange {
        int128 i;
        int128 j;
        uint256 amountIn;
    }

    /// Whether the pair lets each output go for its input.
    function swapAll(IPair pair, Purse[2] calldata tokens, uint256[2] calldata reserves, Trade[] calldata trades)
        external
        returns (bool[] memory done)
    {
        done = new bool[](trades.length);
        for (uint256 n; n < trades.length; n++) {
            try this.swap(pair, tokens, reserves, trades[n]) {}
            catch (bytes memory reason) {
                done[n] = bytes4(reason) == Paid.selector;
            }
        }
    }

    /// What the pool pays for each input; the greatest number where it refuses.
    function exchangeAll(IStableSwap pool, Purse[] calldata coins, Exchange[] calldata trades)
        external
        returns (uint256[] memory paid)
    {
        paid = new uint256[](trades.length);
        for (uint256 n; n < trades.length; n++) {
            try this.exchange(pool, coins, trades[n]) {}
            catch (bytes memory reason) {
                paid[n] = type(uint256).max;
                if (bytes4(reason) == Paid.selector) {
                    assembly ("memory-safe") {
                        mstore(add(add(paid, 32), mul(n, 32)), mload(add(reason, 36)))
                    }
                }
            }
        }
    }

    function swap(IPair pair, Purse[2] calldata tokens, uint256[2] calldata reserves, Trade calldata trade) external {
        tokens[0].hold(reserves[0] + (trade.zeroForOne ? trade.amountIn : 0));
        tokens[1].hold(reserves[1] + (trade.zeroForOne ? 0 : trade.amountIn));
        (uint256 out0, uint256 out1) = trade.zeroForOne ? (uint256(0), trade.amountOut) : (trade.amountOut, uint256(0));
        pair.swap(out0, out1, address(this), "");
        revert Paid(trade.amountOut);
    }

    function exchange(IStableSwap pool, Purse[] calldata coins, Exchange calldata trade) external {
        for (uint256 n; n < coins.length; n++) coins[n].hold(1 << 254);
        pool.exchange(trade.i, trade.j, trade.amountIn, 0);
        revert Paid(coins[uint256(int256(trade.j))].paid());
    }
}
