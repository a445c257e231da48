"""More attempts on the executor: by puppets that play by a script, with poisoned tokens, and with spoilt streams."""

from __future__ import annotations

from collections.abc import Sequence

from eth_abi.abi import decode as abi_decode

from keeper.domain.token import VenueKind
from keeper.domain.units import Address
from keeper.execution.codec import Loan, Operation, Step, V4Swap
from keeper.execution.opcodes import ETHEREUM_POOL_MANAGER, HAS_BUILDER, Opcode, To
from keeper.execution.operations import operations_bytes, step
from tests.contracts.attacks import OTHER, POOL, TOKEN, Attempt, Mode, each, paid, play, run, stream, v2, v3
from tests.contracts.compiler import STAND_INS, compile_sources, read_sources
from tests.contracts.security.cast import (
    DELEGATE,
    FIRST,
    HOSTILE,
    POISONED,
    PUPPETS,
    SECOND,
    Change,
    Line,
    Poison,
    Scene,
    act,
    answer,
    call,
    load,
    put,
    silent,
)
from tests.contracts.security.differential import Comparison, compare_streams
from tests.contracts.security.forms import ERC3156, V4
from tests.contracts.security.generate import COIN
from tests.contracts.site import (
    ETHER,
    FOREVER,
    OPERATOR,
    STRANGER,
    USDC,
    WETH,
    LenderKind,
    Node,
    Site,
    calldata,
)

BUILDER = Address("0x" + "77" * 20)
PUPPET_SLOTS = 6
STREAMS = 200
"""Of which each bug in the reading of streams changes some."""


def prepare_node(node: Node) -> None:
    """Puppets and the poisoned token at their addresses."""
    contracts = compile_sources(read_sources(HOSTILE), quick=True)
    for puppet in (*PUPPETS, DELEGATE):
        node.rpc("anvil_setCode", puppet, "0x" + contracts["Puppet"].runtime.hex())
    node.rpc("anvil_setCode", POISONED, "0x" + contracts["PoisonedToken"].runtime.hex())


def gift(site: Site, token: Address, amount: int) -> Line:
    return call(0, token, calldata("transfer(address,uint256)", site.executor, amount), fatal=False)


# ---------------------------------------------------------------------- reading


def spoilt_and_valid_streams(site: Site) -> str:
    """The contract reads as the keeper does, whatever pools send behind what was committed."""
    report = compare_streams(Comparison(site), STREAMS, seed=3)
    return f"{min(len(report.disagreements), 1)} disagreements"


def readings_of_balances(site: Site) -> str:
    """A price or balance that is read in a foreign callback can be bent there: the only readings are at the entry."""
    found = []
    for token in (WETH, TOKEN):
        data = stream(v3(POOL), v2(OTHER), token=token)
        request = {"from": OPERATOR, "to": site.executor, "data": "0x" + data.hex(), "gas": hex(10_000_000)}
        root = site.rpc("debug_traceCall", request, "latest", {"tracer": "callTracer"})
        found += [f"{frame['input'][:10]} at depth {depth}" for depth, frame in _static_calls(site, root, 0)]
    return ", ".join(dict.fromkeys(found))


def _static_calls(site: Site, frame: dict[str, object], depth: int) -> list[tuple[int, dict[str, object]]]:
    found = []
    own = str(frame["to"]).lower() == site.executor.lower()
    for child in frame.get("calls", ()):  # type: ignore[attr-defined]
        if own and child["type"] == "STATICCALL":
            found.append((depth, child))
        found += _static_calls(site, child, depth + 1)
    return found


# ---------------------------------------------------------------------- what may be paid with


def unwatched_payments(site: Site) -> str:
    """The operator pays, in each way there is, with a token that nothing compares at the end."""
    token, amount = POISONED, 1
    swap = {"amount": amount, "token": token, "pool": FIRST}
    steps = (
        step(Opcode.PAY, token=token, amount=amount, to=To.CALLER),
        step(Opcode.PAY_ADDRESS, token=token, amount=amount, receiver=OPERATOR),
        step(Opcode.WRAP, coin=FIRST, amount=amount),
        step(Opcode.UNWRAP, coin=WETH, amount=amount),
        step(Opcode.V3_TOKEN, **swap, zero_for_one=0, to=To.CALLER),
        step(Opcode.CURVE_INT128, **swap, i=0, j=1),
        step(Opcode.CURVE_UINT256, **swap, i=0, j=1),
        vault_swap(POISONED),
        step(Opcode.V4_SETTLE, token=token, amount=amount),
        step(Opcode.BALANCER_V3_SETTLE, token=token, amount=amount),
    )
    return each(site, (stream(operation) for operation in steps))


def vault_swap(token_in: Address) -> Step:
    fields = {"vault": FIRST, "amount": 1, "pool_id": bytes(32), "token_in": token_in, "token_out": TOKEN}
    return step(Opcode.BALANCER_V2_SWAP, **fields, to=To.SELF)


def watched_token_is_kept_by_the_operator(site: Site) -> str:
    site.give(WETH, site.executor, ETHER)
    theft = step(Opcode.PAY_ADDRESS, token=WETH, amount=ETHER // 2, receiver=OPERATOR)
    return run(site, stream(theft, watched=(WETH,)))


def token_watched_twice(site: Site) -> str:
    """The second reading would take the place of the first."""
    return run(site, stream(v2(OTHER), watched=(WETH, WETH)))


def streams_of_a_delegated_operator(site: Site) -> str:
    """Two streams in one transaction: what the first one watched, the second one may not pay with."""
    site.give(WETH, site.executor, ETHER)
    site.rpc("anvil_setCode", OPERATOR, "0xef0100" + DELEGATE[2:].lower())
    theft = step(Opcode.PAY_ADDRESS, token=WETH, amount=ETHER // 2, receiver=OPERATOR)
    pair = [stream(v2(OTHER), watched=(WETH,)), stream(theft)]
    done = site.call(OPERATOR, OPERATOR, act([call(0, site.executor, data) for data in pair]))
    return str(list(*abi_decode(["bool[]"], done.output)))


def stream_within_a_stream(site: Site) -> str:
    """A pool lets the operator begin a second stream in mid-route, which takes what the first one watches."""
    site.give(WETH, site.executor, ETHER)
    site.rpc("anvil_setCode", OPERATOR, "0xef0100" + DELEGATE[2:].lower())
    theft = step(Opcode.PAY_ADDRESS, token=WETH, amount=ETHER // 2, receiver=OPERATOR)
    load(site, Scene(FIRST, [call(0, OPERATOR, act([call(0, site.executor, stream(theft))]))]))
    return run(site, stream(v2(FIRST), watched=(WETH,)))


def coins_for_a_pool(site: Site) -> str:
    """The operator's own pool is paid the executor's coins, as the profit token and as a watched one."""
    site.rpc("anvil_setBalance", site.executor, hex(ETHER))
    wrap = step(Opcode.WRAP, coin=FIRST, amount=ETHER // 2)
    return each(site, (stream(wrap, token=COIN), stream(wrap, watched=(COIN,))))


# ---------------------------------------------------------------------- the builder


def builder_is_paid(site: Site) -> str:
    """A tenth of a profit of 1,000: what the builder has, and what is left."""
    site.give(WETH, FIRST, ETHER)
    site.give(WETH, site.executor, ETHER)
    site.rpc("anvil_setCoinbase", BUILDER)
    load(site, Scene(FIRST, [gift(site, WETH, 1_000)]))
    before, builder = site.balance(WETH, site.executor), int(site.rpc("eth_getBalance", BUILDER, "latest"), 16)
    request = {"from": OPERATOR, "to": site.executor, "gas": hex(10**7), "maxPriorityFeePerGas": "0x0"}
    data = stream(v2(FIRST), token=WETH, builder_bps=1_000)
    site.rpc("eth_sendTransactionSync", {**request, "data": "0x" + data.hex()})
    gained = int(site.rpc("eth_getBalance", BUILDER, "latest"), 16) - builder
    return f"{gained} and {site.balance(WETH, site.executor) - before}"


def builder_takes_from_the_minimum(site: Site) -> str:
    site.give(WETH, FIRST, ETHER)
    load(site, Scene(FIRST, [gift(site, WETH, 1_000)]))
    return run(site, stream(v2(FIRST), token=WETH, builder_bps=1_000, min_profit=1_000))


def builder_gets_too_much(site: Site) -> str:
    """More than all of the profit, and a share of a token that is not the chain's coin."""
    site.give(WETH, FIRST, ETHER)
    load(site, Scene(FIRST, [gift(site, WETH, 1_000), gift(site, POISONED, 1_000)]))
    site.must(STRANGER, POISONED, calldata("mint(address,uint256)", FIRST, ETHER))
    header = bytes(8) + bytes((HAS_BUILDER | 1,)) + FOREVER.to_bytes(4, "big") + (20_000).to_bytes(2, "big")
    spelt = bytes(8) + bytes((HAS_BUILDER,)) + FOREVER.to_bytes(4, "big") + (1_000).to_bytes(2, "big")
    spelt += bytes.fromhex(POISONED[2:])
    return each(site, (front + operations_bytes((v2(FIRST),)) for front in (header, spelt)))


def gas_of_the_builder(site: Site) -> str:
    site.give(WETH, FIRST, ETHER)
    site.rpc("anvil_setCoinbase", BUILDER)
    load(site, Scene(FIRST, [gift(site, WETH, 1_000)]))
    data = stream(v2(FIRST), token=WETH, builder_bps=1_000)
    request = {"from": OPERATOR, "to": site.executor, "data": "0x" + data.hex(), "gas": hex(10_000_000)}
    root = site.rpc("debug_traceCall", request, "latest", {"tracer": "callTracer"})
    given = [int(frame["gas"], 16) for frame in root["calls"] if frame["to"].lower() == BUILDER.lower()]
    return f"{len(given)} call, {'capped' if max(given, default=0) < 40_000 else 'all'}"


# ---------------------------------------------------------------------- lenders, pools, V4's manager


def allowances_left(site: Site) -> str:
    """To an ERC-3156 lender, a Curve pool, a vault."""
    play(site, TOKEN, Mode.UNPAID)
    load(site, Scene(FIRST, [answer(0, ERC3156, site.executor, fatal=False)]))
    curve = step(Opcode.CURVE_INT128, pool=FIRST, amount=1, token=TOKEN, i=0, j=1)
    return each(site, (stream(first) for first in (Loan(Opcode.ERC3156_LOAN, FIRST, 9), curve, vault_swap(TOKEN))))


def erc3156_loan_of_another(site: Site) -> str:
    load(site, Scene(FIRST, [answer(0, ERC3156.of_another(), site.executor)]))
    return run(site, stream(Loan(Opcode.ERC3156_LOAN, FIRST, 9), v2(OTHER)))


def weth_refuses(site: Site) -> str:
    """As no wrapped coin does; the short way looks at the answer all the same."""
    put(site, WETH, compile_sources(read_sources(STAND_INS), quick=True)["Stage"])
    play(site, WETH, Mode.REFUSING)
    routes: list[tuple[Operation, ...]] = [(v3(POOL), paid(OTHER)), (v3(POOL), v2(OTHER), paid(OTHER))]
    return each(site, (stream(*route, token=WETH) for route in routes))


def token_without_code(site: Site) -> str:
    return run(site, stream(v2(OTHER), token=Address("0x" + "66" * 20)))


def manager(site: Site, lines: Sequence[Line], **header: int) -> str:
    """A loop through V4 whose manager plays ``lines``."""
    put(site, ETHEREUM_POOL_MANAGER, compile_sources(read_sources(HOSTILE), quick=True)["Puppet"])
    for slot in range(PUPPET_SLOTS):  # where the manager of the replica keeps things of its own
        site.rpc("anvil_setStorageAt", ETHEREUM_POOL_MANAGER, hex(slot), "0x" + "00" * 32)
    site.rpc("anvil_setBalance", site.executor, hex(ETHER))
    load(site, Scene(ETHEREUM_POOL_MANAGER, lines))
    swap = V4Swap(500, 10, True, (COIN, USDC), None, 10**6)
    unlock = Step(Opcode.V4_UNLOCK_ETHEREUM, ())
    return run(site, stream(unlock, swap, token=COIN, **header))


def manager_alters_the_stream(site: Site) -> str:
    return manager(site, [answer(0, V4, site.executor, Change.LAST_BYTE)])


def manager_calls_back_twice(site: Site) -> str:
    return manager(site, [answer(0, V4, site.executor), answer(0, V4, site.executor)])


def manager_does_not_call_back(site: Site) -> str:
    return manager(site, [silent(0)])


def v4_loop_without_profit(site: Site) -> str:
    return manager(site, [answer(0, V4, site.executor)], min_profit=1)


def late_v4_loop(site: Site) -> str:
    return manager(site, [answer(0, V4, site.executor)], last_block=1)


# ---------------------------------------------------------------------- tokens and times


def poisoned_tokens(site: Site) -> str:
    """Each earns nominally 50: what the executor says to it."""
    found = []
    site.must(STRANGER, POISONED, calldata("mint(address,uint256)", FIRST, ETHER))
    data = stream(v2(FIRST), paid(SECOND, 50), token=POISONED, min_profit=50)
    for poison in Poison:
        site.must(STRANGER, POISONED, calldata("set(uint8,address,bool)", poison, site.executor, True))
        load(site, Scene(FIRST, [gift(site, POISONED, 100)]), Scene(SECOND, []))
        said = run(site, data)
        said = "its own error" if said.startswith("another") else said
        found.append(f"{poison.name}: {said or 'earned'}")
    return ", ".join(found)


def replayed_trade(site: Site) -> str:
    """A real trade's bytes are sent alone when the price is gone, by somebody else, and in a later block."""
    route = site.profitable_route((WETH, USDC), [VenueKind.UNISWAP_V3, VenueKind.UNISWAP_V3], ETHER)
    number = int(site.rpc("eth_blockNumber"), 16)
    data = site.stream(route, LenderKind.FLASH_SWAP, route.gross_profit // 2, last_block=number + 2)
    by_another = run(site, data, STRANGER)
    if run(site, data):
        return "the trade itself failed"
    site.must(OPERATOR, site.executor, data)
    alone = run(site, data)
    site.rpc("anvil_mine", "0x2")
    return f"{by_another}, {'refused' if alone else 'ran'}, {run(site, data)}"


ATTEMPTS = [
    Attempt(
        spoilt_and_valid_streams,
        "0 disagreements",
        (
            "bounds_unchecked",
            "inner_unchecked",
            "operation_skipped",
            "receiver_unchecked",
            "short_v3_bounds_unchecked",
            "v3_side",
            "v3_flash_side",
            "erc3156_fee_unpaid",
            "close_without_chain",
        ),
    ),
    Attempt(readings_of_balances, "0x70a08231 at depth 0", ("amounts_read_in_callbacks",)),
    Attempt(
        unwatched_payments,
        "NotWatched",
        (
            "unwatched_pay",
            "unwatched_wrap",
            "unwatched_unwrap",
            "unwatched_v3",
            "unwatched_curve",
            "unwatched_vault",
            "unwatched_settle",
        ),
    ),
    Attempt(watched_token_is_kept_by_the_operator, "TokenSpent", ("watched_unchecked",)),
    Attempt(token_watched_twice, "BadStream", ("watched_twice",)),
    Attempt(streams_of_a_delegated_operator, "[True, False]", ("watch_kept",)),
    Attempt(stream_within_a_stream, "TokenSpent", ("watched_unchecked",)),
    Attempt(coins_for_a_pool, "ProfitTooSmall or TokenSpent", ("profit_unchecked", "watched_unchecked")),
    Attempt(builder_is_paid, "100 and 900", ("builder_before_all",)),
    Attempt(builder_takes_from_the_minimum, "ProfitTooSmall", ("builder_unmeasured", "profit_unchecked")),
    Attempt(builder_gets_too_much, "BadStream", ("builder_gets_more", "builder_gets_tokens")),
    Attempt(gas_of_the_builder, "1 call, capped", ("builder_gets_all_gas",)),
    Attempt(
        allowances_left,
        "AllowanceLeft",
        ("erc3156_allowance_unchecked", "curve_allowance_unchecked", "vault_allowance_unchecked"),
    ),
    Attempt(erc3156_loan_of_another, "WrongInitiator", ("erc3156_initiator_unchecked",)),
    Attempt(weth_refuses, "TokenFailed", ("short_answer_unchecked",)),
    Attempt(token_without_code, "TokenFailed", ("balance_unchecked",)),
    Attempt(manager_alters_the_stream, "ContinuationMismatch", ("v4_hash_unchecked",)),
    Attempt(manager_calls_back_twice, "Unauthorized", ("v4_slot_kept",)),
    Attempt(manager_does_not_call_back, "CallbackMissing", ("v4_exit_unchecked",)),
    Attempt(v4_loop_without_profit, "ProfitTooSmall", ("v4_profit_unchecked",)),
    Attempt(late_v4_loop, "Expired", ("v4_block_unchecked",)),
    Attempt(
        poisoned_tokens,
        "NONE: earned, FEE: ProfitTooSmall, REBASING: ProfitTooSmall, FALSE: TokenFailed, NOTHING: earned, "
        "PAUSING: its own error, BLOCKLIST: its own error, HOOKS: earned, LYING: earned, SALMONELLA: its own error",
        ("profit_unchecked", "loss_checked_only", "token_answer_unchecked"),
    ),
    Attempt(
        replayed_trade,
        "Unauthorized, refused, Expired",
        ("operator_unchecked", "short_block_unchecked"),
    ),
]
__all__ = ["ATTEMPTS", "prepare_node"]
