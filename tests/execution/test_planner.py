"""The planner on the replica's lenders: what each can lend, what it costs, which is chosen, and what is said of it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping
from dataclasses import replace
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import pytest
from eth_utils.crypto import keccak
from hypothesis import given, settings
from hypothesis import strategies as st

from keeper.domain.joint_route import JointRoute
from keeper.domain.plan import Financing
from keeper.domain.route import Hop, Route
from keeper.domain.swap_detail import BalancerV2Id, BalancerV3Vault, CurveCoins, CurveInterface, SwapDetail, V4Key
from keeper.domain.token import LenderKind, VenueKind
from keeper.domain.units import WAD, ZERO_ADDRESS, Address, Hash32
from keeper.execution.answers import address_in, call_data
from keeper.execution.lenders import LENDERS, LOAN_GAS, WITHIN_GAS, Lenders, lenders_of
from keeper.execution.needs import Need, amount_needed, need_of
from keeper.execution.planner import PREFERENCE, Planner, Unfinanced
from keeper.execution.pool_sources import Aave, UniswapV3
from keeper.execution.sources import BalancerV2, Erc3156
from keeper.market.multicall import Call
from keeper.market.node import Node
from keeper.market.specs import PoolSpec, read_pool_specs
from keeper.replica.addresses import DODO_WETH_USDC
from tests.routes import USDC, WETH, loop, pool_address

if TYPE_CHECKING:
    from tests.conftest import RunningReplica

DAI = Address("0x6B175474E89094C44Da98b954EedeAC495271d0F")
EXECUTOR = pool_address(0xE0E0)
MAINNET = lenders_of(1, dodo_pools=(DODO_WETH_USDC,))
MANAGER, VAULT_V3 = MAINNET.uniswap_v4_manager, MAINNET.balancer_v3_vault
GWEI = 10**9
HELD_BY_BALANCER_V3 = 7_000 * WAD
RESERVES_CODE = "0x69" + f"{HELD_BY_BALANCER_V3:020x}" + "5f5260205ff3"
"""Answers every call with one number, as the vault's ``getReservesOf`` would."""
LOANS_OF_WETH = [kind for kind in PREFERENCE if kind not in (LenderKind.FLASH_SWAP, LenderKind.ERC3156)]


@pytest.fixture(scope="module")
def market(replica: RunningReplica) -> RunningReplica:
    """The replica with WETH in the manager, the vault of Balancer V3 and the executor."""
    assert MANAGER is not None
    assert VAULT_V3 is not None
    replica.rpc("anvil_setCode", VAULT_V3, RESERVES_CODE)
    for holder, amount in ((MANAGER, 9_000 * WAD), (VAULT_V3, HELD_BY_BALANCER_V3 + 1), (EXECUTOR, 40 * WAD)):
        replica.rpc("anvil_dealERC20", holder, WETH, hex(amount))
    return replica


@pytest.fixture
async def node(market: RunningReplica) -> AsyncIterator[Node]:
    async with Node(market.http_url) as connected:
        yield connected


def v3_pools(market: RunningReplica) -> list[PoolSpec]:
    return [spec for spec in read_pool_specs(market.state.pools_path) if spec.venue is VenueKind.UNISWAP_V3]


class Desk:
    """Planners on one node."""

    def __init__(self, node: Node, market: RunningReplica) -> None:
        self.node = node
        self.pools = v3_pools(market)

    def planner(self, kinds: Iterable[LenderKind] = PREFERENCE, **options: Any) -> Planner:
        options = {"lenders": MAINNET, "executor": EXECUTOR, "flash_pools": self.pools} | options
        return Planner(self.node, chain_id=1, weth=WETH, allowed=kinds, **options)

    async def chosen(
        self,
        route: Route | JointRoute,
        *kinds: LenderKind,
        base_fee: int = GWEI,
        prices: Mapping[Address, Fraction] | None = None,
        **options: Any,
    ) -> Any:
        head = await self.node.block()
        planner = self.planner(kinds or PREFERENCE, **options)
        (found,) = await planner.finance([route], head, base_fee, prices)
        return found


@pytest.fixture
def desk(node: Node, market: RunningReplica) -> Desk:
    return Desk(node, market)


def leg(
    pool: int | Address,
    venue: VenueKind,
    tokens: tuple[Address, Address],
    amounts: tuple[int, int],
    detail: SwapDetail | None = None,
) -> Hop:
    address = pool_address(pool) if isinstance(pool, int) else pool
    return Hop(address, venue, venue.value, *tokens, tokens[0] < tokens[1], *amounts, 3000, detail)


def route_of(*venues: VenueKind, amount: int = 5 * WAD, token: Address = WETH, **details: SwapDetail) -> Route:
    """A loop of two pools of these venues, through USDC or, from USDC, through WETH."""
    other = USDC if token == WETH else WETH
    return Route(
        (
            leg(0x1001, venues[0], (token, other), (amount, 10**10), details.get("first")),
            leg(0x1002, venues[1], (other, token), (10**10, amount + 1), details.get("second")),
        )
    )


COINS = CurveCoins(0, 1, CurveInterface.INT128)
CURVE_ONLY = route_of(VenueKind.CURVE_STABLESWAP, VenueKind.CURVE_STABLESWAP)
V4 = V4Key(Address(MANAGER or ""), ZERO_ADDRESS, USDC, 500, 10, ZERO_ADDRESS)


# ------------------------------------------------------------------ one source at a time


@pytest.mark.parametrize("kind", LOANS_OF_WETH)
async def test_each_source_lends_what_it_holds_and_not_one_more(desk: Desk, kind: LenderKind) -> None:
    """Its capacity is found by asking for too much; that much is then lent, and one raw unit more is not."""
    beyond = await desk.chosen(route_of(VenueKind.CURVE_STABLESWAP, VenueKind.CURVE_STABLESWAP, amount=10**40), kind)
    assert isinstance(beyond, Unfinanced)
    assert beyond.reason == "no_lender_with_capacity"
    capacity = int(beyond.text.removeprefix(f"{kind} has only "))
    assert capacity > 0
    venues = (VenueKind.CURVE_STABLESWAP, VenueKind.CURVE_STABLESWAP)
    found = await desk.chosen(route_of(*venues, amount=capacity), kind)
    assert isinstance(found, Financing)
    assert (found.kind, found.amount) == (kind, capacity)
    assert isinstance(await desk.chosen(route_of(*venues, amount=capacity + 1), kind), Unfinanced)
    expected = {
        LenderKind.INVENTORY: (EXECUTOR, 40 * WAD - 1),
        LenderKind.UNISWAP_V4: (MANAGER, 9_000 * WAD),
        LenderKind.BALANCER_V3: (VAULT_V3, HELD_BY_BALANCER_V3),  # what was donated is not in the reserves
    }
    if kind in expected:
        assert (found.lender, capacity) == expected[kind]
    else:
        holder = found.lender
        if kind in (LenderKind.AAVE_V3, LenderKind.SPARK):
            answer = await desk.node.call(holder, call_data("getReserveData(address)", WETH))
            holder = address_in(answer, 8) or holder
        held = await desk.node.call(WETH, call_data("balanceOf(address)", holder))
        assert capacity == int.from_bytes(held)


async def test_erc3156_lends_its_own_token_alone(desk: Desk) -> None:
    venues = (VenueKind.CURVE_STABLESWAP, VenueKind.CURVE_STABLESWAP)
    refused = await desk.chosen(route_of(*venues), LenderKind.ERC3156)
    assert refused.text == "erc3156: it does not lend this token"
    in_dai = JointRoute(
        DAI,
        (
            leg(1, VenueKind.CURVE_STABLESWAP, (DAI, USDC), (10**24, 10**12)),
            leg(2, VenueKind.CURVE_STABLESWAP, (USDC, DAI), (10**12, 10**24 + 5)),
        ),
    )
    found = await desk.chosen(in_dai, LenderKind.ERC3156)
    assert (found.lender, found.amount, found.fee) == (LENDERS[1].erc3156[0], 10**24, 0)


async def test_fees_are_the_lenders_own(desk: Desk) -> None:
    amount = 5 * WAD + 12_345
    venues = (VenueKind.CURVE_STABLESWAP, VenueKind.CURVE_STABLESWAP)
    route = route_of(*venues, amount=amount)
    assert (await desk.chosen(route, LenderKind.AAVE_V3)).fee == (amount * 5 + 5_000) // 10_000
    assert (await desk.chosen(route, LenderKind.SPARK)).fee == 0
    flash = await desk.chosen(route, LenderKind.UNISWAP_V3)
    pool = next(spec for spec in desk.pools if spec.address == flash.lender)
    assert pool.fee_pips == min(spec.fee_pips for spec in desk.pools if WETH in (spec.token0, spec.token1))
    assert flash.fee == -(-amount * pool.fee_pips // 1_000_000)
    assert flash.token0 is (pool.token0 == WETH)
    locked = route_of(*venues, amount=amount)
    locked = Route((replace(locked.hops[0], pool=pool.address), locked.hops[1]))
    elsewhere = await desk.chosen(locked, LenderKind.UNISWAP_V3)
    assert elsewhere.lender != pool.address  # a pool that swaps lends nothing
    # the cheapest pools may be too small: then a dearer one with the capacity is found
    large = await desk.chosen(route_of(*venues, amount=2_000 * WAD), LenderKind.UNISWAP_V3)
    assert large.lender != flash.lender


async def test_the_vault_of_balancer_v2_lends_to_no_route_through_itself(desk: Desk) -> None:
    vault = MAINNET.balancer_v2_vault
    assert vault is not None
    inside = BalancerV2Id(vault, Hash32("0x" + "ab" * 32))
    route = route_of(VenueKind.BALANCER_V2_WEIGHTED, VenueKind.CURVE_STABLESWAP, first=inside)
    refused = await desk.chosen(route, LenderKind.BALANCER_V2)
    assert refused.text.startswith("balancer_v2: the route itself swaps through its vault")
    assert (await desk.chosen(CURVE_ONLY, LenderKind.BALANCER_V2)).lender == vault


# ------------------------------------------------------------------ the choice


async def test_the_cheapest_is_chosen_and_the_others_are_told(desk: Desk) -> None:
    """Without fee the gas decides, and every source has its say in the reason."""
    found = await desk.chosen(CURVE_ONLY)
    assert found.kind is LenderKind.INVENTORY
    order = [kind for kind in PREFERENCE if kind is not LenderKind.FLASH_SWAP]
    while len(order) > 2:
        order.remove(found.kind)
        found = await desk.chosen(CURVE_ONLY, *order)
        feeless = [
            kind for kind in order if kind not in (LenderKind.ERC3156, LenderKind.UNISWAP_V3, LenderKind.AAVE_V3)
        ]
        if feeless:
            assert found.kind is feeless[0]
            assert f"{found.kind} costs {LOAN_GAS[found.kind] * GWEI} wei with gas, fee 0" in found.reason
            assert found.token0 is (True if found.kind is LenderKind.DODO else None)
        for kind in order:
            assert kind in found.reason
    # the order in which they are allowed decides nothing
    assert (await desk.chosen(CURVE_ONLY, *reversed(PREFERENCE))).kind is LenderKind.INVENTORY


async def test_a_fee_weighs_against_gas(desk: Desk) -> None:
    """For a small loan a fee is cheaper than the gas of a dear lender; for a large one it is not."""
    kinds = (LenderKind.UNISWAP_V3, LenderKind.SPARK)
    venues = (VenueKind.CURVE_STABLESWAP, VenueKind.CURVE_STABLESWAP)
    small = await desk.chosen(route_of(*venues, amount=WAD // 1000), *kinds)
    large = await desk.chosen(route_of(*venues, amount=50 * WAD), *kinds)
    assert (small.kind, large.kind) == (LenderKind.UNISWAP_V3, LenderKind.SPARK)
    dear_gas = await desk.chosen(route_of(*venues, amount=50 * WAD), *kinds, base_fee=10**13)
    assert dear_gas.kind is LenderKind.UNISWAP_V3


async def test_a_fee_in_another_token_is_valued_by_its_price(desk: Desk) -> None:
    """Between Aave's fee in USDC and the gas of a lender without fee the market's price decides."""
    kinds = (LenderKind.UNISWAP_V3, LenderKind.SPARK)
    venues = (VenueKind.CURVE_STABLESWAP, VenueKind.CURVE_STABLESWAP)
    route = route_of(*venues, amount=10**9, token=USDC)
    cheap, dear = Fraction(1, 10), Fraction(10**9)  # wei for a raw unit
    assert (await desk.chosen(route, *kinds, prices={USDC: cheap})).kind is LenderKind.UNISWAP_V3
    assert (await desk.chosen(route, *kinds, prices={USDC: dear})).kind is LenderKind.SPARK
    unpriced = await desk.chosen(route, *kinds)
    assert unpriced.kind is LenderKind.SPARK  # without a price the fee comes first
    assert "raw units without gas" in unpriced.reason


async def test_pools_of_the_route_come_first_and_nobody_is_asked(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    head = await desk.node.block()

    async def silent(*_: object) -> Any:
        raise AssertionError("the node is asked")

    monkeypatch.setattr(desk.node, "request", silent)
    on_account = route_of(VenueKind.UNISWAP_V4, VenueKind.UNISWAP_V4, amount=10**30, first=V4, second=V4)
    into_curve = route_of(VenueKind.SOLIDLY_STABLE, VenueKind.CURVE_STABLESWAP, second=COINS)
    plain, mixed, account = await desk.planner().finance([loop((1, 2), 5), into_curve, on_account], head, GWEI)
    assert isinstance(plain, Financing)
    assert isinstance(mixed, Financing)
    assert isinstance(account, Financing)
    assert (plain.kind, plain.lender, plain.fee) == (LenderKind.FLASH_SWAP, pool_address(1), 0)
    assert (mixed.kind, mixed.lender) == (LenderKind.FLASH_SWAP, pool_address(0x1001))
    assert (account.kind, account.lender) == (LenderKind.UNISWAP_V4, MANAGER)
    assert "nothing is borrowed" in account.reason


async def test_a_contract_that_the_route_unlocks_costs_less(desk: Desk) -> None:
    """It comes before a lender that would be cheaper otherwise, and where it unlocks one, the other is no source."""
    kinds = [kind for kind in PREFERENCE if kind is not LenderKind.INVENTORY]
    from_curve = route_of(VenueKind.CURVE_STABLESWAP, VenueKind.UNISWAP_V4, first=COINS, second=V4)
    found = await desk.chosen(from_curve, *kinds)
    assert (found.kind, found.lender, found.fee) == (LenderKind.UNISWAP_V4, MANAGER, 0)
    assert f"uniswap_v4 costs {WITHIN_GAS[LenderKind.UNISWAP_V4] * GWEI} wei" in found.reason
    assert "flash_swap: no pool of the route" in found.reason
    assert "balancer_v3: the route unlocks another contract" in found.reason
    assert VAULT_V3 is not None
    vault = BalancerV3Vault(VAULT_V3)
    through_v3 = route_of(VenueKind.BALANCER_V3_STABLE, VenueKind.CURVE_STABLESWAP, first=vault, second=COINS)
    found = await desk.chosen(through_v3, *kinds)
    assert found.kind is LenderKind.BALANCER_V3
    assert "uniswap_v4: the route unlocks another contract" in found.reason
    # what it cannot lend another one has to
    huge = route_of(VenueKind.CURVE_STABLESWAP, VenueKind.UNISWAP_V4, amount=9_001 * WAD, first=COINS, second=V4)
    found = await desk.chosen(huge, *kinds)
    assert found.kind is LenderKind.MORPHO
    assert f"uniswap_v4 has only {9_000 * WAD}" in found.reason


async def test_refused_tokens_are_refused_for_their_reason(desk: Desk) -> None:
    refused: dict[Address, str] = {}
    planner = desk.planner(refused_tokens=refused)
    head = await desk.node.block()
    (before,) = await planner.finance([CURVE_ONLY], head, GWEI)
    assert isinstance(before, Financing)
    refused[USDC] = "it keeps a fee of 10 bps"
    (after,) = await planner.finance([CURVE_ONLY], head, GWEI)
    assert after == Unfinanced("refused_token", f"{USDC}: it keeps a fee of 10 bps")


async def test_where_nothing_is_deployed_there_is_nothing_to_borrow(desk: Desk) -> None:
    nobody = Address("0x" + "11" * 20)
    nowhere = Lenders(nobody, nobody, nobody, nobody, nobody, nobody, (nobody,), (nobody,))
    refused = await desk.chosen(CURVE_ONLY, lenders=nowhere, executor=None, flash_pools=())
    assert isinstance(refused, Unfinanced)
    kinds = [kind for kind in PREFERENCE if kind not in (LenderKind.INVENTORY, LenderKind.UNISWAP_V3)]
    assert all(f"{kind}: " in refused.text for kind in kinds)
    nothing = await desk.chosen(CURVE_ONLY, lenders=Lenders(), executor=None, flash_pools=())
    assert "flash_swap: no pool of the route" in nothing.text


async def test_figures_are_read_once_per_block(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    request = desk.node.request

    async def counted(method: str, *params: object) -> Any:
        asked.append(method)
        return await request(method, *params)

    head = await desk.node.block()
    monkeypatch.setattr(desk.node, "request", counted)
    planner = desk.planner()
    await planner.finance([CURVE_ONLY], head, 1)
    assert asked == ["eth_call"] * 2  # the contracts that never change, and what changes
    await planner.finance([CURVE_ONLY, route_of(VenueKind.CURVE_STABLESWAP, VenueKind.UNISWAP_V4, second=V4)], head, 1)
    assert len(asked) == 2
    await desk.node.request("anvil_dealERC20", EXECUTOR, WETH, hex(41 * WAD))
    await desk.node.request("evm_mine")
    head = await desk.node.block()
    asked.clear()
    (found,) = await planner.finance([CURVE_ONLY], head, 1)
    assert asked == ["eth_call"]
    assert isinstance(found, Financing)
    beyond = route_of(VenueKind.CURVE_STABLESWAP, VenueKind.CURVE_STABLESWAP, amount=41 * WAD)
    (refused,) = await desk.planner([LenderKind.INVENTORY]).finance([beyond], head, 1)
    assert isinstance(refused, Unfinanced)
    assert refused.text == f"inventory has only {41 * WAD - 1}"


# ------------------------------------------------------------------ what a source makes of answers

LENDER = pool_address(0xAAAA)
NEED = need_of(route_of(VenueKind.CURVE_STABLESWAP, VenueKind.CURVE_STABLESWAP, amount=1_000_001))


def words(*numbers: int) -> bytes:
    return b"".join(number.to_bytes(32, "big") for number in numbers)


def answering(found: Mapping[str, bytes | None]) -> Any:
    by_selector = {keccak(text=name)[:4]: content for name, content in found.items()}

    def read(call: Call) -> bytes | None:
        return by_selector.get(call[1][:4])

    return read


AAVE_ANSWERS: dict[str, bytes | None] = {
    "getReserveData(address)": words(*[0] * 8, int(LENDER, 16), *[0] * 6),
    "getConfiguration(address)": words((1 << 56) | (1 << 63)),
    "balanceOf(address)": words(10**9),
    "getVirtualUnderlyingBalance(address)": None,
    "FLASHLOAN_PREMIUM_TOTAL()": words(5),
    "POOL_REVISION()": words(3),
}


@pytest.mark.parametrize(
    ("changes", "capacity", "fee"),
    [
        ({}, 10**9, 500),  # 500.0005 to the nearest
        ({"POOL_REVISION()": words(9)}, 10**9, 501),  # and up since Aave 3.5
        ({"getVirtualUnderlyingBalance(address)": words(7)}, 7, 500),
        ({"FLASHLOAN_PREMIUM_TOTAL()": words(0)}, 10**9, 0),
    ],
)
def test_aave_by_version(changes: dict[str, bytes], capacity: int, fee: int) -> None:
    (offer,) = Aave(LenderKind.AAVE_V3, LENDER).offers(NEED, answering(AAVE_ANSWERS | changes))
    assert not isinstance(offer, str)
    assert (offer.capacity, offer.fee) == (capacity, fee)


@pytest.mark.parametrize(
    "changes",
    [
        {"getConfiguration(address)": words(1 << 56)},  # no flash loans
        {"getConfiguration(address)": words(1 << 63)},  # not active
        {"getConfiguration(address)": words((1 << 56) | (1 << 60) | (1 << 63))},  # paused
        {"getReserveData(address)": words(*[0] * 15)},  # not listed
        {"FLASHLOAN_PREMIUM_TOTAL()": None},
    ],
)
def test_aave_that_does_not_lend(changes: dict[str, bytes | None]) -> None:
    assert isinstance(Aave(LenderKind.SPARK, LENDER).offers(NEED, answering(AAVE_ANSWERS | changes)), str)


def test_fees_of_the_others() -> None:
    collector = words(int(LENDER, 16))
    balancer = {
        "getProtocolFeesCollector()": collector,
        "getFlashLoanFeePercentage()": words(10**14),  # one basis point
        "getPausedState()": words(0, 0, 0),
        "balanceOf(address)": words(10**9),
    }
    (offer,) = BalancerV2(LENDER).offers(NEED, answering(balancer))
    assert offer == replace(offer, capacity=10**9, fee=101)  # 100.0001 rounded up
    assert isinstance(BalancerV2(LENDER).offers(NEED, answering(balancer | {"getPausedState()": words(1, 0, 0)})), str)
    terms = {"maxFlashLoan(address)": words(5), "flashFee(address,uint256)": words(17)}
    (offer,) = Erc3156((LENDER,)).offers(NEED, answering(terms))
    assert (offer.capacity, offer.fee) == (5, 17)
    unsupported = {"maxFlashLoan(address)": words(5), "flashFee(address,uint256)": None}
    assert isinstance(Erc3156((LENDER,)).offers(NEED, answering(unsupported)), str)
    assert isinstance(UniswapV3({}).offers(NEED, answering({})), str)


# ------------------------------------------------------------------ what a route needs

TOKENS = (WETH, USDC, DAI)
VENUES = (VenueKind.UNISWAP_V2, VenueKind.UNISWAP_V3, VenueKind.CURVE_STABLESWAP, VenueKind.SOLIDLY_STABLE)


@st.composite
def joint_routes(draw: st.DrawFn) -> JointRoute:
    """Legs between three tokens; what they leave unpaid is made up for by a last one."""
    legs: list[Hop] = []
    for number in range(draw(st.integers(1, 6))):
        tokens = draw(st.permutations(TOKENS))[:2]
        amounts = draw(st.tuples(st.integers(1, 100), st.integers(1, 100)))
        legs.append(leg(number + 1, draw(st.sampled_from(VENUES)), (tokens[0], tokens[1]), amounts))
    changes: dict[Address, int] = {}
    for one in legs:
        changes[one.token_in] = changes.get(one.token_in, 0) - one.amount_in
        changes[one.token_out] = changes.get(one.token_out, 0) + one.amount_out
    short = [(token, -change) for token, change in changes.items() if change < 0]
    spare = next((token for token in TOKENS if changes.get(token, 0) >= 0), DAI)
    for number, (token, missing) in enumerate(short):
        legs.append(leg(100 + number, VenueKind.UNISWAP_V2, (spare, token), (1, missing + 1)))
        changes[spare] = changes.get(spare, 0) - 1
    if any(sum(_change(one, token) for one in legs) < 0 for token in TOKENS):
        legs.append(leg(200, VenueKind.UNISWAP_V3, (DAI, spare), (1, 10**4)))
        legs.append(leg(201, VenueKind.UNISWAP_V3, (spare, DAI), (1, 10**4)))
    return JointRoute(WETH, tuple(legs))


def _change(one: Hop, token: Address) -> int:
    return one.amount_out * (one.token_out == token) - one.amount_in * (one.token_in == token)


def runs_dry(route: JointRoute, loan: int) -> bool:
    """Whether the profit token runs out when the legs run in order, each paid when its turn comes."""
    held = loan
    for one in route.legs:
        held -= one.amount_in * (one.token_in == route.token)
        if held < 0:
            return True
        held += one.amount_out * (one.token_out == route.token)
    return held < loan  # and the loan comes back


@settings(deadline=None, max_examples=300)
@given(joint_routes())
def test_a_joint_route_needs_its_largest_deficit_and_no_more(route: JointRoute) -> None:
    amount = amount_needed(route)
    assert not runs_dry(route, amount)
    assert amount == 0 or runs_dry(route, amount - 1)


async def test_joint_routes_get_a_loan_where_their_pools_cannot_wait(desk: Desk) -> None:
    """Two parallel pools out and one back: both inputs are needed at once, unless both pools pay out first."""
    legs = (
        leg(1, VenueKind.UNISWAP_V2, (WETH, USDC), (3 * WAD, 9_000)),
        leg(2, VenueKind.UNISWAP_V3, (WETH, USDC), (2 * WAD, 6_000)),
        leg(3, VenueKind.UNISWAP_V2, (USDC, WETH), (15_000, 6 * WAD)),
    )
    found = await desk.chosen(JointRoute(WETH, legs), executor=None)
    assert (found.kind, found.amount, found.lender) == (LenderKind.FLASH_SWAP, 5 * WAD, legs[0].pool)
    pulled = [replace(one, venue=VenueKind.CURVE_STABLESWAP, detail=COINS) for one in legs]
    found = await desk.chosen(JointRoute(WETH, tuple(pulled)), executor=None)
    assert (found.kind, found.amount) == (LenderKind.UNISWAP_V4, 5 * WAD)
    assert "flash_swap: no pool of the route" in found.reason


def test_every_chain_has_its_lenders() -> None:
    assert set(LENDERS) == {1, 10, 137, 8453, 42161}
    assert lenders_of(5) == Lenders()
    assert LENDERS[137].balancer_v3_vault is None
    for lenders in LENDERS.values():
        assert lenders.morpho
        assert lenders.uniswap_v4_manager
        assert lenders.balancer_v2_vault
        assert lenders.aave_v3_pool
    assert set(LOAN_GAS) == set(LenderKind)
    assert isinstance(NEED, Need)
