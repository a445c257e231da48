"""Instances of the joint problem as cones, the same for Clarabel, and what its answers earn in the pools' integers."""

from __future__ import annotations

import json
import math
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.peers.environment import answer_of_peer, python_of_peer
from keeper.discovery.search.bundle import Flow, make_bundle
from keeper.discovery.search.joint_instance import JointInstance, JointMarket
from keeper.discovery.search.ranges import FloatArray

PEER = "clarabel_cones"
WINDOW = 0.03
"""Ranges that begin further below their pool's first rate are left out, in Clarabel's favour: no bundle gets there."""
PEER_SECONDS = 900


@dataclass(frozen=True)
class PeerAnswer:
    """What Clarabel made of one instance.

    Attributes:
        seconds: of its ``solve`` alone.
        status: as it names it.
        profit: gross, raw units of the profit token, in the pools' integers by the same rounding as ours.
    """

    seconds: float
    status: str
    profit: int


def ask_clarabel(
    instances: list[tuple[JointMarket, FloatArray]], dollar: float, say: Callable[[str], None]
) -> list[PeerAnswer]:
    """Clarabel's answers; each instance comes with the logarithms of prices by which amounts are scaled.

    Args:
        dollar: raw units of the profit token in one dollar.

    Raises:
        ComponentError: it cannot be installed or run here.
    """
    python = python_of_peer(PEER, say)
    pieces = [pieces_of(market.instance, log_price, dollar) for market, log_price in instances]
    with tempfile.TemporaryDirectory() as folder:
        request = Path(folder, "request.json")
        request.write_text(json.dumps([question for question, _ in pieces]))
        answers = answer_of_peer(python, PEER, request, PEER_SECONDS)
    made = []
    for (market, log_price), (_, slots), answer in zip(instances, pieces, answers, strict=True):
        bundle = make_bundle(_flows(market, log_price, dollar, slots, answer["inputs"]), market.tokens[-1])
        made.append(PeerAnswer(answer["seconds"], answer["status"], bundle.gross_profit if bundle else 0))
    return made


def pieces_of(made: JointInstance, log_price: FloatArray, dollar: float) -> tuple[dict[str, Any], list[int]]:
    """The constant-product ranges near the price, in dollars, and the slot of each."""
    rows: dict[str, list[Any]] = {name: [] for name in ("token_in", "token_out", "depth", "root", "most")}
    slots: list[int] = []
    pair_of = np.searchsorted(made.first, np.arange(made.group.size), side="right") - 1
    for slot in np.flatnonzero(made.head > 0.0).tolist():
        pool = slot >> 1
        pair = pair_of[pool]
        a, b = (made.low[pair], made.high[pair]) if slot & 1 == 0 else (made.high[pair], made.low[pair])
        # in dollars an input counts v[a], an output v[b], a rate v[b] / v[a]
        rate_scale = math.exp(0.5 * (log_price[b] - log_price[a]))
        depth_scale = math.exp(0.5 * (log_price[a] + log_price[b])) / dollar
        down, root_fee = bool(made.downwards[pool]) == (slot & 1 == 0), float(made.root_fee[slot])
        at, q = int(made.at[slot]), float(made.head[slot])
        while made.begin[pool] <= at < made.end[pool] and q * q > (1 - WINDOW) * made.head[slot] ** 2:
            if down:
                end = root_fee * max(made.bounds[at], made.lowest[pool])
            else:
                end = root_fee / min(made.bounds[at + 1], made.highest[pool])
            depth = made.liquidity[at] / root_fee * depth_scale
            if depth > 0.0 and end < q:
                slots.append(slot)
                rows["token_in"].append(int(a))
                rows["token_out"].append(int(b))
                rows["depth"].append(depth)
                rows["root"].append(q * rate_scale)
                most = depth / rate_scale * (1 / end - 1 / q) if end > 0.0 else None
                rows["most"].append(most)
            at += -1 if down else 1
            q = min(q, end)
    return {"tokens": len(log_price), **rows}, slots


def _flows(
    market: JointMarket, log_price: FloatArray, dollar: float, slots: list[int], inputs: list[float]
) -> list[Flow]:
    """What the answer puts into each pool; of a pool used both ways, which costs two fees, the greater."""
    made = market.instance
    dollars: dict[int, float] = {}
    for slot, amount in zip(slots, inputs, strict=True):
        dollars[slot] = dollars.get(slot, 0.0) + amount
    flows = []
    pair_of = np.searchsorted(made.first, np.arange(made.group.size), side="right") - 1
    for slot, amount in dollars.items():
        pool, pair = market.pools[slot >> 1], pair_of[slot >> 1]
        assert pool is not None
        net = amount - dollars.get(slot ^ 1, 0.0)
        # an interior point leaves a little in every pool
        if net <= 1e-3:
            continue
        a, b = (made.low[pair], made.high[pair]) if slot & 1 == 0 else (made.high[pair], made.low[pair])
        raw = net * dollar / math.exp(log_price[a])
        flows.append(Flow(pool, market.tokens[a], market.tokens[b], raw, net))
    return flows
