"""Calls of every router that is decoded, drawn at random over given pools, as wallets and aggregators make them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from random import Random
from typing import Any

from keeper.domain.token import VenueKind
from keeper.domain.units import ZERO_ADDRESS, Address
from keeper.market.venues import Pool
from keeper.replica import addresses
from keeper.replica.abi import arguments_of, call_data

SENDER_FLAG, ROUTER_FLAG = (Address(f"0x{number:040x}") for number in (1, 2))
ALL_OF_IT = 1 << 255
NEVER = 2**40
WETH = addresses.WETH.address
ETHER = Address(ZERO_ADDRESS)
KEY = "(address,address,uint24,int24,address)"
V2_ROUTERS = {"uniswap_v2": addresses.UNISWAP_V2_ROUTER.address, "sushiswap": addresses.SUSHI_ROUTER.address}


@dataclass(frozen=True)
class RouterCall:
    """What a wallet signs; ``kind`` says how it was made."""

    kind: str
    to: Address
    data: bytes
    value: int = 0


@dataclass(frozen=True)
class Path:
    pools: tuple[Pool, ...]
    tokens: tuple[Address, ...]

    @property
    def packed(self) -> bytes:
        """As V3's routers have it."""
        text = bytes.fromhex(self.tokens[0][2:])
        for pool, token in zip(self.pools, self.tokens[1:], strict=True):
            text += pool.fee_pips.to_bytes(3, "big") + bytes.fromhex(token[2:])
        return text

    @property
    def reversed(self) -> Path:
        return Path(self.pools[::-1], self.tokens[::-1])


class Draw:
    """Draws calls of ``sender`` over the current states of ``pools``, which the test keeps up to date."""

    def __init__(self, random: Random, pools: Mapping[Address, Pool], sender: Address) -> None:
        self.random = random
        self.pools = pools
        self.sender = sender

    def call(self) -> RouterCall:
        return self.random.choice(KINDS)(self)

    def path(self, venue: VenueKind, dex: str, *, start: Address | None = None, end: Address | None = None) -> Path:
        """One to three different pools of one DEX, each token visited once."""
        usable = [pool for pool in self.pools.values() if pool.venue is venue and pool.dex == dex]
        while True:
            tokens = [start or self._any_token(usable)]
            hops: list[Pool] = []
            for _ in range(self.random.choice((1, 1, 2, 3))):
                next_hops = [
                    (pool, token)
                    for pool in usable
                    if tokens[-1] in (pool.token0, pool.token1)
                    and (token := pool.token1 if pool.token0 == tokens[-1] else pool.token0) not in tokens
                ]
                if not next_hops:
                    break
                pool, token = self.random.choice(next_hops)
                hops.append(pool)
                tokens.append(token)
            if hops and end in (None, tokens[-1]):
                return Path(tuple(hops), tuple(tokens))

    def _any_token(self, pools: list[Pool]) -> Address:
        pool = self.random.choice(pools)
        return self.random.choice((pool.token0, pool.token1))

    def amount(self, pool: Pool, token: Address) -> int:
        return max(1, int(pool.spot_liquidity(token) * 10 ** self.random.uniform(-7, -2.3)))

    def least(self) -> int:
        """Seldom more than any pool pays."""
        return 2**120 if self.random.random() < 0.08 else 0

    def most(self) -> int:
        return 1 if self.random.random() < 0.08 else 2**127


def v2_tokens(draw: Draw) -> RouterCall:
    dex = draw.random.choice(tuple(V2_ROUTERS))
    path = draw.path(VenueKind.UNISWAP_V2, dex)
    tail = (list(path.tokens), draw.sender, NEVER)
    types = "(uint256,uint256,address[],address,uint256)"
    if draw.random.random() < 0.35:
        amount = draw.amount(path.pools[-1], path.tokens[-1])
        data = call_data(f"swapTokensForExactTokens{types}", amount, draw.most(), *tail)
        return RouterCall("v2 exact out", V2_ROUTERS[dex], data)
    suffix = draw.random.choice(("", "SupportingFeeOnTransferTokens"))
    amount = draw.amount(path.pools[0], path.tokens[0])
    data = call_data(f"swapExactTokensForTokens{suffix}{types}", amount, draw.least(), *tail)
    return RouterCall(f"v2 exact in {suffix}", V2_ROUTERS[dex], data)


def v2_ether_in(draw: Draw) -> RouterCall:
    dex = draw.random.choice(tuple(V2_ROUTERS))
    path = draw.path(VenueKind.UNISWAP_V2, dex, start=WETH)
    tail = (list(path.tokens), draw.sender, NEVER)
    value = draw.amount(path.pools[0], WETH)
    types = "(uint256,address[],address,uint256)"
    if draw.random.random() < 0.35:
        amount = draw.amount(path.pools[-1], path.tokens[-1])
        return RouterCall(
            "v2 ether exact out", V2_ROUTERS[dex], call_data(f"swapETHForExactTokens{types}", amount, *tail), 10**21
        )
    suffix = draw.random.choice(("", "SupportingFeeOnTransferTokens"))
    data = call_data(f"swapExactETHForTokens{suffix}{types}", draw.least(), *tail)
    return RouterCall(f"v2 ether in {suffix}", V2_ROUTERS[dex], data, value)


def v2_ether_out(draw: Draw) -> RouterCall:
    dex = draw.random.choice(tuple(V2_ROUTERS))
    path = draw.path(VenueKind.UNISWAP_V2, dex, start=WETH).reversed
    tail = (list(path.tokens), draw.sender, NEVER)
    types = "(uint256,uint256,address[],address,uint256)"
    if draw.random.random() < 0.35:
        amount = draw.amount(path.pools[-1], WETH)
        return RouterCall(
            "v2 exact ether out",
            V2_ROUTERS[dex],
            call_data(f"swapTokensForExactETH{types}", amount, draw.most(), *tail),
        )
    suffix = draw.random.choice(("", "SupportingFeeOnTransferTokens"))
    amount = draw.amount(path.pools[0], path.tokens[0])
    data = call_data(f"swapExactTokensForETH{suffix}{types}", amount, draw.least(), *tail)
    return RouterCall(f"v2 ether out {suffix}", V2_ROUTERS[dex], data)


def _v3_inner(draw: Draw, *, first: bool, recipient: Address, path: Path | None = None) -> tuple[str, bytes]:
    """One call of either SwapRouter."""
    deadline = (NEVER,) if first else ()
    given = path is not None
    path = path or draw.path(VenueKind.UNISWAP_V3, "uniswap_v3")
    single = len(path.pools) == 1
    middle = "uint256," if first else ""
    if draw.random.random() < 0.4 and not given:
        amounts = (draw.amount(path.pools[-1], path.tokens[-1]), draw.most())
        if single:
            types = f"((address,address,uint24,address,{middle}uint256,uint256,uint160))"
            order = (*path.tokens, path.pools[0].fee_pips, recipient, *deadline, *amounts, 0)
            return "exactOutputSingle", call_data(f"exactOutputSingle{types}", order)
        order = (path.reversed.packed, recipient, *deadline, *amounts)
        return "exactOutput", call_data(f"exactOutput((bytes,address,{middle}uint256,uint256))", order)
    amounts = (draw.amount(path.pools[0], path.tokens[0]), 0 if given else draw.least())
    if single:
        pool: Any = path.pools[0]
        limit = 0
        if draw.random.random() < 0.3:
            down = path.tokens[0] == pool.token0
            limit = pool.sqrt_price_x96 * (9_990 if down else 10_010) // 10_000
        types = f"((address,address,uint24,address,{middle}uint256,uint256,uint160))"
        order = (*path.tokens, pool.fee_pips, recipient, *deadline, *amounts, limit)
        return "exactInputSingle", call_data(f"exactInputSingle{types}", order)
    order = (path.packed, recipient, *deadline, *amounts)
    return "exactInput", call_data(f"exactInput((bytes,address,{middle}uint256,uint256))", order)


def v3_first(draw: Draw) -> RouterCall:
    name, data = _v3_inner(draw, first=True, recipient=draw.sender)
    return RouterCall(f"first {name}", addresses.SWAP_ROUTER.address, data)


def v3_first_multicall(draw: Draw) -> RouterCall:
    calls = [_v3_inner(draw, first=True, recipient=draw.sender)[1] for _ in range(2)]
    calls.append(call_data("refundETH()"))
    return RouterCall("first multicall", addresses.SWAP_ROUTER.address, call_data("multicall(bytes[])", calls))


def v3_first_to_ether(draw: Draw) -> RouterCall:
    path = draw.path(VenueKind.UNISWAP_V3, "uniswap_v3", start=WETH).reversed
    _, swap = _v3_inner(draw, first=True, recipient=ETHER, path=path)
    unwrap = call_data("unwrapWETH9(uint256,address)", 0, draw.sender)
    return RouterCall("first to ether", addresses.SWAP_ROUTER.address, call_data("multicall(bytes[])", [swap, unwrap]))


def v3_second(draw: Draw) -> RouterCall:
    name, data = _v3_inner(draw, first=False, recipient=draw.sender)
    return RouterCall(f"second {name}", addresses.SWAP_ROUTER_02.address, data)


def v3_second_carried(draw: Draw) -> RouterCall:
    """V3 into the router, then V2 with all that came of it."""
    path = draw.path(VenueKind.UNISWAP_V3, "uniswap_v3", end=WETH)
    _, swap = _v3_inner(draw, first=False, recipient=ROUTER_FLAG, path=path)
    then = draw.path(VenueKind.UNISWAP_V2, "uniswap_v2", start=WETH)
    types = "(uint256,uint256,address[],address)"
    rest = call_data(f"swapExactTokensForTokens{types}", 0, draw.least(), list(then.tokens), SENDER_FLAG)
    form = draw.random.choice(("multicall(bytes[])", "multicall(uint256,bytes[])"))
    arguments: tuple[Any, ...] = ([swap, rest],)
    if form != "multicall(bytes[])":
        arguments = (NEVER, *arguments)
    return RouterCall("second carried", addresses.SWAP_ROUTER_02.address, call_data(form, *arguments))


def v3_second_pairs(draw: Draw) -> RouterCall:
    path = draw.path(VenueKind.UNISWAP_V2, "uniswap_v2")
    amount = draw.amount(path.pools[-1], path.tokens[-1])
    types = "(uint256,uint256,address[],address)"
    data = call_data(f"swapTokensForExactTokens{types}", amount, draw.most(), list(path.tokens), draw.sender)
    return RouterCall("second pairs", addresses.SWAP_ROUTER_02.address, data)


def universal(kind: str, commands: bytes, inputs: list[bytes], value: int = 0) -> RouterCall:
    data = call_data("execute(bytes,bytes[],uint256)", commands, inputs, NEVER)
    return RouterCall(kind, addresses.UNIVERSAL_ROUTER, data, value)


_SWAP_V3, _SWAP_V2 = "address,uint256,uint256,bytes,bool", "address,uint256,uint256,address[],bool"


def universal_v3(draw: Draw) -> RouterCall:
    path = draw.path(VenueKind.UNISWAP_V3, "uniswap_v3")
    if draw.random.random() < 0.4:
        amounts = (draw.amount(path.pools[-1], path.tokens[-1]), draw.most())
        given = arguments_of(_SWAP_V3, SENDER_FLAG, *amounts, path.reversed.packed, True)
        return universal("universal v3 out", b"\x01", [given])
    amounts = (draw.amount(path.pools[0], path.tokens[0]), draw.least())
    return universal("universal v3 in", b"\x00", [arguments_of(_SWAP_V3, SENDER_FLAG, *amounts, path.packed, True)])


def universal_v2(draw: Draw) -> RouterCall:
    path = draw.path(VenueKind.UNISWAP_V2, "uniswap_v2")
    if draw.random.random() < 0.4:
        amounts = (draw.amount(path.pools[-1], path.tokens[-1]), draw.most())
        given = arguments_of(_SWAP_V2, SENDER_FLAG, *amounts, list(path.tokens), True)
        return universal("universal v2 out", b"\x09", [given])
    amounts = (draw.amount(path.pools[0], path.tokens[0]), draw.least())
    given = arguments_of(_SWAP_V2, SENDER_FLAG, *amounts, list(path.tokens), True)
    return universal("universal v2 in", b"\x08", [given])


def universal_wrapped(draw: Draw) -> RouterCall:
    """Ether is wrapped; half goes through V3, the other half through V2; the wallet's fee stays behind; sweep."""
    v3 = draw.path(VenueKind.UNISWAP_V3, "uniswap_v3", start=WETH)
    v2 = draw.path(VenueKind.UNISWAP_V2, "uniswap_v2", start=WETH)
    value = draw.amount(v2.pools[0], WETH)
    inputs = [
        arguments_of("address,uint256", ROUTER_FLAG, value),
        arguments_of(_SWAP_V3, ROUTER_FLAG, value // 2, 0, v3.packed, False),
        arguments_of("address,address,uint256", v3.tokens[-1], draw.sender, 25),
        arguments_of("address,address,uint256", v3.tokens[-1], SENDER_FLAG, 0),
        arguments_of(_SWAP_V2, SENDER_FLAG, ALL_OF_IT, draw.least(), list(v2.tokens), False),
    ]
    return universal("universal wrapped", b"\x0b\x00\x06\x04\x08", inputs, value)


def universal_pulled(draw: Draw) -> RouterCall:
    """Permit2 brings the input, V3 swaps all of it, a wallet's fee and a fixed payment go off, the rest has to do."""
    path = draw.path(VenueKind.UNISWAP_V3, "uniswap_v3")
    amount = draw.amount(path.pools[0], path.tokens[0])
    token = path.tokens[-1]
    inputs = [
        arguments_of("address,address,uint160", path.tokens[0], ROUTER_FLAG, amount),
        arguments_of(_SWAP_V3, ROUTER_FLAG, ALL_OF_IT, 0, path.packed, False),
        arguments_of("address,address,uint256", token, draw.sender, draw.random.choice((25, 25, 25, 10_001))),
        arguments_of("address,address,uint256", token, draw.sender, 1),
        arguments_of("address,address,uint256", token, SENDER_FLAG, draw.least()),
    ]
    return universal("universal pulled", b"\x02\x00\x06\x05\x04", inputs)


def universal_to_ether(draw: Draw) -> RouterCall:
    """V2 into the router, out of it as ether, part of which V4 takes."""
    path = draw.path(VenueKind.UNISWAP_V2, "uniswap_v2", start=WETH).reversed
    (pool,) = [pool for pool in draw.pools.values() if pool.venue is VenueKind.UNISWAP_V4]
    spacing: Any = pool.tick_spacing  # type: ignore[attr-defined]
    key = (pool.token0, pool.token1, pool.fee_pips, spacing, ETHER)
    settle = arguments_of("address,uint256,bool", ETHER, ALL_OF_IT, False)
    swap = arguments_of(f"({KEY},bool,uint128,uint128,bytes)", (key, True, 0, 0, b""))
    portion = arguments_of("address,address,uint256", pool.token1, draw.sender, 15)
    take = arguments_of("address,address,uint256", pool.token1, SENDER_FLAG, 0)
    inputs = [
        arguments_of(_SWAP_V2, ROUTER_FLAG, draw.amount(path.pools[0], path.tokens[0]), 0, list(path.tokens), True),
        arguments_of("address,uint256", ROUTER_FLAG, draw.least()),
        arguments_of("bytes,bytes[]", b"\x0b\x06\x10\x0e", [settle, swap, portion, take]),
    ]
    return universal("universal to ether", b"\x08\x0c\x10", inputs)


def universal_may_fail(draw: Draw) -> RouterCall:
    """Two swaps, one of which fails and may, alone or within a plan of its own."""
    first, second = (draw.path(VenueKind.UNISWAP_V3, "uniswap_v3") for _ in range(2))
    given = [
        arguments_of(_SWAP_V3, SENDER_FLAG, draw.amount(path.pools[0], path.tokens[0]), least, path.packed, True)
        for path, least in ((first, 2**120), (second, 0))
    ]
    plan = arguments_of("bytes,bytes[]", b"\x00\x00", [given[1], given[0]])
    return universal("universal may fail", b"\xa1\x00", [plan, given[1]])


def universal_v4(draw: Draw) -> RouterCall:
    """The four swaps of V4, with the ways to settle and to take."""
    pool: Any = draw.random.choice([pool for pool in draw.pools.values() if pool.venue is VenueKind.UNISWAP_V4])
    zero_for_one = draw.random.random() < 0.5
    tokens = (pool.token0, pool.token1) if zero_for_one else (pool.token1, pool.token0)
    exact_in, single = draw.random.random() < 0.6, draw.random.random() < 0.5
    if exact_in:
        amounts = (draw.amount(pool, tokens[0]), draw.random.choice((0, 0, 0, 2**120)))
    else:
        amounts = (draw.amount(pool, tokens[1]), draw.random.choice((2**100, 2**100, 2**100, 1)))
    if single:
        key = (pool.token0, pool.token1, pool.fee_pips, pool.tick_spacing, ETHER)
        swap = arguments_of(f"({KEY},bool,uint128,uint128,bytes)", (key, zero_for_one, *amounts, b""))
    else:
        fixed, other = tokens if exact_in else tokens[::-1]
        rows = [(other, pool.fee_pips, pool.tick_spacing, ETHER, b"")]
        types = "(address,(address,uint24,int24,address,bytes)[],uint256[],uint128,uint128)"
        swap = arguments_of(types, (fixed, rows, [], *amounts))
    action = {(True, True): 6, (True, False): 7, (False, True): 8, (False, False): 9}[exact_in, single]
    value = 0
    if tokens[0] == ETHER:
        value = amounts[0] if exact_in else 10**21
    take, take_all = (
        arguments_of("address,address,uint256", tokens[1], SENDER_FLAG, 0),
        arguments_of("address,uint256", tokens[1], 0),
    )
    closing = draw.random.choice(((0x0E, take), (0x0F, take_all)))
    settle = arguments_of("address,uint256,bool", tokens[0], 0, True)
    settle_all = arguments_of("address,uint256", tokens[0], 2**200)
    paying = draw.random.choice(((0x0B, settle), (0x0C, settle_all)))
    actions = [(action, swap), paying, closing]
    plan = arguments_of("bytes,bytes[]", bytes(number for number, _ in actions), [data for _, data in actions])
    kind = f"universal v4 {'in' if exact_in else 'out'} {'single' if single else 'path'}"
    return universal(kind, b"\x10", [plan], value)


def universal_v3_into_v4(draw: Draw) -> RouterCall:
    """V3 brings USDC to the router, which settles all of it and swaps the open claim for ether."""
    (pool,) = [pool for pool in draw.pools.values() if pool.venue is VenueKind.UNISWAP_V4]
    path = draw.path(VenueKind.UNISWAP_V3, "uniswap_v3", end=pool.token1)
    first = arguments_of(_SWAP_V3, ROUTER_FLAG, draw.amount(path.pools[0], path.tokens[0]), 0, path.packed, True)
    spacing: Any = pool.tick_spacing  # type: ignore[attr-defined]
    key = (pool.token0, pool.token1, pool.fee_pips, spacing, ETHER)
    swap = arguments_of(f"({KEY},bool,uint128,uint128,bytes)", (key, False, 0, 0, b""))
    settle = arguments_of("address,uint256,bool", pool.token1, ALL_OF_IT, False)
    take = arguments_of("address,address,uint256", pool.token0, SENDER_FLAG, 0)
    plan = arguments_of("bytes,bytes[]", b"\x0b\x06\x0e", [settle, swap, take])
    return universal("universal v3 into v4", b"\x00\x10", [first, plan])


KINDS: tuple[Callable[[Draw], RouterCall], ...] = (
    v2_tokens,
    v2_tokens,
    v2_ether_in,
    v2_ether_out,
    v3_first,
    v3_first_multicall,
    v3_first_to_ether,
    v3_second,
    v3_second_carried,
    v3_second_pairs,
    universal_v3,
    universal_v2,
    universal_wrapped,
    universal_pulled,
    universal_to_ether,
    universal_may_fail,
    universal_v4,
    universal_v4,
    universal_v3_into_v4,
)
