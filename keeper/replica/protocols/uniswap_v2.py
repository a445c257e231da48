"""Uniswap V2 and Sushiswap: factory, router and pairs. The pairs' code is created by the factory itself."""

from __future__ import annotations

from eth_utils.crypto import keccak

from keeper.domain.units import Address, to_address
from keeper.replica import addresses
from keeper.replica.abi import arguments_of
from keeper.replica.site import Site

_WETH = addresses.WETH.address


async def deploy(site: Site) -> None:
    chain, artifacts = site.chain, site.artifacts
    pair = artifacts.creation_code("@uniswap/v2-core", "build/UniswapV2Pair.json")
    site.measured["Uniswap V2 pair init code"] = "0x" + keccak(pair).hex()
    factory, router = addresses.UNISWAP_V2_FACTORY, addresses.UNISWAP_V2_ROUTER
    code = artifacts.creation_code("@uniswap/v2-core", "build/UniswapV2Factory.json")
    code += arguments_of("address", addresses.UNISWAP_V2_FEE_TO_SETTER)
    await chain.create_at_nonce(factory.deployer, factory.nonce, code, factory.address)
    code = artifacts.creation_code("@uniswap/v2-periphery", "build/UniswapV2Router02.json")
    code += arguments_of("address,address", factory.address, _WETH)
    await chain.create_at_nonce(router.deployer, router.nonce, code, router.address)
    await _pairs(site, "uniswap_v2", factory.address)


async def deploy_sushi(site: Site) -> None:
    chain, artifacts, package = site.chain, site.artifacts, "@sushiswap/core"
    factory, router = addresses.SUSHI_FACTORY, addresses.SUSHI_ROUTER
    code = artifacts.creation_code(package, "deployments/mainnet/UniswapV2Factory.json")
    code += arguments_of("address", factory.deployer)
    await chain.create_at_nonce(factory.deployer, factory.nonce, code, factory.address)
    pair_hash: bytes = await chain.read(factory.address, "pairCodeHash()", "bytes32")
    site.measured["Sushiswap pair init code"] = "0x" + pair_hash.hex()
    code = artifacts.creation_code(package, "deployments/fantom/UniswapV2Router02.json")
    code += arguments_of("address,address", factory.address, _WETH)
    await chain.create_at_nonce(router.deployer, router.nonce, code, router.address)
    await _pairs(site, "sushiswap", factory.address)


async def _pairs(site: Site, dex: str, factory: Address) -> None:
    chain = site.chain
    for pool in site.markets.of(dex):
        token0, token1 = pool.token0.address, pool.token1.address
        await chain.execute(factory, "createPair(address,address)", token0, token1)
        pair = to_address(await chain.read(factory, "getPair(address,address)", "address", token0, token1), pool.label)
        for token, amount in zip((token0, token1), pool.amounts, strict=True):
            await chain.execute(token, "transfer(address,uint256)", pair, amount)
        await chain.execute(pair, "mint(address)", chain.account)
