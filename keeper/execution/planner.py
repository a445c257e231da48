"""Chooses where the input of a route is borrowed: the cheapest source that has enough."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from eth_abi.abi import encode
from eth_utils.address import to_checksum_address
from eth_utils.crypto import keccak

from keeper.domain.chain import BlockHeader
from keeper.domain.plan import Financing
from keeper.domain.route import Route
from keeper.domain.token import LenderKind
from keeper.domain.units import WAD, Address, Hash32
from keeper.execution.lenders import LENDERS, LOAN_GAS, Lenders
from keeper.market.multicall import Call, aggregate
from keeper.market.node import Node

PREFERENCE = (LenderKind.FLASH_SWAP, LenderKind.MORPHO, LenderKind.BALANCER_V2, LenderKind.AAVE_V3)
"""Every source, the one with the least gas first; decides between equals."""

ATOKEN_WORD = 8
"""Position of the aToken's address in the answer of `getReserveData`; the configuration is at 0."""
ACTIVE, PAUSED, FLASH_LOANS_ENABLED = 1 << 56, 1 << 60, 1 << 63
"""Bits of the reserve configuration of Aave V3."""
CEILING_REVISION = 9
"""Aave 3.5: from this revision of the pool on, premiums are rounded up (percentMulCeil), before that half up."""


@dataclass(frozen=True, slots=True)
class Offer:
    """What one lender has of one token in one block.

    Attributes:
        capacity: raw units that can be borrowed.
        fee_rate: fee as a fraction of ``fee_scale``.
        round_up: whether the fee is rounded up, else to the nearest (half up).
    """

    lender: Address
    capacity: int
    fee_rate: int = 0
    fee_scale: int = 1
    round_up: bool = True

    def fee(self, amount: int) -> int:
        """Raw units owed on top of ``amount``, with the lender's own rounding."""
        product = amount * self.fee_rate
        if self.round_up:
            return -(-product // self.fee_scale)
        return (product + self.fee_scale // 2) // self.fee_scale


@dataclass(frozen=True, slots=True)
class Unfinanced:
    """Why no allowed source can lend the input of a route; ``text`` says it of each."""

    reason: str
    text: str


class Planner:
    """Finances routes.

    A flash swap through the route's own first pool costs nothing and cannot run short: the pool pays out its side
    of the trade before it is paid. It is what a route gets unless ``allowed`` leaves it out. The other lenders are
    compared by fee plus gas at the next block's base fee, on figures read live in one request per block.

    Args:
        allowed: the sources that may be used.
        lenders: their addresses; those of the chain when None.
    """

    def __init__(
        self,
        node: Node,
        *,
        chain_id: int,
        weth: Address,
        allowed: Iterable[LenderKind] = PREFERENCE,
        lenders: Lenders | None = None,
    ) -> None:
        self._node = node
        self._weth = weth
        chosen = frozenset(allowed)
        self._allowed = tuple(kind for kind in PREFERENCE if kind in chosen)
        self._lenders = lenders or LENDERS.get(chain_id) or Lenders(None, None, None)
        self._block: Hash32 | None = None
        self._offers: dict[Address, dict[LenderKind, Offer]] = {}
        self._fee_collector: Address | None = None
        self._atokens: dict[Address, Address] = {}

    async def finance(self, routes: Sequence[Route], head: BlockHeader, base_fee: int) -> list[Financing | Unfinanced]:
        """The financing of each route, in the same order, on the state of ``head``.

        Raises:
            ComponentError: when the node cannot be asked.
            RpcError: when it does not know ``head`` any more.
        """
        if LenderKind.FLASH_SWAP in self._allowed:
            return [_flash_swap(route) for route in routes]
        if self._block != head.hash:
            self._block, self._offers = head.hash, {}
        unknown = {route.token for route in routes} - self._offers.keys()
        if unknown:
            self._offers |= await self._read_offers(sorted(unknown), head.hash)
        return [self._choose(route, base_fee) for route in routes]

    def _choose(self, route: Route, base_fee: int) -> Financing | Unfinanced:
        amount = route.amount_in
        offers = self._offers[route.token]
        # gas is paid in the native coin: it compares with a fee only where the token is the wrapped coin
        gas_price = base_fee if route.token == self._weth else 0
        costs: dict[LenderKind, int] = {}
        remarks: list[str] = []
        for kind in self._allowed:
            offer = offers.get(kind)
            if offer is None:
                remarks.append(f"{kind} does not lend this token")
            elif offer.capacity < amount:
                remarks.append(f"{kind} has only {offer.capacity}")
            else:
                costs[kind] = offer.fee(amount) + LOAN_GAS[kind] * gas_price
        if not costs:
            return Unfinanced("no_lender_with_capacity", "; ".join(remarks) or "no lender is allowed")
        best = min(costs, key=lambda kind: costs[kind])  # the first of equals, which is the one with less gas
        remarks = [f"{kind} costs {cost}" for kind, cost in costs.items() if kind is not best] + remarks
        fee = offers[best].fee(amount)
        return Financing(
            kind=best,
            lender=offers[best].lender,
            amount=amount,
            fee=fee,
            reason=f"{best} costs {costs[best]} with gas, fee {fee}" + "".join(f"; {remark}" for remark in remarks),
        )

    async def _read_offers(self, tokens: Sequence[Address], block: Hash32) -> dict[Address, dict[LenderKind, Offer]]:
        await self._read_addresses(tokens, block)
        lenders = self._lenders
        questions: dict[tuple[str, Address | None], Call] = {}
        if lenders.balancer_v2_vault and self._fee_collector:
            questions["balancer_fee", None] = (self._fee_collector, _call_data("getFlashLoanFeePercentage()"))
            questions["balancer_paused", None] = (lenders.balancer_v2_vault, _call_data("getPausedState()"))
        if lenders.aave_v3_pool:
            questions["aave_premium", None] = (lenders.aave_v3_pool, _call_data("FLASHLOAN_PREMIUM_TOTAL()"))
            questions["aave_revision", None] = (lenders.aave_v3_pool, _call_data("POOL_REVISION()"))
        for token in tokens:
            holders = {
                "morpho": lenders.morpho,
                "balancer": lenders.balancer_v2_vault,
                "aave": self._atokens.get(token),
            }
            for name, holder in holders.items():
                if holder:
                    questions[name, token] = (token, _call_data("balanceOf(address)", holder))
            if lenders.aave_v3_pool and token in self._atokens:
                pool = lenders.aave_v3_pool
                questions["aave_reserve", token] = (pool, _call_data("getReserveData(address)", token))
                questions["aave_virtual", token] = (pool, _call_data("getVirtualUnderlyingBalance(address)", token))
        returned = await aggregate(self._node, list(questions.values()), block)
        answers = {key: _word(content) for key, content in zip(questions, returned, strict=True)}
        return {token: self._offers_of(token, answers) for token in tokens}

    async def _read_addresses(self, tokens: Sequence[Address], block: Hash32) -> None:
        """Contracts that never change and so are asked for once: Balancer's fee collector, Aave's aTokens."""
        missing = [token for token in tokens if token not in self._atokens]
        vault, pool = self._lenders.balancer_v2_vault, self._lenders.aave_v3_pool
        reads: dict[Address | None, Call] = {}
        if vault and self._fee_collector is None:
            reads[None] = (vault, _call_data("getProtocolFeesCollector()"))
        if pool:
            reads |= {token: (pool, _call_data("getReserveData(address)", token)) for token in missing}
        returned = await aggregate(self._node, list(reads.values()), block)
        for key, content in zip(reads, returned, strict=True):
            found = _word(content, 0 if key is None else ATOKEN_WORD)
            if not found:
                continue
            address = Address(to_checksum_address(found.to_bytes(32, "big")[12:]))
            if key is None:
                self._fee_collector = address
            else:
                self._atokens[key] = address

    def _offers_of(
        self, token: Address, answers: dict[tuple[str, Address | None], int | None]
    ) -> dict[LenderKind, Offer]:
        lenders = self._lenders
        offers: dict[LenderKind, Offer] = {}
        balance = answers.get(("morpho", token))
        if lenders.morpho and balance:
            offers[LenderKind.MORPHO] = Offer(lenders.morpho, balance)

        balance, fee = answers.get(("balancer", token)), answers.get(("balancer_fee", None))
        if lenders.balancer_v2_vault and balance and fee is not None and answers.get(("balancer_paused", None)) == 0:
            # Vault: FixedPoint.mulUp(amount, percentage)
            offers[LenderKind.BALANCER_V2] = Offer(lenders.balancer_v2_vault, balance, fee, WAD)

        balance, premium = answers.get(("aave", token)), answers.get(("aave_premium", None))
        configuration = answers.get(("aave_reserve", token)) or 0
        lends = configuration & (ACTIVE | PAUSED | FLASH_LOANS_ENABLED) == ACTIVE | FLASH_LOANS_ENABLED
        if lenders.aave_v3_pool and balance and premium is not None and lends:
            accounted = answers.get(("aave_virtual", token))  # since 3.1 donations to the aToken are not lent out
            capacity = balance if accounted is None else min(balance, accounted)
            round_up = (answers.get(("aave_revision", None)) or 0) >= CEILING_REVISION
            offers[LenderKind.AAVE_V3] = Offer(lenders.aave_v3_pool, capacity, premium, 10_000, round_up)
        return offers


def _call_data(signature: str, *arguments: object) -> bytes:
    """Calldata of a function whose parameters are all elementary types."""
    inside = signature[signature.index("(") + 1 : -1]
    return keccak(text=signature)[:4] + encode(inside.split(",") if inside else [], arguments)


def _word(returned: bytes | None, index: int = 0) -> int | None:
    """The 32-byte word at ``index`` of a returned tuple; None when the call failed or returned less."""
    if returned is None or len(returned) < 32 * (index + 1):
        return None
    return int.from_bytes(returned[32 * index : 32 * (index + 1)], "big")


def _flash_swap(route: Route) -> Financing:
    return Financing(
        kind=LenderKind.FLASH_SWAP,
        lender=route.hops[0].pool,
        amount=route.amount_in,
        fee=0,
        reason="flash swap through the route's own first pool: no fee, least gas, always has the capacity",
    )
