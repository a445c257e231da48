// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

interface IPancakeV3Pool {
    function token0() external view returns (address);
    function token1() external view returns (address);
    function mint(address recipient, int24 lower, int24 upper, uint128 amount, bytes calldata data)
        external
        returns (uint256, uint256);
}

/// Puts liquidity into PancakeSwap V3 pools for the build; pays from its own balance, so it holds nothing afterwards.
contract PancakeV3Minter {
    address private expected;

    function mint(IPancakeV3Pool pool, int24 lower, int24 upper, uint128 amount) external {
        expected = address(pool);
        pool.mint(msg.sender, lower, upper, amount, "");
        expected = address(0);
    }

    function pancakeV3MintCallback(uint256 owed0, uint256 owed1, bytes calldata) external {
        require(msg.sender == expected);
        _pay(IPancakeV3Pool(msg.sender).token0(), owed0);
        _pay(IPancakeV3Pool(msg.sender).token1(), owed1);
    }

    function _pay(address token, uint256 amount) private {
        (bool ok, bytes memory result) =
            token.call(abi.encodeWithSignature("transfer(address,uint256)", msg.sender, amount));
        require(ok && (result.length == 0 || abi.decode(result, (bool))), "token call failed");
    }
}
