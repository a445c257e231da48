"""Aave V3: addresses provider, pool, oracle on the Chainlink proxies, and reserves that can be lent flash."""

from __future__ import annotations

from keeper.domain.units import ZERO_ADDRESS, Address
from keeper.replica import addresses
from keeper.replica.abi import arguments_of
from keeper.replica.protocols.chainlink import TOKEN_OF
from keeper.replica.site import Site

_PACKAGE = "@aave/core-v3"
_CONTRACTS = "artifacts/contracts/"
_LOGIC = _CONTRACTS + "protocol/libraries/logic/"
_RAY_PERCENT = 10**25
_FLASH_PREMIUM_BPS = 5
_LTV_BPS, _LIQUIDATION_THRESHOLD_BPS, _LIQUIDATION_BONUS_BPS = 8000, 8250, 10_500

_CONFIGURATOR_NONCES = {"WETH": 1, "WBTC": 7, "USDC": 10, "DAI": 13, "LINK": 16, "USDT": 25}
"""The configurator creates three proxies a reserve; mainnet listed reserves in between that the replica leaves out."""

_INIT_RESERVES = (
    "initReserves((address,address,address,uint8,address,address,address,address,"
    "string,string,string,string,string,string,bytes)[])"
)


class _Linker:
    """Init code of Aave's contracts; deploys each logic library when it is first needed."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._libraries: dict[str, Address] = {}

    async def code(self, path: str) -> bytes:
        for name in self._site.artifacts.link_references(_PACKAGE, path):
            if name not in self._libraries:
                self._libraries[name] = await self._site.chain.create(
                    await self.code(f"{_LOGIC}{name}.sol/{name}.json")
                )
        return self._site.artifacts.creation_code(_PACKAGE, path, self._libraries)

    async def contract(self, folder: str, name: str) -> bytes:
        return await self.code(f"{_CONTRACTS}{folder}/{name}.sol/{name}.json")


async def deploy(site: Site) -> None:
    chain, linker = site.chain, _Linker(site)
    provider, owner = addresses.AAVE_PROVIDER, chain.account
    code = await linker.contract("protocol/configuration", "PoolAddressesProvider")
    await chain.deploy_in_place(provider, code + arguments_of("string,address", "Aave Ethereum Market", owner))
    await chain.execute(provider, "setACLAdmin(address)", owner)
    code = await linker.contract("protocol/configuration", "ACLManager")
    await chain.deploy_in_place(addresses.AAVE_ACL_MANAGER, code + arguments_of("address", provider))
    await chain.execute(provider, "setACLManager(address)", addresses.AAVE_ACL_MANAGER)
    for role in ("PoolAdmin", "AssetListingAdmin", "RiskAdmin", "EmergencyAdmin"):
        await chain.execute(addresses.AAVE_ACL_MANAGER, f"add{role}(address)", owner)
    await _oracle(site, linker)
    code = await linker.contract("protocol/pool", "Pool")
    await chain.execute(provider, "setPoolImpl(address)", await chain.create(code + arguments_of("address", provider)))
    configurator = await chain.create(await linker.contract("protocol/pool", "PoolConfigurator"))
    await chain.execute(provider, "setPoolConfiguratorImpl(address)", configurator)
    await _reserves(site, linker)
    await chain.execute(addresses.AAVE_CONFIGURATOR, "updateFlashloanPremiumTotal(uint128)", _FLASH_PREMIUM_BPS)
    code = await linker.contract("misc", "AaveProtocolDataProvider")
    await chain.deploy_in_place(addresses.AAVE_DATA_PROVIDER, code + arguments_of("address", provider))


async def _oracle(site: Site, linker: _Linker) -> None:
    unit = 10**8
    assets = [site.token(TOKEN_OF.get(name, name)).address for name in addresses.PRICE_FEEDS]
    arguments = arguments_of(
        "address,address[],address[],address,address,uint256",
        *(addresses.AAVE_PROVIDER, assets, list(addresses.PRICE_FEEDS.values()), ZERO_ADDRESS, ZERO_ADDRESS, unit),
    )
    code = await linker.contract("misc", "AaveOracle")
    await site.chain.deploy_in_place(addresses.AAVE_ORACLE, code + arguments)
    await site.chain.execute(addresses.AAVE_PROVIDER, "setPriceOracle(address)", addresses.AAVE_ORACLE)


async def _reserves(site: Site, linker: _Linker) -> None:
    chain, owner = site.chain, site.chain.account
    pool, configurator = addresses.AAVE_POOL, addresses.AAVE_CONFIGURATOR
    tokens = [
        await chain.create(await linker.contract("protocol/tokenization", name) + arguments_of("address", pool))
        for name in ("AToken", "StableDebtToken", "VariableDebtToken")
    ]
    # optimal usage; base, slopes of variable and stable debt; offsets and the optimal share of stable debt
    percents = (80, 0, 4, 60, 2, 60, 2, 5, 20)
    rates = await chain.create(
        await linker.contract("protocol/pool", "DefaultReserveInterestRateStrategy")
        + arguments_of(
            "address" + ",uint256" * len(percents),
            addresses.AAVE_PROVIDER,
            *(percent * _RAY_PERCENT for percent in percents),
        )
    )
    await site.approve_all(pool)
    supplied = site.markets.sections["lenders"]["aave_usd"]
    for symbol, nonce in _CONFIGURATOR_NONCES.items():
        token = site.token(symbol)
        await chain.rpc("anvil_setNonce", configurator, hex(nonce))
        reserve = (
            *tokens, token.decimals, rates, token.address, owner, ZERO_ADDRESS,
            *(f"Aave Ethereum {symbol}", f"aEth{symbol}"),
            *(f"Aave Ethereum Variable Debt {symbol}", f"variableDebtEth{symbol}"),
            *(f"Aave Ethereum Stable Debt {symbol}", f"stableDebtEth{symbol}"),
            b"",
        )  # fmt: skip
        await chain.execute(configurator, _INIT_RESERVES, [reserve])
        await chain.execute(
            configurator,
            "configureReserveAsCollateral(address,uint256,uint256,uint256)",
            *(token.address, _LTV_BPS, _LIQUIDATION_THRESHOLD_BPS, _LIQUIDATION_BONUS_BPS),
        )
        await chain.execute(configurator, "setReserveBorrowing(address,bool)", token.address, True)
        await chain.execute(configurator, "setReserveFlashLoaning(address,bool)", token.address, True)
        await chain.execute(
            pool, "supply(address,uint256,address,uint16)", token.address, token.raw(supplied), owner, 0
        )
