"""PancakeSwap V3: the factory and the exact pool code behind a stand-in for the pool deployer, and filled pools."""

from __future__ import annotations

from eth_utils.crypto import keccak

from keeper.domain.units import Address
from keeper.replica import addresses
from keeper.replica.abi import arguments_of
from keeper.replica.liquidity import liquidity_for
from keeper.replica.protocols.uniswap_v3 import absolute_ranges, pool_address
from keeper.replica.site import Site

_PACKAGE = "@pancakeswap/v3-core"
_POOL_CODE_HOLDER = Address("0x" + "33" * 20)
"""Holds the pool's init code as its own code: too much for one transaction to put into storage."""
_SLOT0 = "uint160,int24,uint16,uint16,uint16,uint32,bool"


async def deploy(site: Site) -> None:
    chain, artifacts = site.chain, site.artifacts
    deployer, factory = addresses.PANCAKE_V3_DEPLOYER, addresses.PANCAKE_V3_FACTORY
    pool_code = artifacts.creation_code(_PACKAGE, "artifacts/contracts/PancakeV3Pool.sol/PancakeV3Pool.json")
    site.measured["PancakeSwap V3 pool init code"] = "0x" + keccak(pool_code).hex()
    await chain.rpc("anvil_setCode", _POOL_CODE_HOLDER, "0x" + pool_code.hex())
    code = site.stand_ins["PancakeV3PoolDeployer"] + arguments_of("address,address", factory, _POOL_CODE_HOLDER)
    await chain.deploy_in_place(deployer, code)
    code = artifacts.creation_code(_PACKAGE, "artifacts/contracts/PancakeV3Factory.sol/PancakeV3Factory.json")
    await chain.deploy_in_place(factory, code + arguments_of("address", deployer))
    minter = await chain.create(site.stand_ins["PancakeV3Minter"])
    for spec in site.markets.of("pancakeswap_v3"):
        sides = (spec.token0.address, spec.token1.address)
        await chain.execute(factory, "createPool(address,address,uint24)", *sides, spec.fee_pips)
        pool = await pool_address(site, factory, spec)
        await chain.execute(pool, "initialize(uint160)", spec.sqrt_price_x96)
        tick = (await chain.read(pool, "slot0()", _SLOT0))[1]
        amount0, amount1 = spec.amounts
        for token, amount in zip(sides, spec.amounts, strict=True):
            await chain.execute(token, "transfer(address,uint256)", minter, amount)
        for lower, upper, share in absolute_ranges(spec, tick):
            liquidity = liquidity_for(spec.sqrt_price_x96, lower, upper, amount0 * share, amount1 * share)
            await chain.execute(minter, "mint(address,int24,int24,uint128)", pool, lower, upper, liquidity)
        site.other_pools.append(
            {
                "address": pool,
                "venue": "pancakeswap_v3",
                "dex": "pancakeswap_v3",
                "token0": spec.token0.address,
                "token1": spec.token1.address,
                "fee_pips": spec.fee_pips,
                "tick_spacing": spec.tick_spacing,
            }
        )
