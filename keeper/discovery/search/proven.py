"""Loops with their exact amounts, before anybody has asked for them as routes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np

from keeper.discovery.search.arrays import BoolArray, FloatArray, IntArray, WordArray
from keeper.discovery.search.exact import TAKEN, Work, pay_loops
from keeper.discovery.search.integer import Disproof, Leg, pay_split, prove, to_joint_route
from keeper.discovery.search.tables import PoolTable
from keeper.domain.joint_route import JointRoute
from keeper.domain.route import Route
from keeper.domain.units import Address


@dataclass(frozen=True)
class Legs:
    """Loops as rows of pools: the legs of loop i are ``start[i]:start[i + 1]``, hop by hop.

    Attributes:
        sizes: by loop, input in floating point.
        worth: by loop, of a raw unit of its first token in the first profit token.
        at_kink: by loop; see `keeper.discovery.search.integer.prove`.
        hops, pools, shares: by leg: its hop, its row, and the share of what the hop takes in.
        first_in: by leg, whether the pool's token0 comes in.
    """

    start: IntArray
    sizes: FloatArray
    worth: FloatArray
    at_kink: BoolArray
    hops: IntArray
    pools: IntArray
    shares: FloatArray
    first_in: BoolArray

    @staticmethod
    def joined(a: Legs, b: Legs) -> Legs:
        """The loops of ``a``, then those of ``b``."""
        names = (field.name for field in fields(Legs) if field.name != "start")
        columns = {name: np.concatenate((getattr(a, name), getattr(b, name))) for name in names}
        return Legs(np.concatenate((a.start, a.start[-1] + b.start[1:])), **columns)

    def take(self, loops: Sequence[int] | IntArray) -> Legs:
        """Some of the loops, in this order."""
        chosen = np.asarray(loops, dtype=np.int64)
        counts = (self.start[1:] - self.start[:-1])[chosen]
        start = np.zeros(chosen.size + 1, dtype=np.int32)
        np.cumsum(counts, out=start[1:])
        legs = np.arange(start[-1]) + np.repeat(self.start[chosen] - start[:-1], counts)
        return Legs(
            start,
            self.sizes[chosen],
            self.worth[chosen],
            self.at_kink[chosen],
            self.hops[legs],
            self.pools[legs],
            self.shares[legs],
            self.first_in[legs],
        )


class Batch:
    """Loops that were proven together: their legs, the states of their pools then, and what these pay.

    Attributes:
        states: by leg.
        given, paid, profits: exact amounts by leg, and profits by loop, two 64-bit words each.
        status: by loop, how `keeper.discovery.search.exact` answered.
    """

    __slots__ = ("given", "keys", "legs", "paid", "profits", "states", "status")

    def __init__(self, table: PoolTable, legs: Legs, work: Work) -> None:
        size, loops = legs.pools.size, legs.sizes.size
        self.legs = legs
        self.keys = table.keys
        known = table.pools
        # only pools with a state have a rate
        self.states = [known[k] for k in legs.pools.tolist()]
        self.given, self.paid = np.zeros((size, 2), dtype=np.uint64), np.zeros((size, 2), dtype=np.uint64)
        self.profits = np.zeros((loops, 2), dtype=np.uint64)
        self.status = np.zeros(loops, dtype=np.int32)
        pay_loops(
            table.ranges,
            table.exact,
            work,
            legs.start,
            legs.sizes,
            legs.pools,
            legs.hops,
            legs.first_in,
            legs.shares,
            self.given,
            self.paid,
            self.profits,
            self.status,
        )

    def swaps(self, loop: int) -> list[Leg]:
        a, b = self.legs.start[loop : loop + 2].tolist()
        columns = zip(self.legs.first_in[a:b].tolist(), self.states[a:b], strict=True)
        return [Leg(pool, pool.token0 if first else pool.token1) for first, pool in columns if pool is not None]


class ProvenLoop:
    """A loop whose pools pay what it says, to the unit; immutable.

    Attributes:
        gross_profit: raw units of its first token, before loan fee, gas and bid.
        worth: of a raw unit of its first token in the first profit token.
        legs: number of swaps.
    """

    __slots__ = ("_amounts", "_batch", "_index", "gross_profit", "legs", "worth")

    def __init__(
        self,
        batch: Batch,
        index: int,
        gross_profit: int,
        worth: float,
        legs: int,
        amounts: list[tuple[int, int]] | None = None,
    ) -> None:
        self._batch, self._index, self._amounts = batch, index, amounts
        self.gross_profit, self.worth, self.legs = gross_profit, worth, legs

    def net(self, gas_per_leg: float) -> float:
        """What remains of the profit after the gas of the legs, in the first profit token."""
        return self.gross_profit * self.worth - gas_per_leg * self.legs

    @property
    def pools(self) -> tuple[Address, ...]:
        """By leg."""
        a, b = self._batch.legs.start[self._index : self._index + 2].tolist()
        return tuple(self._batch.keys[k] for k in self._batch.legs.pools[a:b].tolist())

    @property
    def is_split(self) -> bool:
        return self.legs > int(self._batch.legs.hops[self._batch.legs.start[self._index + 1] - 1]) + 1

    @property
    def amounts(self) -> list[tuple[int, int]]:
        """By leg, what it is given and what it pays."""
        if self._amounts is None:
            a, b = self._batch.legs.start[self._index : self._index + 2].tolist()
            given, paid = self._batch.given[a:b], self._batch.paid[a:b]
            self._amounts = list(zip(_integers(given), _integers(paid), strict=True))
        return self._amounts

    def route(self) -> Route | JointRoute:
        """As the rest of the keeper knows it, a loop without splits with the last units that rounding leaves."""
        swaps, amounts = self._batch.swaps(self._index), self.amounts
        if self.is_split:
            return to_joint_route(swaps, amounts)
        known = (amounts[0][0], *(paid for _, paid in amounts))
        legs = self._batch.legs
        size, at_kink = float(legs.sizes[self._index]), bool(legs.at_kink[self._index])
        if known[0] != max(int(size), 1):
            # the end of liquidity: how near it the input may come is still to be found
            known = ()
        proof = prove(swaps, size, at_kink=at_kink, known=known)
        assert isinstance(proof, Route), "a loop that earns at one input earns at the best near it"
        return proof


def prove_each(table: PoolTable, legs: Legs, work: Work) -> list[ProvenLoop | Disproof]:
    """What each loop earns in integers: in compiled code where that covers its pools, else by the pools themselves."""
    batch = Batch(table, legs, work)
    profits, counts = _integers(batch.profits), np.diff(legs.start).tolist()
    columns = zip(batch.status.tolist(), profits, legs.worth.tolist(), counts, strict=True)
    return [
        ProvenLoop(batch, i, profit, worth, count) if status == TAKEN else _by_the_pools(batch, i, worth)
        for i, (status, profit, worth, count) in enumerate(columns)
    ]


def _by_the_pools(batch: Batch, index: int, worth: float) -> ProvenLoop | Disproof:
    legs, swaps = batch.legs, batch.swaps(index)
    a, b = legs.start[index : index + 2].tolist()
    if not swaps:
        return Disproof(())
    size, hops = float(legs.sizes[index]), legs.hops[a:b].tolist()
    if hops[-1] + 1 < len(hops):
        amounts = pay_split(swaps, hops, legs.shares[a:b].tolist(), size)
        taken = sum(given for hop, (given, _) in zip(hops, amounts, strict=False) if hop == 0)
        gross = sum(paid for hop, (_, paid) in zip(hops, amounts, strict=False) if hop == hops[-1]) - taken
        return ProvenLoop(batch, index, gross, worth, len(hops), amounts) if gross > 0 else Disproof(())
    proof = prove(swaps, size, at_kink=bool(legs.at_kink[index]))
    if isinstance(proof, Disproof):
        return proof
    amounts = [(hop.amount_in, hop.amount_out) for hop in proof.hops]
    return ProvenLoop(batch, index, proof.gross_profit, worth, len(hops), amounts)


def _integers(words: WordArray) -> list[int]:
    return [low | high << 64 for low, high in words.tolist()]
