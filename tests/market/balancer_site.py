"""Further pools of Balancer V2 for tests: created on a replica from the protocol's published bytecode, and filled."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from keeper.config import load_settings
from keeper.domain.token import VenueKind
from keeper.domain.units import ZERO_ADDRESS, Address, to_address
from keeper.market.specs import PoolSpec
from keeper.replica.abi import arguments_of
from keeper.replica.addresses import BALANCER_VAULT, TRADERS
from keeper.replica.artifacts import Artifacts, Pin, fetch, load_pins
from tests.conftest import RunningReplica
from tests.replica.chain import Chain

_PACKAGE = "@balancer-labs/v2-deployments"
_WEIGHTED = "dist/tasks/20230206-weighted-pool-v3/artifact/WeightedPool.json"
_STABLE = "dist/tasks/20230206-composable-stable-pool-v3/artifact/ComposableStablePool.json"
_UNLIMITED = 2**256 - 1
_BPS = 10**14
_DAY = 86_400
TRADER = TRADERS[0]
RATE = 1_050_000_000_000_000_000


def answers(value: int) -> bytes:
    """Init code of a contract that answers every call with one word."""
    runtime = b"\x7f" + value.to_bytes(32, "big") + bytes.fromhex("60005260206000f3")
    return b"\x60" + bytes([len(runtime)]) + bytes.fromhex("80600b6000396000f3") + b"" + runtime


@dataclass(frozen=True, slots=True)
class BalancerSite:
    """Places of the pools: weighted ones of the later kind with two and three tokens, and a composable stable one."""

    weighted: tuple[PoolSpec, ...]
    stable: PoolSpec


def artifacts(replica: RunningReplica) -> Artifacts:
    ours = load_pins()[_PACKAGE]
    return replica.background.run(fetch(load_settings().home, [Pin(ours.spec, ours.integrity, (_WEIGHTED, _STABLE))]))


def build(replica: RunningReplica) -> BalancerSite:
    chain, code = Chain(replica), artifacts(replica)
    token = {symbol: entry["address"] for symbol, entry in replica.tokens.items()}
    no_fees, rate = chain.create(answers(0)), chain.create(answers(RATE))
    for symbol in ("USDC", "WETH", "DAI", "LINK"):
        chain.execute(token[symbol], "approve(address,uint256)", BALANCER_VAULT, _UNLIMITED, sender=TRADER)

    def weighted(parts: Sequence[tuple[str, int, int]], fee_bps: int) -> PoolSpec:
        rows = sorted((int(token[symbol], 16), token[symbol], percent, held) for symbol, percent, held in parts)
        tokens = [row[1] for row in rows]
        nobody = [ZERO_ADDRESS] * len(rows)
        params = ("P", "P", tokens, [row[2] * 10**16 for row in rows], nobody, nobody, fee_bps * _BPS)
        arguments = arguments_of(
            "(string,string,address[],uint256[],address[],address[],uint256),address,address,uint256,uint256,address,string",
            *(params, BALANCER_VAULT, no_fees, 90 * _DAY, 30 * _DAY, ZERO_ADDRESS, ""),
        )
        pool = chain.create(code.creation_code(_PACKAGE, _WEIGHTED) + arguments)
        _join(chain, pool, tokens, [row[3] for row in rows])
        return PoolSpec(pool, VenueKind.BALANCER_V2_WEIGHTED, "balancer_v2")

    def stable(parts: Sequence[tuple[str, Address, int]], amplification: int, fee_bps: int) -> PoolSpec:
        rows = sorted((int(token[symbol], 16), token[symbol], provider, held) for symbol, provider, held in parts)
        tokens = [row[1] for row in rows]
        params = (
            *(BALANCER_VAULT, no_fees, "S", "S", tokens, [row[2] for row in rows], [0] * len(rows)),
            *([False] * len(rows), amplification, fee_bps * _BPS, 90 * _DAY, 30 * _DAY, ZERO_ADDRESS, ""),
        )
        types = (
            "(address,address,string,string,address[],address[],uint256[],bool[],uint256,uint256,uint256,uint256,"
            "address,string)"
        )
        pool = chain.create(code.creation_code(_PACKAGE, _STABLE) + arguments_of(types, params))
        held = {row[1]: row[3] for row in rows}
        everything = sorted([*tokens, pool], key=lambda address: int(address, 16))
        _join(chain, pool, everything, [held.get(address, 0) for address in everything])
        return PoolSpec(pool, VenueKind.BALANCER_V2_STABLE, "balancer_v2")

    ether, dollar = 10**18, 10**6
    return BalancerSite(
        weighted=(
            weighted([("USDC", 20, 500_000 * dollar), ("WETH", 80, 600 * ether)], 30),
            weighted([("USDC", 25, 400_000 * dollar), ("WETH", 50, 300 * ether), ("LINK", 25, 20_000 * ether)], 10),
        ),
        stable=stable(
            [
                ("USDC", ZERO_ADDRESS, 900_000 * dollar),
                ("DAI", ZERO_ADDRESS, 1_100_000 * ether),
                ("LINK", rate, 800_000 * ether),
            ],
            200,
            4,
        ),
    )


def _join(chain: Chain, pool: Address, tokens: Sequence[str], amounts: Sequence[int]) -> None:
    pool_id = chain.read(pool, "getPoolId()", "bytes32")
    first_join = arguments_of("uint256,uint256[]", 0, list(amounts))
    request = ([to_address(token, "token") for token in tokens], [_UNLIMITED] * len(tokens), first_join, False)
    chain.execute(
        BALANCER_VAULT,
        "joinPool(bytes32,address,address,(address[],uint256[],bytes,bool))",
        *(pool_id, TRADER, TRADER, request),
        sender=TRADER,
    )
