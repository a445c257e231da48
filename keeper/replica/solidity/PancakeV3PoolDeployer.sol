// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

/// Stands in for PancakeSwap's pool deployer, whose bytecode is not on npm: creates pools by CREATE2 from the pool's
/// exact init code, so that they come out at their mainnet addresses.
contract PancakeV3PoolDeployer {
    struct Parameters {
        address factory;
        address token0;
        address token1;
        uint24 fee;
        int24 tickSpacing;
    }

    Parameters public parameters;
    address public immutable factoryAddress;
    address private immutable poolCode; // its code is the pool's init code

    constructor(address factory, address poolCode_) {
        factoryAddress = factory;
        poolCode = poolCode_;
    }

    function deploy(address factory, address token0, address token1, uint24 fee, int24 tickSpacing)
        external
        returns (address pool)
    {
        require(msg.sender == factoryAddress);
        parameters = Parameters(factory, token0, token1, fee, tickSpacing);
        bytes memory code = poolCode.code;
        bytes32 salt = keccak256(abi.encode(token0, token1, fee));
        assembly ("memory-safe") {
            pool := create2(0, add(code, 32), mload(code), salt)
        }
        require(pool != address(0));
        delete parameters;
    }
}
