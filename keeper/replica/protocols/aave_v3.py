"""Aave V3, and Spark on the same code: addresses provider, pool, oracle, and reserves that can be lent flash."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from keeper.domain.units import ZERO_ADDRESS, Address
from keeper.replica import addresses
from keeper.replica.abi import arguments_of
from keeper.replica.protocols.chainlink import TOKEN_OF
from keeper.replica.site import Site

_PACKAGE = "@aave/core-v3"
_CONTRACTS = "artifacts/contracts/"
_LOGIC = _CONTRACTS + "protocol/libraries/logic/"
_RAY_PERCENT = 10**25
_LTV_BPS, _LIQUIDATION_THRESHOLD_BPS, _LIQUIDATION_BONUS_BPS = 8000, 8250, 10_500

_INIT_RESERVES = (
    "initReserves((address,address,address,uint8,address,address,address,address,"
    "string,string,string,string,string,string,bytes)[])"
)


@dataclass(frozen=True, slots=True)
class Market:
    """One deployment of the protocol.

    Attributes:
        configurator_nonces: nonce of the configurator at which mainnet listed each reserve. It creates three proxies a
            reserve, so the order of listing gives their addresses; the replica leaves out the reserves in between.
        flash_premium_bps: fee of a flash loan.
        names, symbols: prefixes of what the proxies are called.
        supply: name in ``lenders`` of ``markets.toml`` of what is supplied of each token, US dollars.
    """

    title: str
    provider: Address
    acl_manager: Address
    oracle: Address
    data_provider: Address
    pool: Address
    configurator: Address
    configurator_nonces: Mapping[str, int]
    flash_premium_bps: int
    names: str
    symbols: str
    debt_symbols: str
    supply: str


AAVE = Market(
    title="Aave Ethereum Market",
    provider=addresses.AAVE_PROVIDER,
    acl_manager=addresses.AAVE_ACL_MANAGER,
    oracle=addresses.AAVE_ORACLE,
    data_provider=addresses.AAVE_DATA_PROVIDER,
    pool=addresses.AAVE_POOL,
    configurator=addresses.AAVE_CONFIGURATOR,
    configurator_nonces={"WETH": 1, "WBTC": 7, "USDC": 10, "DAI": 13, "LINK": 16, "USDT": 25},
    flash_premium_bps=5,
    names="Aave Ethereum",
    symbols="aEth",
    debt_symbols="DebtEth",
    supply="aave_usd",
)
SPARK = Market(
    title="Spark Protocol",
    provider=addresses.SPARK_PROVIDER,
    acl_manager=addresses.SPARK_ACL_MANAGER,
    oracle=addresses.SPARK_ORACLE,
    data_provider=addresses.SPARK_DATA_PROVIDER,
    pool=addresses.SPARK_POOL,
    configurator=addresses.SPARK_CONFIGURATOR,
    configurator_nonces={"DAI": 1, "USDC": 7, "WETH": 10, "WBTC": 16, "USDT": 25},
    flash_premium_bps=0,
    names="Spark",
    symbols="sp",
    debt_symbols="Debt",
    supply="spark_usd",
)


class _Linker:
    """Init code of the protocol's contracts; deploys each logic library when it is first needed."""

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
    linker = _Linker(site)
    for market in (AAVE, SPARK):
        await _deploy_market(site, linker, market)


async def _deploy_market(site: Site, linker: _Linker, market: Market) -> None:
    chain, provider, owner = site.chain, market.provider, site.chain.account
    code = await linker.contract("protocol/configuration", "PoolAddressesProvider")
    await chain.deploy_in_place(provider, code + arguments_of("string,address", market.title, owner))
    await chain.execute(provider, "setACLAdmin(address)", owner)
    code = await linker.contract("protocol/configuration", "ACLManager")
    await chain.deploy_in_place(market.acl_manager, code + arguments_of("address", provider))
    await chain.execute(provider, "setACLManager(address)", market.acl_manager)
    for role in ("PoolAdmin", "AssetListingAdmin", "RiskAdmin", "EmergencyAdmin"):
        await chain.execute(market.acl_manager, f"add{role}(address)", owner)
    await _oracle(site, linker, market)
    code = await linker.contract("protocol/pool", "Pool")
    await chain.execute(provider, "setPoolImpl(address)", await chain.create(code + arguments_of("address", provider)))
    configurator = await chain.create(await linker.contract("protocol/pool", "PoolConfigurator"))
    await chain.execute(provider, "setPoolConfiguratorImpl(address)", configurator)
    await _reserves(site, linker, market)
    await chain.execute(market.configurator, "updateFlashloanPremiumTotal(uint128)", market.flash_premium_bps)
    code = await linker.contract("misc", "AaveProtocolDataProvider")
    await chain.deploy_in_place(market.data_provider, code + arguments_of("address", provider))


async def _oracle(site: Site, linker: _Linker, market: Market) -> None:
    unit = 10**8
    assets = [site.token(TOKEN_OF.get(name, name)).address for name in addresses.PRICE_FEEDS]
    arguments = arguments_of(
        "address,address[],address[],address,address,uint256",
        *(market.provider, assets, list(addresses.PRICE_FEEDS.values()), ZERO_ADDRESS, ZERO_ADDRESS, unit),
    )
    code = await linker.contract("misc", "AaveOracle")
    await site.chain.deploy_in_place(market.oracle, code + arguments)
    await site.chain.execute(market.provider, "setPriceOracle(address)", market.oracle)


async def _reserves(site: Site, linker: _Linker, market: Market) -> None:
    chain, owner = site.chain, site.chain.account
    pool, configurator = market.pool, market.configurator
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
            market.provider,
            *(percent * _RAY_PERCENT for percent in percents),
        )
    )
    await site.approve_all(pool)
    supplied = site.markets.sections["lenders"][market.supply]
    for symbol, nonce in market.configurator_nonces.items():
        token = site.token(symbol)
        await chain.rpc("anvil_setNonce", configurator, hex(nonce))
        reserve = (
            *tokens, token.decimals, rates, token.address, owner, ZERO_ADDRESS,
            *(f"{market.names} {symbol}", f"{market.symbols}{symbol}"),
            *(f"{market.names} Variable Debt {symbol}", f"variable{market.debt_symbols}{symbol}"),
            *(f"{market.names} Stable Debt {symbol}", f"stable{market.debt_symbols}{symbol}"),
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
