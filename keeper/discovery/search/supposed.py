"""What the tables held before a supposed change, so that they can be put back to the last bit."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from keeper.discovery.search.detection import Layer
from keeper.discovery.search.tables import PoolTable


class Saved:
    """The rows ``rows`` of a table and what the layers derive from them. Costs what the rows and the hubs hold."""

    def __init__(self, table: PoolTable, layers: Sequence[Layer], rows: Sequence[int]) -> None:
        self._table, self._rows = table, table.save(rows)
        self._parts: list[tuple[NDArray[np.generic], NDArray[np.int64] | None, NDArray[np.generic]]] = []
        chosen = np.array(rows, dtype=np.int64)
        for layer in layers:
            pairs = np.unique(layer.graph.pair_of[chosen]).astype(np.int64)
            edges = np.concatenate((2 * pairs, 2 * pairs + 1))
            for array in (layer.graph.log_rate, layer.graph.best):
                self._parts.append((array, edges, array[edges]))
            hubs = layer.hubs
            for whole in (
                layer.value,
                hubs.direct_rate,
                hubs.two_rate,
                hubs.two_node,
                hubs.two_size,
                hubs.two_floor,
                hubs.three_rate,
                hubs.three_path,
            ):
                at = layer.anchors.astype(np.int64) if whole is layer.value else None
                self._parts.append((whole, at, whole.copy() if at is None else whole[at]))

    def put_back(self) -> None:
        self._table.restore(self._rows)
        for array, at, values in self._parts:
            if at is None:
                array[...] = values
            else:
                array[at] = values
