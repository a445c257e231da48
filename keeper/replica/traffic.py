"""Ordinary trading on the replica: a seeded flow of swaps through the real routers by accounts of its own."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from random import Random

from eth_account import Account
from eth_account.hdaccount import key_from_seed, seed_from_mnemonic
from eth_account.signers.local import LocalAccount

from keeper.domain.token import Token, VenueKind
from keeper.domain.units import WAD, Address, to_address
from keeper.replica.abi import call_data
from keeper.replica.bundle_simulation import BlockContext
from keeper.replica.bundles import SignedTransaction
from keeper.replica.pool_state import MarketState, TradedPool, read_market
from keeper.replica.prices import SMALL, VOLATILITY_BY_SYMBOL, PriceProcess, anchor_prices
from keeper.replica.rpc import Rpc
from keeper.replica.swaps import GWEI, QUOTER_V2, V2_ROUTERS, is_v3, sign, swap_call

_DEADLINE_SECONDS = 1_200
_SLIPPAGE_BPS = 300
_DEV_MNEMONIC = "test test test test test test test test test test test junk"
_TRADERS = range(2, 10)
_WORST_QUOTE_BPS, _QUOTES = 100, 4
_LARGEST_MOVE = 0.012
_PUBLIC_SHARE = 0.4
_WALLET_SHARE = 0.5


@dataclass(frozen=True, slots=True)
class Habits:
    """How much is traded; the defaults give about thirteen swaps a block.

    Attributes:
        informed: mean number of traders a block who move a pool toward its view of the fair price.
        retail: mean number of traders who trade for reasons of their own, either way.
        follow_median, follow_spread: share of the way to its view that an informed trade goes: a log-normal draw.
        retail_ether_median, retail_spread: value of a retail trade in ether, log-normal.
    """

    informed: float = 10.0
    retail: float = 3.0
    follow_median: float = 0.8
    follow_spread: float = 0.5
    retail_ether_median: float = 0.8
    retail_spread: float = 1.2


@dataclass(frozen=True, slots=True)
class SlotTraffic:
    """The transactions of one slot: those for the public mempool, in order, and those only the builder gets."""

    public: tuple[SignedTransaction, ...]
    private: tuple[SignedTransaction, ...]


@dataclass(frozen=True, slots=True)
class _Swap:
    pool: TradedPool
    zero_for_one: bool
    amount_in: int
    expected_out: int

    @property
    def token_in(self) -> Address:
        return self.pool.token0 if self.zero_for_one else self.pool.token1

    @property
    def token_out(self) -> Address:
        return self.pool.token1 if self.zero_for_one else self.pool.token0


class Traffic:
    """Makes the swaps of each slot; the same seed on the same chain gives the same transactions.

    Args:
        traders: accounts that hold the tokens and have approved the routers.
        weth: numeraire of the price process.
    """

    def __init__(
        self,
        rpc: Rpc,
        pools: Sequence[TradedPool],
        tokens: Sequence[Token],
        traders: Sequence[LocalAccount],
        *,
        seed: int,
        chain_id: int,
        weth: Address,
        habits: Habits | None = None,
    ) -> None:
        self._rpc = rpc
        self._pools = tuple(
            pool for pool in pools if (pool.venue is VenueKind.UNISWAP_V2 and pool.dex in V2_ROUTERS) or is_v3(pool)
        )
        self._symbols = {token.address: token.symbol for token in tokens}
        self._traders = {to_address(trader.address, "trader"): trader for trader in traders}
        self._seed = seed
        self._chain_id = chain_id
        self._weth = weth
        self._habits = habits or Habits()
        self._ether_values: dict[Address, float] = {}
        self._prices: PriceProcess | None = None

    async def start(self) -> None:
        """Take the pools' prices of this moment as the fair ones that the market returns to."""
        state = await read_market(self._rpc, self._pools)
        anchors = anchor_prices(self._pools, state, self._weth)
        self._pools = tuple(pool for pool in self._pools if pool.address in state.depths and pool.token0 in anchors)
        self._ether_values = {token: math.exp(value) for token, value in anchors.items()}
        volatility = {
            token: VOLATILITY_BY_SYMBOL.get(self._symbols.get(token, ""), SMALL)
            for token in anchors
            if token != self._weth
        }
        self._prices = PriceProcess(self._seed, anchors, volatility, self._pools)

    async def slot(self, context: BlockContext) -> SlotTraffic:
        """The transactions for the block ``context``; call once for each block."""
        if self._prices is None:
            raise RuntimeError("start() the traffic first")
        self._prices.step()
        random = Random(f"traffic {self._seed} {context.number}")
        state = await read_market(self._rpc, self._pools, tuple(self._traders), tuple(self._ether_values))
        swaps = self._informed(random, state, self._prices) + self._retail(random, state)
        random.shuffle(swaps)
        public_count = sum(random.random() < _PUBLIC_SHARE for _ in swaps)
        nonces = await self._free_nonces()
        balances = dict(state.balances)
        quoted = [swap for wanted in swaps if (swap := await self._quoted(wanted)) is not None]
        signed = [tx for swap in quoted if (tx := self._sign(random, context, swap, nonces, balances)) is not None]
        return SlotTraffic(tuple(signed[:public_count]), tuple(signed[public_count:]))

    def _informed(self, random: Random, state: MarketState, prices: PriceProcess) -> list[_Swap]:
        """Trades that take pools toward their view; the farther a pool is off for its fee, the likelier one comes."""
        gaps = {}
        for pool in self._pools:
            depth = state.depths.get(pool.address)
            if depth is not None:
                gaps[pool] = prices.view(pool) - math.log(depth.price)
        pools = list(gaps)
        weights = [min(abs(gaps[pool]) * 1e6 / pool.fee_pips, 10.0) + 0.05 for pool in pools]
        swaps = []
        for pool in _draw_distinct(random, pools, weights, _poisson(random, self._habits.informed)):
            share = math.exp(random.gauss(math.log(self._habits.follow_median), self._habits.follow_spread))
            move = max(-_LARGEST_MOVE, min(_LARGEST_MOVE, gaps[pool] * min(share, 1.3)))
            swaps.append(_swap_by_move(pool, state, move))
        return [swap for swap in swaps if swap.expected_out > 0]

    def _retail(self, random: Random, state: MarketState) -> list[_Swap]:
        swaps = []
        for _ in range(_poisson(random, self._habits.retail)):
            pool = self._pools[random.randrange(len(self._pools))]
            ether = math.exp(random.gauss(math.log(self._habits.retail_ether_median), self._habits.retail_spread))
            zero_for_one = random.random() < 0.5
            token = pool.token0 if zero_for_one else pool.token1
            amount = int(ether * WAD / self._ether_values[token])
            if pool.address in state.depths:
                swap = _swap_by_amount(pool, state, zero_for_one, amount)
                if swap is not None and swap.expected_out > 0:
                    swaps.append(swap)
        return swaps

    async def _quoted(self, swap: _Swap) -> _Swap | None:
        """The swap with its output as quoted; a V3 swap that runs out of liquidity is made smaller, or not at all."""
        if not is_v3(swap.pool):
            return swap
        for _ in range(_QUOTES):
            parameters = (swap.token_in, swap.token_out, swap.amount_in, swap.pool.fee_pips, 0)
            data = call_data("quoteExactInputSingle((address,address,uint256,uint24,uint160))", parameters)
            answer = await self._rpc("eth_call", {"to": QUOTER_V2, "data": "0x" + data.hex()}, "latest")
            quote = int(answer[2:66], 16)
            if quote * 10_000 >= swap.expected_out * (10_000 - _WORST_QUOTE_BPS):
                return replace(swap, expected_out=quote)
            swap = replace(swap, amount_in=swap.amount_in // 2, expected_out=swap.expected_out // 2)
        return None

    async def _free_nonces(self) -> dict[Address, int]:
        """Next nonces of the traders that have nothing pending from an earlier slot."""
        content = await self._rpc("txpool_content")
        busy = {sender.lower() for part in content.values() for sender in part}
        return {
            trader: int(await self._rpc("eth_getTransactionCount", trader, "latest"), 16)
            for trader in self._traders
            if trader.lower() not in busy
        }

    def _sign(
        self,
        random: Random,
        context: BlockContext,
        swap: _Swap,
        nonces: dict[Address, int],
        balances: dict[tuple[Address, Address], int],
    ) -> SignedTransaction | None:
        """Give the swap to the trader with most of the token; None when nobody has enough of it."""
        if not nonces:
            return None
        tip = int(GWEI * math.exp(random.gauss(math.log(0.2), 0.8)))
        trader = max(nonces, key=lambda owner: (balances[owner, swap.token_in], owner))
        if swap.amount_in > balances[trader, swap.token_in] * _WALLET_SHARE:
            return None
        balances[trader, swap.token_in] -= swap.amount_in
        nonce = nonces[trader]
        nonces[trader] += 1
        to, data, gas = swap_call(
            swap.pool,
            swap.token_in,
            swap.token_out,
            swap.amount_in,
            swap.expected_out * (10_000 - _SLIPPAGE_BPS) // 10_000,
            trader,
            context.timestamp + _DEADLINE_SECONDS,
        )
        return sign(
            self._traders[trader], self._chain_id, nonce, to, data, gas=gas, tip=tip, max_fee=2 * context.base_fee + tip
        )


def _swap_by_move(pool: TradedPool, state: MarketState, move: float) -> _Swap:
    """The swap that moves the logarithmic price of ``pool`` by ``move``: reserves go with the root of the price."""
    depth = state.depths[pool.address]
    zero_for_one = move < 0
    reserve_in, reserve_out = (depth.reserve0, depth.reserve1) if zero_for_one else (depth.reserve1, depth.reserve0)
    growth = math.expm1(abs(move) / 2)
    amount_in = int(reserve_in * growth / (1 - pool.fee_pips / 1e6))
    expected = reserve_out * growth / (1 + growth)
    return _Swap(pool, zero_for_one, amount_in, int(expected))


def _swap_by_amount(pool: TradedPool, state: MarketState, zero_for_one: bool, amount_in: int) -> _Swap | None:
    """The swap of ``amount_in``; None when it is too large for the pool."""
    depth = state.depths[pool.address]
    reserve_in, reserve_out = (depth.reserve0, depth.reserve1) if zero_for_one else (depth.reserve1, depth.reserve0)
    charged = amount_in * (1 - pool.fee_pips / 1e6)
    if charged > reserve_in * _LARGEST_MOVE / 2:
        return None
    expected = reserve_out * charged / (reserve_in + charged)
    return _Swap(pool, zero_for_one, amount_in, int(expected))


def _draw_distinct(random: Random, pools: list[TradedPool], weights: list[float], count: int) -> list[TradedPool]:
    """Weighted draw without replacement (Efraimidis and Spirakis: the largest ``u ** (1 / weight)``)."""
    keys = [(math.log(random.random() or 1e-300) / weight, pool) for pool, weight in zip(pools, weights, strict=True)]
    keys.sort(key=lambda item: (-item[0], item[1].address))
    return [pool for _, pool in keys[:count]]


def _poisson(random: Random, mean: float) -> int:
    """A Poisson draw (Knuth: count uniform factors until their product falls below e^-mean)."""
    count, product, limit = 0, random.random(), math.exp(-mean)
    while product > limit:
        count += 1
        product *= random.random()
    return count


def trader_accounts() -> list[LocalAccount]:
    """anvil's well-known development accounts 2 to 9."""
    seed = seed_from_mnemonic(_DEV_MNEMONIC, "")
    return [Account.from_key(key_from_seed(seed, f"m/44'/60'/0'/0/{index}")) for index in _TRADERS]
