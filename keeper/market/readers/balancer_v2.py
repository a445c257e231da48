"""Reads pools of Balancer V2, and checks the maths of each on one swap that the Vault is asked about."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from eth_abi.abi import decode, encode
from eth_abi.exceptions import DecodingError

from keeper.domain.errors import InputError
from keeper.domain.token import VenueKind
from keeper.domain.units import ZERO_ADDRESS, Address
from keeper.market.readers.answers import (
    Ask,
    Unreadable,
    argument,
    rows,
    selector,
    to_array,
    to_word,
    word_address,
)
from keeper.market.specs import PoolSpec
from keeper.market.venues import quote
from keeper.market.venues.balancer_v2_stable import BalancerV2StablePool
from keeper.market.venues.balancer_v2_weighted import POW_VERSIONS, BalancerV2WeightedPool
from keeper.market.venues.base import Pool
from keeper.market.venues.fixed_point import FOUR, ONE, TWO, div_down

BalancerPool = BalancerV2WeightedPool | BalancerV2StablePool

_POOL_ID, _VAULT, _FEE = selector("getPoolId()"), selector("getVault()"), selector("getSwapFeePercentage()")
_WEIGHTS, _DECIMALS = selector("getNormalizedWeights()"), selector("decimals()")
_AMPLIFICATION, _SCALING_FACTORS = selector("getAmplificationParameter()"), selector("getScalingFactors()")
_POOL_TOKENS = selector("getPoolTokens(bytes32)")
_QUERY_TYPES = (
    "uint8",
    "(bytes32,uint256,uint256,uint256,bytes)[]",
    "address[]",
    "(address,bool,address,bool)",
)
_QUERY = selector(f"queryBatchSwap({','.join(_QUERY_TYPES)})")
_SHARE_TRIED = 10


async def read(ask: Ask, specs: Sequence[PoolSpec]) -> list[Pool | Unreadable]:
    fields = (_POOL_ID, _VAULT, _FEE, _WEIGHTS, _SCALING_FACTORS, _AMPLIFICATION)
    answers = rows(await ask([(spec.address, field) for spec in specs for field in fields]), len(fields))
    vaults = []
    for spec, (pool_id, vault, *_) in zip(specs, answers, strict=True):
        try:
            target = word_address(to_word(vault, "getVault"), "getVault")
        except Unreadable:
            target = spec.address
        vaults.append((target, _POOL_TOKENS + (pool_id or b"")[:32]))
    held = await ask(vaults)
    states: list[dict[str, Any] | Unreadable] = []
    for spec, own, (holder, _), tokens in zip(specs, answers, vaults, held, strict=True):
        try:
            states.append(_state(spec, holder, own, tokens))
        except Unreadable as error:
            states.append(error)
    wanted = [
        (number, token)
        for number, state in enumerate(states)
        if not isinstance(state, Unreadable)
        for token in state["tokens"]
    ]
    decimals: dict[int, list[bytes | None]] = {}
    for (number, _), answer in zip(wanted, await ask([(token, _DECIMALS) for _, token in wanted]), strict=True):
        decimals.setdefault(number, []).append(answer)
    candidates = [
        state if isinstance(state, Unreadable) else _candidates(state, decimals[number])
        for number, state in enumerate(states)
    ]
    return await _checked(ask, candidates)


def _state(spec: PoolSpec, vault: Address, own: Sequence[bytes | None], pool_tokens: bytes | None) -> dict[str, Any]:
    pool_id, _, fee, weights, factors, amplification = own
    tokens = [word_address(word, "getPoolTokens") for word in to_array(pool_tokens, 0, "getPoolTokens")]
    balances = to_array(pool_tokens, 1, "getPoolTokens")
    if len(balances) != len(tokens):
        raise Unreadable("getPoolTokens answers no balance for each token")
    state: dict[str, Any] = {
        "address": spec.address,
        "dex": spec.dex,
        "vault": vault,
        "pool_id": "0x" + argument(to_word(pool_id, "getPoolId")).hex(),
        "swap_fee": to_word(fee, "getSwapFeePercentage"),
    }
    if spec.venue is VenueKind.BALANCER_V2_WEIGHTED:
        values = to_array(weights, 0, "getNormalizedWeights")
        return {**state, "tokens": tokens, "balances": list(balances), "weights": list(values)}
    values = to_array(factors, 0, "getScalingFactors")
    if len(values) != len(tokens):
        raise Unreadable("getScalingFactors answers no factor for each token")
    traded = [number for number, token in enumerate(tokens) if token != spec.address]
    return {
        **state,
        "tokens": [tokens[number] for number in traded],
        "balances": [balances[number] for number in traded],
        "scaling_factors": [values[number] for number in traded],
        "amplification": to_word(amplification, "getAmplificationParameter"),
    }


def _candidates(state: dict[str, Any], decimals: Sequence[bytes | None]) -> list[BalancerPool] | Unreadable:
    """The pools that it may be: the contract does not tell which powers it multiplies out."""
    try:
        if "amplification" in state:
            return [BalancerV2StablePool.from_json(state)]
        places = [to_word(answer, "decimals") for answer in decimals]
        return [
            BalancerV2WeightedPool.from_json({**state, "decimals": places, "pow_version": version})
            for version in reversed(POW_VERSIONS)
        ]
    except (Unreadable, InputError) as error:
        return Unreadable(str(error))


async def _checked(ask: Ask, candidates: Sequence[list[BalancerPool] | Unreadable]) -> list[Pool | Unreadable]:
    """Of each pool the candidate that agrees with the Vault on a swap of a tenth of a balance."""
    asked = [pools for pools in candidates if not isinstance(pools, Unreadable)]
    trials = [_trial(pools[0]) for pools in asked]
    answers = iter(
        zip(
            trials,
            await ask([(pools[0].vault, _query(pools[0], *trial)) for pools, trial in zip(asked, trials, strict=True)]),
            strict=True,
        )
    )
    return [pools if isinstance(pools, Unreadable) else _agreeing(pools, *next(answers)) for pools in candidates]


def _agreeing(pools: Sequence[BalancerPool], trial: tuple[int, int, int], answer: bytes | None) -> Pool | Unreadable:
    i, j, amount = trial
    try:
        (deltas,) = decode(["int256[]"], answer or b"")
    except DecodingError:
        return Unreadable("queryBatchSwap does not answer")
    for pool in pools:
        if quote(pool.pair(pool.tokens[i], pool.tokens[j]), pool.tokens[i], amount) == -deltas[1]:
            return pool
    return Unreadable("queryBatchSwap pays otherwise than this kind of pool")


def _trial(pool: BalancerPool) -> tuple[int, int, int]:
    """Two tokens, where the contract's versions differ if there are such, and an amount of the first."""
    count = len(pool.tokens)
    chosen = (0, 1)
    if isinstance(pool, BalancerV2WeightedPool):
        weights = pool.weights
        pairs = [(i, j) for i in range(count) for j in range(count) if i != j]
        chosen = next((p for p in pairs if div_down(weights[p[0]], weights[p[1]]) in (ONE, TWO, FOUR)), chosen)
    return *chosen, max(pool.balances[chosen[0]] // _SHARE_TRIED, 1)


def _query(pool: BalancerPool, i: int, j: int, amount: int) -> bytes:
    given_in = 0
    steps = [(bytes.fromhex(pool.pool_id[2:]), 0, 1, amount, b"")]
    funds = (ZERO_ADDRESS, False, ZERO_ADDRESS, False)
    return _QUERY + encode(_QUERY_TYPES, [given_in, steps, [pool.tokens[i], pool.tokens[j]], funds])
