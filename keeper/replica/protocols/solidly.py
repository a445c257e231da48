"""A Solidly-type factory (Aerodrome's contracts) with a volatile and a stable pool; mainnet has no such deployment."""

from __future__ import annotations

from keeper.domain.units import to_address
from keeper.replica.abi import arguments_of
from keeper.replica.site import Site

_POOLS = (("WETH", "USDC", False), ("DAI", "USDC", True))


async def deploy(site: Site) -> None:
    chain, code = site.chain, await site.solidly_code
    implementation = await chain.create(code["Pool"])
    factory = await chain.create(code["PoolFactory"] + arguments_of("address", implementation))
    half = site.markets.sections["solidly"]["depth_usd"] // 2
    for first, second, stable in _POOLS:
        tokens = (site.token(first), site.token(second))
        sides = [token.address for token in tokens]
        await chain.execute(factory, "createPool(address,address,bool)", *sides, stable)
        pool = to_address(
            await chain.read(factory, "getPool(address,address,bool)", "address", *sides, stable), "Solidly pool"
        )
        for token in tokens:
            await chain.execute(token.address, "transfer(address,uint256)", pool, token.raw(half))
        await chain.execute(pool, "mint(address)", chain.account)
        fee_bps = await chain.read(factory, "getFee(address,bool)", "uint256", pool, stable)
        site.other_pools.append(
            {
                "address": pool,
                "venue": "solidly_stable" if stable else "solidly_volatile",
                "dex": "solidly",
                "tokens": sorted(sides, key=lambda address: int(address, 16)),
                "fee_pips": fee_bps * 100,
            }
        )
