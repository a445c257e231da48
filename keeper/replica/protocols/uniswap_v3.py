"""Uniswap V3: factory, routers, lenses, and pools with several overlapping positions each."""

from __future__ import annotations

from decimal import Decimal

from eth_utils.crypto import keccak

from keeper.domain.units import Address, to_address
from keeper.replica import addresses
from keeper.replica.abi import arguments_of
from keeper.replica.addresses import Creation
from keeper.replica.markets import PoolSpec
from keeper.replica.site import Site

NEVER = 2**40
"""A deadline that does not pass."""
SLOT0 = "uint160,int24,uint16,uint16,uint16,uint8,bool"
_MAX_TICK = 887_272
_PERIPHERY = "artifacts/contracts/"
_MINT = "mint((address,address,uint24,int24,int24,uint256,uint256,uint256,uint256,address,uint256))"


async def deploy(site: Site) -> None:
    weth, factory = addresses.WETH.address, addresses.UNISWAP_V3_FACTORY.address
    core, periphery, routers = "@uniswap/v3-core", "@uniswap/v3-periphery", "@uniswap/swap-router-contracts"
    two, positions = arguments_of("address,address", factory, weth), addresses.POSITION_MANAGER.address
    pool = site.artifacts.creation_code(core, _PERIPHERY + "UniswapV3Pool.sol/UniswapV3Pool.json")
    site.measured["Uniswap V3 pool init code"] = "0x" + keccak(pool).hex()
    contracts: tuple[tuple[Creation, str, str, bytes], ...] = (
        (addresses.UNISWAP_V3_FACTORY, core, "UniswapV3Factory", b""),
        (addresses.TICK_LENS, periphery, "lens/TickLens", b""),
        (addresses.SWAP_ROUTER, periphery, "SwapRouter", two),
        (
            addresses.POSITION_MANAGER,
            periphery,
            "NonfungiblePositionManager",
            arguments_of("address,address,address", factory, weth, addresses.POSITION_DESCRIPTOR),
        ),
        (addresses.QUOTER_V2, routers, "lens/QuoterV2", two),
        (
            addresses.SWAP_ROUTER_02,
            routers,
            "SwapRouter02",
            arguments_of(
                "address,address,address,address", addresses.UNISWAP_V2_FACTORY.address, factory, positions, weth
            ),
        ),
    )
    for creation, package, path, arguments in contracts:
        name = path.rpartition("/")[2]
        code = site.artifacts.creation_code(package, f"{_PERIPHERY}{path}.sol/{name}.json")
        await site.chain.create_at_nonce(creation.deployer, creation.nonce, code + arguments, creation.address)
    await site.chain.execute(
        factory, "enableFeeAmount(uint24,int24)", 100, 1, sender=addresses.UNISWAP_V3_FACTORY.deployer
    )
    await site.approve_all(positions)
    for spec in site.markets.of("uniswap_v3"):
        await _pool(site, spec)


async def _pool(site: Site, spec: PoolSpec) -> None:
    chain, positions = site.chain, addresses.POSITION_MANAGER.address
    token0, token1 = spec.token0.address, spec.token1.address
    await chain.execute(
        positions,
        "createAndInitializePoolIfNecessary(address,address,uint24,uint160)",
        *(token0, token1, spec.fee_pips, spec.sqrt_price_x96),
    )
    pool = await pool_address(site, addresses.UNISWAP_V3_FACTORY.address, spec)
    tick = (await chain.read(pool, "slot0()", SLOT0))[1]
    amount0, amount1 = spec.amounts
    async with chain.batched():
        for lower, upper, share in absolute_ranges(spec, tick):
            amounts = (int(amount0 * share), int(amount1 * share))
            position = (token0, token1, spec.fee_pips, lower, upper, *amounts, 0, 0, chain.account, NEVER)
            await chain.execute(positions, _MINT, position)


async def pool_address(site: Site, factory: Address, spec: PoolSpec) -> Address:
    found = await site.chain.read(
        factory,
        "getPool(address,address,uint24)",
        "address",
        *(spec.token0.address, spec.token1.address, spec.fee_pips),
    )
    return to_address(found, spec.label)


def absolute_ranges(spec: PoolSpec, tick: int) -> list[tuple[int, int, Decimal]]:
    """The spec's positions around ``tick``, rounded outwards to its tick spacing."""
    spacing = spec.tick_spacing
    assert spacing is not None  # a V3 pool has one
    outermost = _MAX_TICK // spacing * spacing
    return [
        (
            max(-outermost, (tick + part.lower) // spacing * spacing),
            min(outermost, -(-(tick + part.upper) // spacing) * spacing),
            part.share,
        )
        for part in spec.ranges
    ]
