// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

interface IToken {
    function balanceOf(address owner) external view returns (uint256);
    function transfer(address to, uint256 amount) external returns (bool);
}

/// @title An arbitrage contract of the common kind: the owner hands it targets and payloads as ABI arrays
/// @notice For comparison only. It trades from its own inventory, pays the first pool and calls each target in turn. V3
/// pools are paid in their callback, which trusts its caller: do not deploy it.
contract Multicall {
    address private immutable OWNER;
    IToken private immutable WETH;

    constructor(address owner, IToken weth) {
        OWNER = owner;
        WETH = weth;
    }

    function trade(uint256 amountToFirst, uint256 minProfit, address[] memory targets, bytes[] memory payloads)
        external
        payable
    {
        require(msg.sender == OWNER);
        require(targets.length == payloads.length);
        uint256 before = WETH.balanceOf(address(this));
        if (amountToFirst > 0) WETH.transfer(targets[0], amountToFirst);
        for (uint256 i = 0; i < targets.length; i++) {
            (bool ok,) = targets[i].call(payloads[i]);
            require(ok);
        }
        require(WETH.balanceOf(address(this)) >= before + minProfit);
    }

    function uniswapV3SwapCallback(int256 amount0, int256 amount1, bytes calldata data) external {
        IToken token = abi.decode(data, (IToken));
        token.transfer(msg.sender, uint256(amount0 > 0 ? amount0 : amount1));
    }
}
