"""Uniswap V4 and the Universal Router: PoolManager, its periphery, and the ETH/USDC pool with one wide position."""

from __future__ import annotations

from decimal import Decimal

from eth_utils.crypto import keccak

from keeper.domain.units import ZERO_ADDRESS
from keeper.replica import addresses
from keeper.replica.abi import arguments_of
from keeper.replica.deploy import create2_address
from keeper.replica.liquidity import liquidity_for
from keeper.replica.markets import sqrt_price_x96
from keeper.replica.site import MAX_UINT256, Site

_PACKAGE = "@uniswap/v4-periphery"
_KEY = "(address,address,uint24,int24,address)"
_UNSUBSCRIBE_GAS = 300_000
_MINT_POSITION, _SETTLE_PAIR, _SWEEP = 0x02, 0x0D, 0x14
_NEVER = 2**40
_MAX_UINT128, _MAX_UINT160, _MAX_UINT48 = 2**128 - 1, 2**160 - 1, 2**48 - 1


async def deploy(site: Site) -> None:
    chain, manager = site.chain, addresses.POOL_MANAGER
    code = _code(site, "PoolManager.sol/PoolManager.default")
    code += arguments_of("address", addresses.POOL_MANAGER_OWNER)
    digest = keccak(code)
    site.measured["Uniswap V4 PoolManager init code"] = "0x" + digest.hex()
    site.measured["Uniswap V4 PoolManager by CREATE2"] = create2_address(
        addresses.POOL_MANAGER_CREATOR, addresses.POOL_MANAGER_SALT, digest
    )
    await chain.deploy_in_place(manager, code)
    of_manager = arguments_of("address", manager)
    await chain.deploy_in_place(addresses.V4_STATE_VIEW, _code(site, "StateView.sol/StateView") + of_manager)
    await chain.deploy_in_place(addresses.V4_QUOTER, _code(site, "V4Quoter.sol/V4Quoter") + of_manager)
    positions = arguments_of(
        "address,address,uint256,address,address",
        *(manager, addresses.PERMIT2, _UNSUBSCRIBE_GAS, addresses.V4_POSITION_DESCRIPTOR, addresses.WETH.address),
    )
    code = _code(site, "PositionManager.sol/PositionManager") + positions
    await chain.deploy_in_place(addresses.V4_POSITION_MANAGER, code)
    await _pool(site)
    await _universal_router(site)


def _code(site: Site, path: str) -> bytes:
    return site.artifacts.creation_code(_PACKAGE, f"foundry-out/{path}.json")


async def _pool(site: Site) -> None:
    """Initialise ETH/USDC and mint one position: the manager settles ETH from the value, USDC through Permit2."""
    chain, section = site.chain, site.markets.sections["uniswap_v4"]
    ether, usdc = site.token("WETH"), site.token("USDC")
    fee, spacing = section["fee_pips"], section["tick_spacing"]
    key = (ZERO_ADDRESS, usdc.address, fee, spacing, ZERO_ADDRESS)
    price = sqrt_price_x96(ether, usdc)
    await chain.execute(addresses.POOL_MANAGER, f"initialize({_KEY},uint160)", key, price)
    pool_id = keccak(arguments_of(_KEY, key))
    site.measured["Uniswap V4 ETH/USDC 0.05% pool id"] = "0x" + pool_id.hex()
    slot0 = await chain.read(addresses.V4_STATE_VIEW, "getSlot0(bytes32)", "uint160,int24,uint24,uint24", pool_id)
    width = section["half_width_ticks"]
    lower, upper = ((slot0[1] + side) // spacing * spacing for side in (-width, width))
    half = section["depth_usd"] // 2
    amount0, amount1 = ether.raw(half), usdc.raw(half)
    liquidity = liquidity_for(price, lower, upper, Decimal(amount0), Decimal(amount1))

    await chain.execute(usdc.address, "approve(address,uint256)", addresses.PERMIT2, MAX_UINT256)
    await chain.execute(
        addresses.PERMIT2,
        "approve(address,address,uint160,uint48)",
        *(usdc.address, addresses.V4_POSITION_MANAGER, _MAX_UINT160, _MAX_UINT48),
    )
    mint = arguments_of(
        f"{_KEY},int24,int24,uint256,uint128,uint128,address,bytes",
        *(key, lower, upper, liquidity, _MAX_UINT128, _MAX_UINT128, chain.account, b""),
    )
    settle = arguments_of("address,address", ZERO_ADDRESS, usdc.address)
    sweep = arguments_of("address,address", ZERO_ADDRESS, chain.account)
    plan = arguments_of("bytes,bytes[]", bytes([_MINT_POSITION, _SETTLE_PAIR, _SWEEP]), [mint, settle, sweep])
    await chain.execute(
        addresses.V4_POSITION_MANAGER, "modifyLiquidities(bytes,uint256)", plan, _NEVER, value=2 * amount0
    )
    site.other_pools.append(
        {
            "address": addresses.POOL_MANAGER,
            "venue": "uniswap_v4",
            "dex": "uniswap_v4",
            "tokens": [ZERO_ADDRESS, usdc.address],
            "pool_id": "0x" + pool_id.hex(),
            "fee_pips": fee,
            "tick_spacing": spacing,
            "hooks": ZERO_ADDRESS,
        }
    )


async def _universal_router(site: Site) -> None:
    code = site.artifacts.creation_code(
        "@uniswap/universal-router", "artifacts/contracts/UniversalRouter.sol/UniversalRouter.json"
    )
    parameters = (
        *(addresses.PERMIT2, addresses.WETH.address),
        *(addresses.UNISWAP_V2_FACTORY.address, addresses.UNISWAP_V3_FACTORY.address),
        bytes.fromhex(site.measured["Uniswap V2 pair init code"][2:]),
        bytes.fromhex(site.measured["Uniswap V3 pool init code"][2:]),
        *(addresses.POOL_MANAGER, addresses.POSITION_MANAGER.address, addresses.V4_POSITION_MANAGER, ZERO_ADDRESS),
    )
    types = "(address,address,address,address,bytes32,bytes32,address,address,address,address)"
    await site.chain.deploy_in_place(addresses.UNIVERSAL_ROUTER, code + arguments_of(types, parameters))
