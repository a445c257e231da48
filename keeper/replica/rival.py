"""A competing searcher: two-hop loops between V2 pools from its own inventory, sent as bundles to the same builder."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import permutations
from random import Random

from eth_account import Account
from eth_account.signers.local import LocalAccount

from keeper.domain.token import VenueKind
from keeper.domain.units import WAD, Address, to_address
from keeper.replica.abi import call_data
from keeper.replica.bundle_simulation import BlockContext
from keeper.replica.bundles import Bundle, SignedTransaction
from keeper.replica.pool_state import MarketState, TradedPool, read_market, v2_amount_out, v2_loop_optimum
from keeper.replica.rpc import Rpc
from keeper.replica.swaps import GWEI, V2_ROUTERS, derived_key, sign, swap_call

_INVENTORY = 2_000 * WAD
_FUNDS = 10_000 * WAD
_HOP_GAS = 125_000
_DEADLINE_SECONDS = 600
_TAKES_PART = 0.7
_BID_SHARES = (0.05, 0.9)
_ALLOWANCE = 2**256 - 1


@dataclass(frozen=True, slots=True)
class _Loop:
    first: TradedPool
    second: TradedPool
    token: Address
    amount_in: int
    between: int
    amount_out: int

    @property
    def profit(self) -> int:
        return self.amount_out - self.amount_in


class Rival:
    """Sees what the keeper sees, skips some blocks, and bids a random share of its profit: it wins some races.

    Its two swaps are two transactions of one bundle; the second fails, and with it the bundle, when prices have moved.
    """

    def __init__(self, rpc: Rpc, pools: Sequence[TradedPool], *, seed: int, chain_id: int, weth: Address) -> None:
        self._rpc = rpc
        self._account: LocalAccount = Account.from_key(derived_key("rival"))
        self.address = to_address(self._account.address, "rival")
        self._seed = seed
        self._chain_id = chain_id
        self._weth = weth
        self._pools = tuple(
            pool
            for pool in pools
            if pool.venue is VenueKind.UNISWAP_V2 and pool.dex in V2_ROUTERS and weth in pool.tokens
        )

    async def start(self, base_fee: int) -> tuple[SignedTransaction, ...]:
        """Fund the account; returns the transactions that wrap its ether and approve the routers."""
        await self._rpc("anvil_setBalance", self.address, hex(_INVENTORY + _FUNDS))
        nonce = await self._nonce()
        max_fee = 4 * base_fee + GWEI
        setup = [
            sign(
                self._account,
                self._chain_id,
                nonce,
                self._weth,
                call_data("deposit()"),
                gas=60_000,
                tip=GWEI,
                max_fee=max_fee,
                value=_INVENTORY,
            )
        ]
        tokens = dict.fromkeys(token for pool in self._pools for token in pool.tokens)
        for token in tokens:
            for router in V2_ROUTERS.values():
                setup.append(
                    sign(
                        self._account,
                        self._chain_id,
                        nonce + len(setup),
                        token,
                        call_data("approve(address,uint256)", router, _ALLOWANCE),
                        gas=80_000,
                        tip=GWEI,
                        max_fee=max_fee,
                    )
                )
        return tuple(setup)

    async def bundles(self, context: BlockContext) -> tuple[Bundle, ...]:
        """Its bundle for the block ``context``, if it finds a loop that pays and takes part at all."""
        random = Random(f"rival {self._seed} {context.number}")
        takes_part, share = random.random() < _TAKES_PART, random.uniform(*_BID_SHARES)
        if not takes_part:
            return ()
        state = await read_market(self._rpc, self._pools, (self.address,), (self._weth,))
        budget = state.balances[self.address, self._weth]
        base_cost = 2 * _HOP_GAS * context.base_fee
        loop = max(self._loops(state, budget), key=lambda found: (found.profit, found.first.address), default=None)
        if loop is None or loop.profit <= base_cost:
            return ()
        tip = int((loop.profit - base_cost) * share) // (2 * _HOP_GAS)
        nonce = await self._nonce()
        hops = (
            (loop.first, self._weth, loop.token, loop.amount_in, loop.between),
            (loop.second, loop.token, self._weth, loop.between, loop.amount_in),
        )
        transactions = []
        for offset, (pool, token_in, token_out, amount_in, minimum) in enumerate(hops):
            to, data, gas = swap_call(
                pool, token_in, token_out, amount_in, minimum, self.address, context.timestamp + _DEADLINE_SECONDS
            )
            transactions.append(
                sign(
                    self._account,
                    self._chain_id,
                    nonce + offset,
                    to,
                    data,
                    gas=gas,
                    tip=tip,
                    max_fee=2 * context.base_fee + tip,
                )
            )
        return (Bundle(tuple(transactions), context.number, self.address),)

    def _loops(self, state: MarketState, budget: int) -> Iterator[_Loop]:
        for first, second in permutations(self._pools, 2):
            if set(first.tokens) != set(second.tokens):
                continue
            token = first.token1 if first.token0 == self._weth else first.token0
            if first.address not in state.depths or second.address not in state.depths:
                continue
            outward = _reserves(state, first, self._weth)
            homeward = _reserves(state, second, token)
            amount_in = min(v2_loop_optimum(outward, homeward), budget)
            if amount_in > 0:
                between = v2_amount_out(amount_in, *outward)
                yield _Loop(first, second, token, amount_in, between, v2_amount_out(between, *homeward))

    async def _nonce(self) -> int:
        return int(await self._rpc("eth_getTransactionCount", self.address, "latest"), 16)


def _reserves(state: MarketState, pool: TradedPool, token_in: Address) -> tuple[int, int]:
    depth = state.depths[pool.address]
    return (depth.reserve0, depth.reserve1) if token_in == pool.token0 else (depth.reserve1, depth.reserve0)
