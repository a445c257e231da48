"""The lenders that ask for no fee: Morpho Blue with tokens to lend, and the stand-in for Maker's DssFlash."""

from __future__ import annotations

from keeper.replica import addresses
from keeper.replica.abi import arguments_of
from keeper.replica.site import Site

_DSS_FLASH_CEILING = 500_000_000 * 10**18


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
