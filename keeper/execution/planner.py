"""Chooses where the input of a route is borrowed: the cheapest source that has enough."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

from keeper.domain.chain import BlockHeader
from keeper.domain.joint_route import JointRoute
from keeper.domain.plan import Financing
from keeper.domain.route import Route
from keeper.domain.token import LenderKind
from keeper.domain.units import Address, Hash32
from keeper.execution.lenders import LENDERS, LOAN_GAS, WITHIN_GAS, Lenders
from keeper.execution.needs import Need, need_of
from keeper.execution.registry import sources_of
from keeper.execution.sources import Offer
from keeper.market.multicall import Call, aggregate
from keeper.market.node import Node
from keeper.market.specs import PoolSpec

PREFERENCE = tuple(LOAN_GAS)
"""Every source, the one with the least gas first; decides between equals."""


@dataclass(frozen=True, slots=True)
class Unfinanced:
    """Why no allowed source can lend the input of a route; ``text`` says it of each."""

    reason: str
    text: str


@dataclass(frozen=True, slots=True)
class _Choice:
    """A loan that would do.

    Attributes:
        cost: wei, gas included, where the token's worth is known; else the fee alone, raw units.
        gas: decides between equals.
    """

    kind: LenderKind
    offer: Offer
    cost: int
    gas: int

    @property
    def rank(self) -> tuple[int, int, int]:
        return self.cost, self.gas, PREFERENCE.index(self.kind)


class Planner:
    """Finances routes.

    The route's own pools are the cheapest source where they can pay out before they are paid: no fee, no call beyond
    the swaps themselves, less gas than even the executor's own balance, and they cannot run short. A loop on Uniswap
    V4's account needs nothing at all. Nobody has to be asked about either, so a block with such routes alone costs no
    request. All other sources are compared by fee plus gas at the next block's base fee, on figures read live in one
    request per block; a contract that the route unlocks in any case, Uniswap V4's manager or Balancer V3's vault, saves
    the gas of unlocking. Contracts that never change are looked up once.

    Args:
        allowed: the sources that may be used.
        lenders: their addresses; those of the chain when None.
        executor: whose own balance may serve as a source.
        flash_pools: Uniswap V3 pools that may lend by ``flash``.
        refused_tokens: tokens that no route may touch, such as those that keep a fee on transfer, and why. Looked up
            anew for every route, so its owner may add to it.
    """

    def __init__(
        self,
        node: Node,
        *,
        chain_id: int,
        weth: Address,
        allowed: Iterable[LenderKind] = PREFERENCE,
        lenders: Lenders | None = None,
        executor: Address | None = None,
        flash_pools: Sequence[PoolSpec] = (),
        refused_tokens: Mapping[Address, str] | None = None,
    ) -> None:
        self._node = node
        self._weth = weth
        self._allowed = frozenset(allowed)
        known = lenders or LENDERS.get(chain_id, Lenders())
        found = sources_of(known, executor, flash_pools)
        self._sources = {source.kind: source for source in found if source.kind in self._allowed}
        self._unlockable = {
            LenderKind.UNISWAP_V4: known.uniswap_v4_manager,
            LenderKind.BALANCER_V3: known.balancer_v3_vault,
        }
        self._refused = {} if refused_tokens is None else refused_tokens
        self._fixed: dict[Call, bytes] = {}
        self._block: Hash32 | None = None
        self._answers: dict[Call, bytes | None] = {}

    async def finance(
        self,
        routes: Sequence[Route | JointRoute],
        head: BlockHeader,
        base_fee: int,
        prices: Mapping[Address, Fraction] | None = None,
    ) -> list[Financing | Unfinanced]:
        """The financing of each route, in the same order, on the state of ``head``.

        Args:
            prices: wei of the chain's coin that one raw unit of a token is worth; without one, loans of a token other
                than the wrapped coin are compared by their fee first, by gas only between equals.

        Raises:
            ComponentError: when the node cannot be asked.
            RpcError: when it does not know ``head`` any more.
        """
        needs = [need_of(route) for route in routes]
        settled = [self._at_once(need) for need in needs]
        open_needs = [need for need, done in zip(needs, settled, strict=True) if done is None]
        if open_needs:
            await self._read(open_needs, head.hash)
        return [done or self._choose(need, base_fee, prices or {}) for need, done in zip(needs, settled, strict=True)]

    def _at_once(self, need: Need) -> Financing | Unfinanced | None:
        """The answer that needs no figures: a refusal, or where nothing can be cheaper."""
        for token in sorted(need.tokens & self._refused.keys()):
            return Unfinanced("refused_token", f"{token}: {self._refused[token]}")
        if need.account is not None and LenderKind.UNISWAP_V4 in self._allowed:
            reason = "all its swaps are on one account, which has to be settled at the end alone: nothing is borrowed"
            return Financing(LenderKind.UNISWAP_V4, need.account, need.amount, 0, reason)
        flash = LenderKind.FLASH_SWAP
        if need.flash_pool is None or flash not in self._allowed:
            return None
        reason = "flash swap through the route's own pools: no fee, least gas, always has the capacity"
        return Financing(flash, need.flash_pool, need.amount, 0, reason)

    def _choose(self, need: Need, base_fee: int, prices: Mapping[Address, Fraction]) -> Financing | Unfinanced:
        worth = Fraction(1) if need.token == self._weth else prices.get(need.token)
        choices: list[_Choice] = []
        causes: list[str] = []
        for kind in PREFERENCE:
            offers = self._offers(kind, need)
            if offers is None:
                continue
            if isinstance(offers, str):
                causes.append(f"{kind}: {offers}")
                continue
            enough = [offer for offer in offers if offer.capacity >= need.amount]
            if not enough:
                causes.append(f"{kind} has only {max(offer.capacity for offer in offers)}")
                continue
            offer = min(enough, key=lambda one: one.fee)
            gas = WITHIN_GAS[kind] if kind in WITHIN_GAS and offer.lender in need.unlocked else LOAN_GAS[kind]
            cost = offer.fee if worth is None else _worth(offer.fee, worth) + gas * base_fee
            choices.append(_Choice(kind, offer, cost, gas))
        if not choices:
            return Unfinanced("no_lender_with_capacity", "; ".join(causes) or "no lender is allowed")
        best, *others = sorted(choices, key=lambda choice: choice.rank)
        unit = "raw units without gas" if worth is None else "wei with gas"
        told = [f"{best.kind} costs {best.cost} {unit}, fee {best.offer.fee}"]
        told += [f"{choice.kind} costs {choice.cost}" for choice in others]
        return Financing(
            best.kind, best.offer.lender, need.amount, best.offer.fee, "; ".join(told + causes), best.offer.token0
        )

    def _offers(self, kind: LenderKind, need: Need) -> Sequence[Offer] | str | None:
        """What one kind of source offers, or why nothing; None for one that may not be used or is not there."""
        if kind in self._unlockable and need.unlocked - {self._unlockable[kind]}:
            return "the route unlocks another contract, and a transaction unlocks one"
        if kind is not LenderKind.FLASH_SWAP:
            source = self._sources.get(kind)
            return None if source is None else source.offers(need, self._answer)
        if kind not in self._allowed:
            return None
        if need.flash_pool is None:
            return "no pool of the route can pay out first and wait for all of its input"
        return [Offer(need.flash_pool, need.amount)]

    async def _read(self, needs: Sequence[Need], block: Hash32) -> None:
        """Ask in one request what the sources want to know for ``needs`` and was not asked in this block."""
        if self._block != block:
            self._block, self._answers = block, {}
        sources = self._sources.values()
        fixed = {call for need in needs for source in sources for call in source.fixed(need)} - self._fixed.keys()
        for call, returned in await self._ask(fixed, block):
            if returned is not None and any(returned):  # what is not there yet may come
                self._fixed[call] = returned
        wanted = {call for need in needs for source in sources for call in source.calls(need, self._answer)}
        self._answers |= await self._ask(wanted - self._answers.keys(), block)

    async def _ask(self, calls: Iterable[Call], block: Hash32) -> list[tuple[Call, bytes | None]]:
        ordered = sorted(calls)
        if not ordered:
            return []
        return list(zip(ordered, await aggregate(self._node, ordered, block), strict=True))

    def _answer(self, call: Call) -> bytes | None:
        return self._fixed.get(call) or self._answers.get(call)


def _worth(fee: int, worth: Fraction) -> int:
    """Wei of ``fee`` raw units, rounded up."""
    return -(-fee * worth.numerator // worth.denominator)
