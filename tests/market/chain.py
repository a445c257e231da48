"""Builders of headers, events and pools for tests."""

from __future__ import annotations

from collections.abc import Sequence

from eth_utils.crypto import keccak

from keeper.domain.chain import BlockEvent, BlockHeader, Log
from keeper.domain.units import Address, Hash32, Wei, to_address
from keeper.market.venues.tick_math import get_sqrt_ratio_at_tick
from keeper.market.venues.uniswap_v2 import SYNC_TOPIC, UniswapV2Pool
from keeper.market.venues.uniswap_v3 import BURN_TOPIC, MINT_TOPIC, UniswapV3Pool

TOKEN0, TOKEN1 = (to_address(f"0x{number:040x}", "token") for number in (0xA0, 0xB0))


def address(number: int) -> Address:
    return to_address(f"0x{number:040x}", "pool")


def block_hash(number: int, branch: str = "") -> Hash32:
    return Hash32("0x" + keccak(text=f"{number}{branch}").hex())


def header(number: int, branch: str = "", parent: str = "") -> BlockHeader:
    """Block ``number`` of ``branch`` on top of its predecessor of branch ``parent``."""
    return BlockHeader(
        number=number,
        hash=block_hash(number, branch),
        parent_hash=block_hash(number - 1, parent),
        timestamp=1_700_000_000 + 12 * number,
        base_fee=Wei(10**9),
        gas_limit=30_000_000,
        gas_used=15_000_000,
        coinbase=address(1),
    )


def block_event(
    number: int,
    branch: str = "",
    parent: str = "",
    *,
    logs: Sequence[Log] = (),
    reverted: Sequence[Hash32] = (),
) -> BlockEvent:
    return BlockEvent(header=header(number, branch, parent), logs=tuple(logs), reverted=tuple(reverted), seen_at=0)


def word(value: int) -> bytes:
    return value.to_bytes(32, "big", signed=value < 0)


def make_log(pool: Address, topics: Sequence[bytes], data: bytes, index: int = 0) -> Log:
    return Log(
        address=pool,
        topics=tuple(topics),
        data=data,
        block_number=1,
        transaction_hash=block_hash(0, "transaction"),
        transaction_index=0,
        log_index=index,
    )


def sync(pool: Address, reserve0: int, reserve1: int) -> Log:
    return make_log(pool, [SYNC_TOPIC], word(reserve0) + word(reserve1))


def mint(pool: Address, lower: int, upper: int, amount: int) -> Log:
    data = word(7) + word(amount) + word(0) + word(0)
    return make_log(pool, [MINT_TOPIC, word(7), word(lower), word(upper)], data)


def burn(pool: Address, lower: int, upper: int, amount: int) -> Log:
    return make_log(pool, [BURN_TOPIC, word(7), word(lower), word(upper)], word(amount) + word(0) + word(0))


def v2_pool(number: int = 2, *, reserves: tuple[int, int] = (10**21, 10**22), fee_pips: int = 3000) -> UniswapV2Pool:
    return UniswapV2Pool(address(number), "uniswap_v2", TOKEN0, TOKEN1, fee_pips, *reserves)


def v3_pool(
    number: int = 3,
    *,
    tick: int = 0,
    spacing: int = 60,
    fee_pips: int = 3000,
    positions: Sequence[tuple[int, int, int]] = (),
) -> UniswapV3Pool:
    """A pool at the price of ``tick`` into which the positions (lower, upper, liquidity) were minted."""
    pool = UniswapV3Pool(
        address=address(number),
        dex="uniswap_v3",
        token0=TOKEN0,
        token1=TOKEN1,
        fee_pips=fee_pips,
        tick_spacing=spacing,
        sqrt_price_x96=get_sqrt_ratio_at_tick(tick),
        tick=tick,
        liquidity=0,
        tick_indices=(),
        liquidity_net=(),
        liquidity_gross=(),
    )
    for lower, upper, amount in positions:
        pool = pool.apply(mint(pool.address, lower, upper, amount))
    return pool
