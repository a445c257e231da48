"""Pool maths and the book against what mainnet answered."""

from __future__ import annotations

from eth_utils.crypto import keccak

from keeper.domain.chain import Log
from keeper.domain.units import Address, to_address
from keeper.market.book import Book
from keeper.market.venues import InsufficientLiquidity, UniswapV2Pool
from keeper.market.venues.uniswap_v2 import get_amount_in, get_amount_out
from tests.market import recorded
from tests.market.chain import block_event, header

V2_SWAP_TOPIC = keccak(text="Swap(address,uint256,uint256,uint256,uint256,address)")
LARGEST = 2**255 - 1


def test_every_recorded_v2_swap_pays_at_most_what_the_library_says() -> None:
    swaps = recorded.v2_swaps(recorded.folder("getAmountOut equals the library's answer for 171 mainnet swaps"))
    assert len(swaps) > 100
    for swap in swaps:
        amount_in, reserves = int(swap["amountIn"]), (int(swap["reserveIn_pre"]), int(swap["reserveOut_pre"]))
        quoted = get_amount_out(amount_in, *reserves)
        assert quoted == int(swap["getAmountOut_30bps"]), swap["tx"]
        assert (quoted == int(swap["amountOut"])) == (swap["relation"] == "eq"), swap["tx"]
        assert get_amount_in(quoted, *reserves) <= amount_in + 1


def test_every_recorded_v3_swap_comes_out_to_the_wei() -> None:
    swaps = recorded.v3_swaps(recorded.folder("43 mainnet swaps of V3 pools come out to the wei"))
    assert sum(swap["crosses_initialized_tick"] for swap in swaps) >= 4
    limited = 0
    for swap in swaps:
        pool, zero_for_one = recorded.pool_before(swap), swap["zeroForOne"]
        amounts = int(swap["amount0"]), int(swap["amount1"])
        amount_in, amount_out = max(amounts), -min(amounts)
        after = int(swap["post_sqrtPriceX96"]), int(swap["post_liquidity"])
        # the log does not say which of the two it was
        ours = [pool.swap(zero_for_one, amount_in), pool.swap(zero_for_one, -amount_out)]
        if after[0] not in (ours[0].sqrt_price_x96, ours[1].sqrt_price_x96):
            ours = [pool.swap(zero_for_one, LARGEST, after[0])]
            limited += 1
        told = [result[:4] for result in ours]  # the log of the time has no tick
        assert (amount_in, amount_out, *after) in told, swap["tx"]
    assert limited <= 2, "a swap up to a price limit is rare"


def test_a_whole_v3_pool_answers_as_the_quoter() -> None:
    pool, answers = recorded.wbtc_weth(recorded.folder("80 answers of QuoterV2 come out to the wei"))
    token = {"WBTC": pool.token0, "WETH": pool.token1}
    whole = {answer[:3]: answer[4] for answer in answers if answer[3] == LARGEST}
    compared = 0
    for function, symbol_in, symbol_out, amount, answer in answers:
        try:
            if function == "quoteExactInputSingle":
                ours = pool.amount_out(token[symbol_in], amount)
            else:
                ours = pool.amount_in(token[symbol_out], amount)
        except InsufficientLiquidity:
            # the quoter then answers for the part that the pool can take, up to its last price
            assert answer == whole[function, symbol_in, symbol_out]
            continue
        assert ours == answer, (function, symbol_in, symbol_out, amount)
        assert amount < LARGEST
        compared += 1
    assert compared >= 60


def test_the_book_follows_the_logs_of_real_blocks() -> None:
    data = recorded.folder("the book has the reserves before each swap of the recorded blocks")
    swaps = recorded.v2_swaps(data)
    compared = 0
    for number in recorded.block_numbers(data):
        pools: dict[Address, UniswapV2Pool] = {pool.address: pool for pool in recorded.pools_at_start(data, number)}
        logs = list(recorded.receipts_logs(data, number))
        for swap in (swap for swap in swaps if int(swap["block"]) == number):
            address = to_address(swap["pool"], "pool")
            at = place_of_swap(logs, int(swap["tx_index"]), address, int(swap["amountOut"]))
            book = Book(pools, {}, header(number - 1))
            # the swap's own Sync stands right before it
            book.apply(block_event(number, logs=logs[: at - 1]))
            assert not book.quarantined
            pool = book.pools[address]
            assert isinstance(pool, UniswapV2Pool)
            reserves = (pool.reserve0, pool.reserve1) if swap["zeroForOne"] == "1" else (pool.reserve1, pool.reserve0)
            assert reserves == (int(swap["reserveIn_pre"]), int(swap["reserveOut_pre"])), swap["tx"]
            compared += 1
    assert compared > 50


def place_of_swap(logs: list[Log], transaction_index: int, pool: Address, amount_out: int) -> int:
    """Index of the pool's ``Swap`` that pays ``amount_out``."""
    (place,) = (
        at
        for at, log in enumerate(logs)
        if (log.transaction_index, log.address, log.topics[:1]) == (transaction_index, pool, (V2_SWAP_TOPIC,))
        and amount_out in (int.from_bytes(log.data[64:96], "big"), int.from_bytes(log.data[96:128], "big"))
    )
    return place
