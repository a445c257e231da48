"""The lenders that ask for no fee: Morpho Blue with tokens to lend, and stand-ins for Maker's DssFlash and for DODO."""

from __future__ import annotations

from keeper.replica import addresses
from keeper.replica.abi import arguments_of
from keeper.replica.site import Site

_DSS_FLASH_CEILING = 500_000_000 * 10**18
_DVM, _DSP = 0, 2
"""Which of DODO's pools a stand-in plays: the order of ``Kind`` in ``DodoPool.sol``."""


async def deploy_morpho(site: Site) -> None:
    code = (await site.morpho_code)["Morpho"]
    await site.chain.deploy_in_place(addresses.MORPHO, code + arguments_of("address", addresses.MORPHO_OWNER))
    lenders = site.markets.sections["lenders"]
    for symbol in lenders["tokens_of_morpho"]:
        token = site.token(symbol)
        await site.chain.execute(
            token.address, "transfer(address,uint256)", addresses.MORPHO, token.raw(lenders["morpho_usd"])
        )


async def deploy_dss_flash(site: Site) -> None:
    arguments = arguments_of("address,uint256", addresses.DAI, _DSS_FLASH_CEILING)
    await site.chain.deploy_in_place(addresses.DSS_FLASH, site.stand_ins["DssFlash"] + arguments)
    await site.chain.execute(addresses.DAI, "rely(address)", addresses.DSS_FLASH)


async def deploy_dodo(site: Site) -> None:
    chain, held = site.chain, site.markets.sections["lenders"]["dodo_usd"]
    for pool, base, quote, kind in (
        (addresses.DODO_DAI_USDT, "DAI", "USDT", _DSP),
        (addresses.DODO_WETH_USDC, "WETH", "USDC", _DVM),
    ):
        tokens = [site.token(base), site.token(quote)]
        arguments = arguments_of("address,address,uint8", *(token.address for token in tokens), kind)
        await chain.deploy_in_place(pool, site.stand_ins["DodoPool"] + arguments)
        for token in tokens:
            await chain.execute(token.address, "transfer(address,uint256)", pool, token.raw(held))
        await chain.execute(pool, "sync()")
