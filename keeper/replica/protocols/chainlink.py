"""Chainlink: the real proxies, each in front of an aggregator that the operator feeds."""

from __future__ import annotations

from keeper.domain.units import ZERO_ADDRESS
from keeper.replica import addresses
from keeper.replica.abi import arguments_of
from keeper.replica.site import Site

ANSWER_UNIT = 10**8
TOKEN_OF = {"ETH": "WETH", "BTC": "WBTC"}
"""The token whose reference price a feed starts at, where it is not called like the feed."""


def first_answer(site: Site, name: str) -> int:
    return int(site.token(TOKEN_OF.get(name, name)).price_usd * ANSWER_UNIT)


async def deploy(site: Site) -> None:
    proxy = site.artifacts.creation_code_in_text(
        "@chainlink/contracts", "truffle/v0.6/EACAggregatorProxy.js", key="object"
    )
    for name, address in addresses.PRICE_FEEDS.items():
        arguments = arguments_of("string,int256", f"{name} / USD", first_answer(site, name))
        feed = await site.chain.create(site.stand_ins["PriceFeed"] + arguments)
        await site.chain.deploy_in_place(address, proxy + arguments_of("address,address", feed, ZERO_ADDRESS))
        site.feeds[name] = feed


async def refresh(site: Site) -> None:
    """Push every answer once more, so that the oracles are as old as the state itself."""
    for name, feed in site.feeds.items():
        await site.chain.execute(feed, "push(int256)", first_answer(site, name))
