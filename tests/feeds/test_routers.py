"""Decoding of router calls: fields, strictness, and that no calldata whatever gets more out of it than a refusal."""

from __future__ import annotations

import time
from dataclasses import replace
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keeper.domain.pending import (
    Batch,
    Carried,
    IntendedSwap,
    Intent,
    OtherStep,
    Payment,
    PendingTransaction,
    PortionPayment,
    Settle,
    Sweep,
    Take,
    Undecodable,
    Unwrap,
    Wrap,
)
from keeper.domain.token import VenueKind
from keeper.domain.units import ZERO_ADDRESS, Address, Hash32, Wei
from keeper.market.effects import apply_intent
from keeper.market.routers import Decoder, mainnet
from keeper.market.venues import Pool, UniswapV4Pool, load
from keeper.market.venues.uniswap_v4 import to_pool_id
from keeper.replica import addresses
from keeper.replica.abi import arguments_of, call_data
from tests.feeds.router_calls import (
    ALL_OF_IT,
    ETHER,
    KEY,
    KINDS,
    NEVER,
    ROUTER_FLAG,
    SENDER_FLAG,
    WETH,
    Draw,
    RouterCall,
    universal,
)
from tests.market.chain import address, v2_pool, v3_pool

SENDER = addresses.TRADERS[0]
USDC, USDT, DAI = addresses.USDC.address, addresses.USDT.address, addresses.DAI
DECODE = Decoder(mainnet())
ROUTERS = tuple(DECODE._by_address)


def sent(to: Address | None, data: bytes, value: int = 0) -> PendingTransaction:
    return PendingTransaction(
        hash=Hash32("0x" + "00" * 32),
        sender=SENDER,
        to=to,
        nonce=1,
        value=Wei(value),
        data=data,
        gas=10**6,
        max_fee=Wei(1),
        priority_fee=Wei(1),
        seen_at=0,
    )


def decode(call: RouterCall) -> Intent:
    intent = DECODE(sent(call.to, call.data, call.value))
    assert isinstance(intent, Intent), intent
    return intent


def only_swap(intent: Intent) -> IntendedSwap:
    (swap,) = intent.swaps
    return swap


def some_pools() -> dict[Address, Pool]:
    """Pools that give calls their tokens, fees and sizes: triangles of each kind, and one of V4."""
    tokens = sorted((WETH, USDC, USDT, DAI), key=lambda token: int(token, 16))
    pools: dict[Address, Pool] = {}
    number = 100
    for at, token0 in enumerate(tokens):
        for token1 in tokens[at + 1 :]:
            number += 10
            pair = {"token0": token0, "token1": token1}
            pools[address(number)] = replace(v2_pool(number), **pair)
            pools[address(number + 1)] = replace(v2_pool(number + 1), dex="sushiswap", **pair)
            pools[address(number + 2)] = replace(v3_pool(number + 2, positions=[(-6000, 6000, 10**21)]), **pair)
    base = v3_pool(9, spacing=10, fee_pips=500, positions=[(-6000, 6000, 10**21)])
    fields = {name: getattr(base, name) for name in base.__dataclass_fields__}
    fields |= {"token0": Address(ZERO_ADDRESS), "token1": USDC, "address": addresses.POOL_MANAGER, "dex": "uniswap_v4"}
    pool_id = to_pool_id(Address(ZERO_ADDRESS), USDC, 500, 10)
    pools[Address(pool_id)] = UniswapV4Pool(**fields, pool_id=pool_id, protocol_fee=0)
    return pools


DRAW = Draw(Random(7), some_pools(), SENDER)
CALLS = [kind(DRAW) for kind in KINDS for _ in range(8)]


def test_pools_are_found_at_their_mainnet_addresses() -> None:
    types = "(uint256,uint256,address[],address,uint256)"
    data = call_data(f"swapExactTokensForTokens{types}", 5, 4, [USDC, WETH], SENDER, NEVER)
    (hop,) = only_swap(decode(RouterCall("", addresses.UNISWAP_V2_ROUTER.address, data))).hops
    assert hop.pool == "0xB4e16d0168e52d35CaCD2c6185b44281Ec28C9Dc"
    (hop,) = only_swap(decode(RouterCall("", addresses.SUSHI_ROUTER.address, data))).hops
    assert hop.pool == "0x397FF1542f962076d0BFE58eA045FfA2d347ACa0"
    order = (WETH, USDC, 500, SENDER, 5, 4, 0)
    data = call_data("exactInputSingle((address,address,uint24,address,uint256,uint256,uint160))", order)
    (hop,) = only_swap(decode(RouterCall("", addresses.SWAP_ROUTER_02.address, data))).hops
    assert (hop.pool, hop.fee_pips) == ("0x88e6A0c2dDD26FEEb64F039a2c41296FcB3f5640", 500)
    call = next(call for call in CALLS if call.kind == "universal v4 in single")
    (hop,) = only_swap(decode(call)).hops
    assert hop.pool == to_pool_id(Address(ZERO_ADDRESS), USDC, 500, 10)
    assert hop.v4_key is not None
    assert (hop.v4_key.manager, hop.v4_key.tick_spacing) == (addresses.POOL_MANAGER, 10)


def test_a_v2_call_names_all_that_it_wants() -> None:
    types = "(uint256,uint256,address[],address,uint256)"
    router = addresses.UNISWAP_V2_ROUTER.address
    data = call_data(f"swapTokensForExactTokens{types}", 7, 9, [USDC, WETH, DAI], address(5), 1234)
    intent = decode(RouterCall("", router, data))
    swap = only_swap(intent)
    assert (intent.function, intent.deadline, intent.value) == ("swapTokensForExactTokens", 1234, 0)
    assert (swap.venue, swap.dex, swap.by_balance) == (VenueKind.UNISWAP_V2, "uniswap_v2", False)
    assert (swap.exact_in, swap.amount, swap.limit) == (False, 7, 9)
    assert (swap.payer, swap.recipient) == (SENDER, address(5))
    assert [hop.token_in for hop in swap.hops] + [swap.token_out] == [USDC, WETH, DAI]

    types = "(uint256,address[],address,uint256)"
    data = call_data(f"swapETHForExactTokens{types}", 7, [WETH, DAI], address(5), 1234)
    intent = decode(RouterCall("", router, data, 55))
    wrap, step = intent.steps
    assert wrap == Wrap(WETH, 55, router)
    assert isinstance(step, IntendedSwap)
    assert (step.exact_in, step.amount, step.limit, step.payer) == (False, 7, 55, router)

    types = "(uint256,uint256,address[],address,uint256)"
    name = "swapExactTokensForETHSupportingFeeOnTransferTokens"
    intent = decode(RouterCall("", router, call_data(name + types, 7, 3, [DAI, WETH], address(5), 1234)))
    step, unwrap = intent.steps
    assert isinstance(step, IntendedSwap)
    assert (step.by_balance, step.recipient, unwrap) == (True, router, Unwrap(WETH, 0, address(5)))


def test_v3_paths_run_from_what_is_paid_to_what_is_received() -> None:
    packed = b"".join(
        (bytes.fromhex(DAI[2:]), b"\0\0\x64", bytes.fromhex(USDC[2:]), b"\0\x0b\xb8", bytes.fromhex(WETH[2:]))
    )
    for name, exact_in in (("exactInput", True), ("exactOutput", False)):
        data = call_data(f"{name}((bytes,address,uint256,uint256,uint256))", (packed, ETHER, 77, 5, 4))
        intent = decode(RouterCall("", addresses.SWAP_ROUTER.address, data))
        swap = only_swap(intent)
        assert (swap.exact_in, swap.amount, swap.limit, intent.deadline) == (exact_in, 5, 4, 77)
        assert swap.recipient == addresses.SWAP_ROUTER.address, "the zero address is the router"
        ways = [(hop.token_in, hop.fee_pips, hop.token_out) for hop in swap.hops]
        forward = [(DAI, 100, USDC), (USDC, 3000, WETH)]
        assert ways == (forward if exact_in else [(end, fee, start) for start, fee, end in reversed(forward)])


def test_several_calls_at_once_keep_their_order_and_the_earliest_deadline() -> None:
    types = "((address,address,uint24,address,uint256,uint256,uint160))"
    single = call_data(f"exactInputSingle{types}", (DAI, WETH, 500, ROUTER_FLAG, 5, 4, 9))
    carried = call_data(f"exactInputSingle{types}", (WETH, USDC, 500, SENDER_FLAG, 0, 4, 0))
    rest = [
        call_data("sweepToken(address,uint256)", DAI, 8),
        call_data("unwrapWETH9(uint256)", 7),
        call_data("refundETH()"),
    ]
    call = call_data("multicall(uint256,bytes[])", 99, [single, carried, *rest, b"\xaa\xbb\xcc\xdd"])
    intent = decode(RouterCall("", addresses.SWAP_ROUTER_02.address, call))
    first, second, *others = intent.steps
    assert isinstance(first, IntendedSwap)
    assert isinstance(second, IntendedSwap)
    router = addresses.SWAP_ROUTER_02.address
    assert (first.recipient, first.price_limit, first.amount) == (router, 9, 5)
    assert (second.amount, second.payer, second.recipient) == (Carried.ROUTER_BALANCE, router, SENDER)
    assert others == [
        Sweep(DAI, 8, SENDER),
        Unwrap(WETH, 7, SENDER),
        OtherStep("refundETH"),
        OtherStep("0xaabbccdd", inert=False),
    ]
    assert intent.deadline == 99
    after = call_data("multicall(bytes32,bytes[])", b"\x11" * 32, [single])
    assert decode(RouterCall("", router, after)).previous_block == "0x" + "11" * 32


def test_the_universal_routers_commands_keep_what_they_say() -> None:
    packed = bytes.fromhex(WETH[2:]) + b"\0\x01\xf4" + bytes.fromhex(USDC[2:])
    permit = b"\1" * 64
    inputs = [
        permit,
        arguments_of("address,uint256", ROUTER_FLAG, ALL_OF_IT),
        arguments_of("address,uint256,uint256,bytes,bool", SENDER_FLAG, ALL_OF_IT, 4, packed, False),
        arguments_of("address,address,uint256", USDC, address(9), 25),
        arguments_of("address,uint256", SENDER_FLAG, 6),
        arguments_of("address,uint256,uint256,address[],bool", SENDER_FLAG, 0, 4, [USDC, DAI], True),
        b"\2" * 32,
    ]
    intent = decode(universal("", b"\x0a\x0b\x80\x06\x0c\x08\x12", inputs))
    router = addresses.UNIVERSAL_ROUTER
    permitted, wrap, swap, portion, unwrap, paid, position = intent.steps
    assert permitted == OtherStep("PERMIT2_PERMIT")
    assert wrap == Wrap(WETH, Carried.ROUTER_BALANCE, router)
    assert isinstance(swap, IntendedSwap)
    assert (swap.amount, swap.payer, swap.recipient) == (Carried.ROUTER_BALANCE, router, SENDER)
    assert (swap.may_fail, swap.limit) == (True, 4)
    assert portion == PortionPayment(USDC, 25, address(9))
    assert unwrap == Unwrap(WETH, 6, SENDER)
    assert isinstance(paid, IntendedSwap)
    assert (paid.amount, paid.may_fail, paid.by_balance) == (Carried.ALREADY_PAID, False, True)
    assert position == OtherStep("0x12", inert=False)
    assert intent.deadline == NEVER
    moves = [
        arguments_of("address,address,uint256", DAI, ROUTER_FLAG, 3),
        arguments_of("address,address,uint256", DAI, SENDER_FLAG, ALL_OF_IT),
        arguments_of("address,address,uint256", DAI, address(9), 2),
    ]
    assert decode(universal("", b"\x02\x05\x04", moves)).steps == (
        Payment(DAI, 3, SENDER, router),
        Payment(DAI, Carried.ROUTER_BALANCE, router, SENDER),
        Sweep(DAI, 2, address(9)),
    )
    plain = call_data("execute(bytes,bytes[])", b"\x0a", [permit])
    assert decode(RouterCall("", router, plain)).deadline is None


@pytest.mark.parametrize("limited", [False, True])
def test_v4_structs_of_all_versions(limited: bool) -> None:
    """Later routers put prices of single hops into the structs; both forms are told apart by their offsets."""
    key = (ETHER, USDC, 500, -10, address(77))
    single_types = f"({KEY},bool,uint128,uint128,{'uint256,' if limited else ''}bytes)"
    single = arguments_of(single_types, (key, False, 0, 4, *((6,) if limited else ()), b"hook"))
    rows = [(WETH, 3000, 60, ETHER, b""), (DAI, 100, 1, ETHER, b"")]
    path_types = f"(address,(address,uint24,int24,address,bytes)[],{'uint256[],' if limited else ''}uint128,uint128)"
    path = arguments_of(path_types, (USDC, rows, *(([1, 2],) if limited else ()), 5, 4))
    settle = arguments_of("address,uint256,bool", USDC, ALL_OF_IT, False)
    take = arguments_of("address,address,uint256", DAI, address(9), 3)
    plan = arguments_of("bytes,bytes[]", b"\x0b\x06\x09\x0e", [settle, single, path, take])
    (batch,) = decode(universal("", b"\x90", [plan])).steps
    assert isinstance(batch, Batch)
    assert batch.may_fail
    paid, first, second, taken = batch.steps
    assert paid == Settle(USDC, Carried.ROUTER_BALANCE, addresses.UNIVERSAL_ROUTER)
    assert taken == Take(DAI, 3, address(9))
    assert isinstance(first, IntendedSwap)
    assert (first.token_in, first.token_out, first.amount, first.limit) == (USDC, ETHER, Carried.OPEN_DELTA, 4)
    assert first.hops[0].v4_key is not None
    assert (first.hops[0].v4_key.hooks, first.hops[0].v4_key.tick_spacing) == (address(77), -10)
    assert isinstance(second, IntendedSwap)
    ways = [(hop.token_in, hop.fee_pips, hop.token_out) for hop in second.hops]
    assert ways == [(WETH, 3000, DAI), (DAI, 100, USDC)]
    assert (second.exact_in, second.amount, second.limit) == (False, 5, 4)
    assert first.hop_limits is second.hop_limits is limited


@pytest.mark.parametrize(("limits", "seen"), [(None, False), ([], False), ([5], True)])
def test_limits_of_single_hops_are_noticed(limits: list[int] | None, seen: bool) -> None:
    """Later Universal Routers take them as a sixth argument."""
    more, values = ("", ()) if limits is None else (",uint256[]", (limits,))
    packed = bytes.fromhex(WETH[2:]) + b"\0\x01\xf4" + bytes.fromhex(USDC[2:])
    v3 = arguments_of(f"address,uint256,uint256,bytes,bool{more}", SENDER_FLAG, 5, 4, packed, True, *values)
    v2 = arguments_of(f"address,uint256,uint256,address[],bool{more}", SENDER_FLAG, 5, 4, [USDC, DAI], True, *values)
    assert [swap.hop_limits for swap in decode(universal("", b"\0\x08", [v3, v2])).swaps] == [seen, seen]


V2, SECOND, UNIVERSAL = (
    addresses.UNISWAP_V2_ROUTER.address,
    addresses.SWAP_ROUTER_02.address,
    addresses.UNIVERSAL_ROUTER,
)
PACKED = b"\1" * 20 + b"\0" * 3 + b"\2" * 20


def pairs(name: str, *path: Address) -> bytes:
    return call_data(f"{name}(uint256,uint256,address[],address,uint256)", 1, 1, list(path), SENDER, 1)


def execute(commands: bytes, *inputs: bytes) -> bytes:
    return call_data("execute(bytes,bytes[])", commands, list(inputs))


def packed_path(path: bytes) -> bytes:
    return call_data("exactInput((bytes,address,uint256,uint256))", (path, SENDER, 1, 1))


def nested(depth: int) -> bytes:
    return call_data("multicall(bytes[])", [nested(depth - 1)] if depth else [])


def v3_input(amount: int, payer: int) -> bytes:
    return arguments_of("address,uint256,uint256,bytes,uint256", SENDER, amount, 0, PACKED, payer)


@pytest.mark.parametrize(
    ("to", "data", "reason"),
    [
        (V2, pairs("swapExactTokensForTokens", USDC), "a path without a pool"),
        (V2, pairs("swapExactTokensForTokens", USDC, USDC), "a token swapped for itself"),
        (V2, pairs("swapExactTokensForETH", USDC, DAI), "a path that does not begin or end at wrapped ether"),
        (V2, pairs("swapExactTokensForTokens", USDC, DAI)[:-1], "truncated"),
        (SECOND, packed_path(b"\1" * 42), "a path without a pool"),
        (SECOND, packed_path(b"\1" * 44), "a path without a pool"),
        (SECOND, nested(3), "calls nested too deep"),
        (SECOND, call_data("multicall(bytes[])", [b""] * 257), "an array too long"),
        (UNIVERSAL, execute(b"\0\0", b""), "commands without their inputs"),
        (UNIVERSAL, execute(b"\x10", arguments_of("bytes,bytes[]", b"\1", [b""])), "an unknown action"),
        (UNIVERSAL, execute(b"\0", v3_input(ALL_OF_IT + 1, 1)), "a number beyond its type"),
        (UNIVERSAL, execute(b"\0", v3_input(1, 2)), "a number beyond its type"),
    ],
)
def test_what_no_router_would_carry_out_is_refused_with_its_reason(to: Address, data: bytes, reason: str) -> None:
    assert DECODE(sent(to, data)) == Undecodable(to, reason)


def test_other_calls_are_none_of_ours() -> None:
    assert DECODE(sent(None, b"")) is None
    assert DECODE(sent(address(1), CALLS[0].data)) is None
    for router in ROUTERS:
        assert DECODE(sent(router, b"")) is None
        assert DECODE(sent(router, b"\1\2\3\4" + b"\0" * 64)) is None


@given(st.sampled_from(CALLS), st.data())
@settings(max_examples=300)
def test_a_truncated_call_is_refused(call: RouterCall, data: st.DataObject) -> None:
    # less than a word may have been padding
    length = data.draw(st.integers(4, len(call.data) - 32))
    assert isinstance(DECODE(sent(call.to, call.data[:length])), Undecodable)


@given(st.sampled_from(CALLS), st.data())
@settings(max_examples=300)
def test_no_calldata_gets_more_than_a_refusal(call: RouterCall, data: st.DataObject) -> None:
    """Words are overwritten, with small numbers above all, since those are offsets, lengths and commands."""
    changed = bytearray(call.data)
    for _ in range(data.draw(st.integers(1, 4))):
        at = 4 + 32 * data.draw(st.integers(0, (len(changed) - 4) // 32 - 1))
        value = data.draw(st.one_of(st.integers(0, 1024), st.integers(0, 2**256 - 1)))
        changed[at : at + 32] = value.to_bytes(32, "big")
    result = DECODE(sent(data.draw(st.sampled_from(ROUTERS)), bytes(changed), call.value))
    assert result is None or isinstance(result, Intent | Undecodable)


def pools_of_calls() -> dict[Address, Pool]:
    """The pools of all calls, at the places where the calls look for them."""
    drawn = {(pool.venue, pool.dex, pool.token0, pool.token1): pool for pool in DRAW.pools.values()}
    found: dict[Address, Pool] = {}
    for call in CALLS:
        for swap in decode(call).swaps:
            for hop in swap.hops:
                tokens = sorted((hop.token_in, hop.token_out), key=lambda token: int(token, 16))
                pool: Any = drawn[swap.venue, swap.dex, *tokens]
                found[hop.pool] = pool if hop.v4_key else replace(pool, address=hop.pool)
    return found


PLACED = pools_of_calls()


@given(st.sampled_from(CALLS), st.data())
@settings(max_examples=250, deadline=None)
def test_whatever_decodes_has_an_effect_or_a_reason(call: RouterCall, data: st.DataObject) -> None:
    changed = bytearray(call.data)
    for _ in range(data.draw(st.integers(0, 3))):
        at = 4 + 32 * data.draw(st.integers(0, (len(changed) - 4) // 32 - 1))
        bits = data.draw(st.integers(0, 255))
        changed[at : at + 32] = data.draw(st.integers(0, 2**bits)).to_bytes(32, "big")
    intent = DECODE(sent(call.to, bytes(changed), data.draw(st.sampled_from((0, call.value, 2**200)))))
    if not isinstance(intent, Intent):
        return
    before = dict(PLACED)
    effect = apply_intent(PLACED, intent, timestamp=0)
    assert (effect.reason is None) or (effect.pools == {} and effect.fills == ())
    assert before == PLACED
    for key, pool in effect.pools.items():
        assert load(pool.to_json()).key == key == pool.key


@given(st.sampled_from([call.data[:4] for call in CALLS]), st.binary(max_size=600))
@settings(max_examples=300)
def test_noise_gets_no_more_than_a_refusal(selected: bytes, noise: bytes) -> None:
    for router in ROUTERS:
        assert isinstance(DECODE(sent(router, selected + noise)), Intent | Undecodable | None)


def test_values_that_overlap_do_not_multiply_the_work() -> None:
    """A plan whose inputs are all the same bytes, which hold a plan of the same make, and so on."""
    inner = b""
    for _ in range(4):
        count = 250
        offsets = b"".join((32 * count).to_bytes(32, "big") for _ in range(count))
        text = len(inner).to_bytes(32, "big") + inner + b"\0" * (-len(inner) % 32)
        commands = count.to_bytes(32, "big") + b"\x21" * count + b"\0" * (-count % 32)
        head = (64).to_bytes(32, "big") + (64 + len(commands)).to_bytes(32, "big")
        inner = head + commands + count.to_bytes(32, "big") + offsets + text
    data = call_data("execute(bytes,bytes[])", b"", [])[:4] + inner
    started = time.perf_counter()
    assert DECODE(sent(addresses.UNIVERSAL_ROUTER, data)) == Undecodable(
        addresses.UNIVERSAL_ROUTER, "values that overlap"
    )
    assert time.perf_counter() - started < 1
