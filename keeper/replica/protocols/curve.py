"""A StableSwap pool with Curve's interface and integer steps at the address of Curve's 3pool."""

from __future__ import annotations

from keeper.replica import addresses
from keeper.replica.abi import arguments_of
from keeper.replica.site import Site

_PRECISION_DIGITS = 36
"""A coin's rate brings its raw amount to 18 decimals, scaled by 1e18."""


async def deploy(site: Site) -> None:
    chain, pool, section = site.chain, addresses.CURVE_3POOL, site.markets.sections["curve"]
    coins = [site.token(symbol) for symbol in ("DAI", "USDC", "USDT")]
    arguments = arguments_of(
        "address[3],uint256[3],uint256,uint256,uint256",
        [coin.address for coin in coins],
        [10 ** (_PRECISION_DIGITS - coin.decimals) for coin in coins],
        *(section["amplification"], section["fee_e10"], section["admin_fee_e10"]),
    )
    await chain.deploy_in_place(pool, site.stand_ins["StableSwap3"] + arguments)
    for coin in coins:
        await chain.execute(coin.address, "approve(address,uint256)", pool, coin.raw(section["depth_usd"]))
    amounts = [coin.raw(section["depth_usd"] // len(coins)) for coin in coins]
    await chain.execute(pool, "add_liquidity(uint256[3],uint256)", amounts, 0)
    site.other_pools.append(
        {
            "address": pool,
            "venue": "curve_stableswap",
            "dex": "curve",
            "tokens": [coin.address for coin in coins],
            "fee_pips": section["fee_e10"] // 10_000,
        }
    )
