"""One state of every kind of pool, for tests that hold all of them to the same promises."""

from __future__ import annotations

from typing import Any

from keeper.domain.units import ZERO_ADDRESS, Address
from keeper.market.venues import Pool, load
from tests.market.chain import TOKEN0, TOKEN1, address, v2_pool, v3_pool

TOKEN2 = address(0xC0)
PAIR: dict[str, Any] = {"dex": "somewhere", "token0": TOKEN0, "token1": TOKEN1}
TRIPLE: dict[str, Any] = {"dex": "somewhere", "tokens": [TOKEN1, TOKEN0, TOKEN2]}
ONE = 10**18


def ranged(number: int = 3) -> dict[str, Any]:
    return v3_pool(number, tick=7, positions=[(-600, 600, 10**21), (-60, 120, 10**20)]).to_json()


STATES: list[dict[str, Any]] = [
    v2_pool(2).to_json(),
    ranged(3),
    {**ranged(4), "venue": "pancakeswap_v3"},
    {**ranged(5), "venue": "uniswap_v4", "token0": ZERO_ADDRESS},
    {**PAIR, "venue": "solidly_volatile", "address": address(6), "fee_pips": 3000}
    | {"reserve0": 10**21, "reserve1": 10**22},
    {**PAIR, "venue": "solidly_stable", "address": address(7), "fee_pips": 500}
    | {"reserve0": 10**21, "reserve1": 10**10, "decimals0": 18, "decimals1": 6},
    {**TRIPLE, "venue": "balancer_v2_weighted", "address": address(8), "pool_id": "0x" + "08" * 32}
    | {"swap_fee": 10**15, "balances": [10**22, 10**21, 10**12], "weights": [ONE // 2, ONE // 4, ONE // 4]}
    | {"decimals": [18, 18, 6], "pow_version": "v2"},
    {**TRIPLE, "venue": "balancer_v2_stable", "address": address(9), "pool_id": "0x" + "09" * 32}
    | {"swap_fee": 10**14, "balances": [10**24, 2 * 10**24, 10**12], "amplification": 200_000}
    | {"scaling_factors": [ONE, ONE, 10**30]},
    {**TRIPLE, "venue": "curve_stableswap", "address": address(10), "variant": "v1", "amplification": 100}
    | {"balances": [10**24, 2 * 10**24, 10**12], "rates": [ONE, ONE, 10**30], "fee": 4_000_000},
    {**TRIPLE, "venue": "curve_tricrypto", "address": address(11), "variant": "ng", "decimals": [6, 8, 18]}
    | {"balances": [10**13, 2 * 10**10, 4 * 10**21], "price_scale": [50_000 * ONE, 2_500 * ONE]}
    | {"d": 3 * 10**25, "a": 1_707_629, "gamma": 11_809_167_828_997, "mid_fee": 3_000_000, "out_fee": 30_000_000}
    | {"fee_gamma": 5 * 10**14},
    {**TRIPLE, "venue": "balancer_v3_weighted", "address": address(12), "swap_fee": 10**15, "aggregate_fee": ONE // 2}
    | {"balances": [10**22, 10**21, 10**12], "weights": [ONE // 2, ONE // 4, ONE // 4], "decimals": [18, 18, 6]}
    | {"minimum_balances": [10**6, 10**6, 10**12]},
    {**TRIPLE, "venue": "balancer_v3_stable", "address": address(13), "swap_fee": 10**14, "aggregate_fee": ONE // 2}
    | {"balances": [10**24, 2 * 10**24, 10**12], "decimals": [18, 18, 6], "amplification": 200_000},
]


def pools() -> list[Pool]:
    return [load(state) for state in STATES]


def by_key() -> dict[Address, Pool]:
    return {pool.key: pool for pool in pools()}
