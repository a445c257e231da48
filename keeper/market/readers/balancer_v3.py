"""Reads pools of Balancer V3, and checks the maths of each on one swap that the Vault is asked about."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from eth_abi.abi import decode, encode
from eth_abi.exceptions import DecodingError

from keeper.domain.errors import InputError
from keeper.domain.token import VenueKind
from keeper.domain.units import Address, to_address
from keeper.market.multicall import MULTICALL3, Call, encode_aggregate3
from keeper.market.readers.answers import (
    Ask,
    Unreadable,
    argument,
    rows,
    selector,
    to_array,
    to_word,
    to_words,
    word_address,
)
from keeper.market.specs import PoolSpec
from keeper.market.venues.balancer_v3 import MAX_DECIMALS
from keeper.market.venues.balancer_v3_stable import IMBALANCE_LIMIT, BalancerV3StablePool
from keeper.market.venues.balancer_v3_weighted import BalancerV3WeightedPool
from keeper.market.venues.base import InsufficientLiquidity, Pool

BalancerPool = BalancerV3WeightedPool | BalancerV3StablePool

_VAULT = selector("getVault()")
_DATA, _CONFIG, _HOOKS = (
    selector("getPoolData(address)"),
    selector("getPoolConfig(address)"),
    selector("getHooksConfig(address)"),
)
_POOL_PAUSED, _VAULT_PAUSED = selector("isPoolPaused(address)"), selector("isVaultPaused()")
_MINIMUM_TRADE = selector("getMinimumTradeAmount()")
_WEIGHTS, _MINIMUM_BALANCES = selector("getNormalizedWeights()"), selector("getMinTokenBalances()")
_AMPLIFICATION = selector("getAmplificationParameter()")
_INVARIANT_TYPES = ("uint256[]", "uint8")
_INVARIANT = selector(f"computeInvariant({','.join(_INVARIANT_TYPES)})")
_DATA_TYPES = ("(bytes32,address[],(uint8,address,bool)[],uint256[],uint256[],uint256[],uint256[])",)
_SWAP_TYPES = ("(uint8,address,address,address,uint256,uint256,bytes)",)
_SWAP, _QUOTE = selector(f"swap({_SWAP_TYPES[0]})"), selector("quote(bytes)")
_DYNAMIC_FEE, _BEFORE_SWAP, _AFTER_SWAP = 3, 4, 5
_LOPSIDED = 10**24
_SHARE_TRIED = 10
_CALLS_A_POOL = 10


async def read(ask: Ask, specs: Sequence[PoolSpec]) -> list[Pool | Unreadable]:
    vaults = [
        _vault(spec, answer)
        for spec, answer in zip(specs, await ask([(s.address, _VAULT) for s in specs]), strict=True)
    ]
    calls = [call for spec, vault in zip(specs, vaults, strict=True) for call in _calls(spec, vault)]
    answers = rows(await ask(calls), _CALLS_A_POOL)
    states = [_state(spec, vault, own) for spec, vault, own in zip(specs, vaults, answers, strict=True)]
    known = [state for state in states if isinstance(state, BalancerPool)]
    trials = iter(await ask([_trial(pool) for pool in known]))
    return [state if isinstance(state, Unreadable) else _agreeing(state, next(trials)) for state in states]


def _vault(spec: PoolSpec, answer: bytes | None) -> Address:
    try:
        return word_address(to_word(answer, "getVault"), "getVault")
    except Unreadable:
        # the pool itself then answers nothing that a Vault does, and is left out for it
        return spec.address


def _calls(spec: PoolSpec, vault: Address) -> list[Call]:
    of_pool = argument(int(spec.address, 16))
    lopsided = _INVARIANT + encode(_INVARIANT_TYPES, [[_LOPSIDED, _LOPSIDED // IMBALANCE_LIMIT], 0])
    return [
        *((vault, function + of_pool) for function in (_DATA, _CONFIG, _HOOKS, _POOL_PAUSED)),
        (vault, _VAULT_PAUSED),
        (vault, _MINIMUM_TRADE),
        *((spec.address, call) for call in (_WEIGHTS, _MINIMUM_BALANCES, _AMPLIFICATION, lopsided)),
    ]


def _state(spec: PoolSpec, vault: Address, answers: Sequence[bytes | None]) -> BalancerPool | Unreadable:
    data, config, hooks, paused, vault_paused, minimum, weights, least, amplification, lopsided = answers
    try:
        hooked = to_words(hooks, 11, "getHooksConfig")
        if any(hooked[flag] for flag in (_DYNAMIC_FEE, _BEFORE_SWAP, _AFTER_SWAP)):
            raise Unreadable("a hook takes part in its swaps")
        settings = to_words(config, 13, "getPoolConfig")
        _, tokens, _, balances, _, rates, scales = decode(_DATA_TYPES, data or b"")[0]
        state: dict[str, Any] = {
            "address": spec.address,
            "dex": spec.dex,
            "vault": vault,
            "tokens": [to_address(token, "getPoolData") for token in tokens],
            "balances": list(balances),
            "rates": list(rates),
            "decimals": [MAX_DECIMALS - (len(str(scale)) - 1) for scale in scales],
            "swap_fee": settings[4],
            "aggregate_fee": settings[5],
            "recovery": bool(settings[12]),
            "paused": bool(to_word(paused, "isPoolPaused") or to_word(vault_paused, "isVaultPaused")),
            "minimum_trade": to_word(minimum, "getMinimumTradeAmount"),
        }
        if spec.venue is VenueKind.BALANCER_V3_WEIGHTED:
            bounds = list(to_array(least, 0, "getMinTokenBalances")) if least else []
            values = list(to_array(weights, 0, "getNormalizedWeights"))
            return BalancerV3WeightedPool.from_json({**state, "weights": values, "minimum_balances": bounds})
        value, ramping, _ = to_words(amplification, 3, "getAmplificationParameter")
        limit = 0 if lopsided else IMBALANCE_LIMIT
        own = {"amplification": value, "ramping": bool(ramping), "imbalance_limit": limit}
        return BalancerV3StablePool.from_json({**state, **own})
    except DecodingError:
        return Unreadable("getPoolData does not answer")
    except (Unreadable, InputError) as error:
        return Unreadable(str(error))


def _tried(pool: BalancerPool) -> int:
    return max(pool.balances[0] // _SHARE_TRIED, 1)


def _trial(pool: BalancerPool) -> Call:
    """A swap without a transaction: the Vault calls back whoever asks for a quote, here Multicall3, which swaps."""
    order = (0, pool.address, pool.tokens[0], pool.tokens[1], _tried(pool), 0, b"")
    swap = encode_aggregate3([(pool.vault, _SWAP + encode(_SWAP_TYPES, [order]))])
    return pool.vault, _QUOTE + encode(["bytes"], [swap])


def _agreeing(pool: BalancerPool, answer: bytes | None) -> Pool | Unreadable:
    try:
        ours = pool.amount_out(pool.tokens[0], _tried(pool), pool.tokens[1])
    except InsufficientLiquidity:
        ours = None
    theirs: int | None = None
    if answer is not None:
        try:
            ((done, result),) = decode(["(bool,bytes)[]"], decode(["bytes"], answer)[0])[0]
            theirs = to_word(result, "swap") if done else None
        except (DecodingError, Unreadable):
            return Unreadable(f"quote does not answer as a Vault that calls {MULTICALL3} back")
    if ours == theirs:
        return pool
    return Unreadable(f"swap pays {theirs} where this kind of pool pays {ours}")
