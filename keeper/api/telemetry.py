"""What the interface counts about itself and what Prometheus reads of the keeper."""

from __future__ import annotations

import time
from collections.abc import Mapping

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from keeper.store.queries import Accuracy, Totals

_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5)
_WEI_IN_ETHER = 10**18


class Telemetry:
    """Counters of one application."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "orion_api_requests", "Requests answered.", ("method", "route", "status"), registry=self.registry
        )
        self.seconds = Histogram(
            "orion_api_request_seconds", "Time to answer.", ("route",), buckets=_BUCKETS, registry=self.registry
        )
        self.clients = Gauge("orion_ws_clients", "Open WebSocket connections.", registry=self.registry)
        self.closed = Counter("orion_ws_closed", "Connections closed by us.", ("code",), registry=self.registry)

    def exposition(
        self,
        *,
        totals: Totals,
        accuracy: Accuracy,
        fates: Mapping[str, int],
        keeper: Mapping[str, str],
        bus: bool,
    ) -> bytes:
        """Prometheus' text format: the counters above and the state of the keeper.

        Amounts are in ether as floats, for graphs; the exact wei are in `/api/dashboard/stats`.
        """
        now = CollectorRegistry()

        def gauge(name: str, meaning: str, value: float) -> None:
            Gauge(name, meaning, registry=now).set(value)

        found = Gauge("orion_opportunities", "Opportunities of the latest run by fate.", ("fate",), registry=now)
        for fate, count in fates.items():
            found.labels(fate).set(count)
        gauge("orion_submitted", "Opportunities of the latest run that were sent.", totals.submitted)
        gauge("orion_net_profit_ether", "Net profit of the latest run.", totals.net / _WEI_IN_ETHER)
        gauge("orion_gas_ether", "Gas paid in the latest run.", totals.gas / _WEI_IN_ETHER)
        gauge("orion_mismatched", "Landed trades whose profit differs from the prediction.", accuracy.mismatched)
        gauge("orion_bus_up", "1 while the bus answers.", bus)
        gauge("orion_keeper_up", "1 while the keeper's heartbeat is there.", bool(keeper))
        state = Gauge("orion_keeper_state", "1 for what the keeper is doing.", ("state", "mode"), registry=now)
        if keeper:
            state.labels(keeper.get("state", "unknown"), keeper.get("mode", "unknown")).set(1)
        if keeper.get("head_block", "").isdecimal():
            gauge("orion_head_block", "Newest block that the keeper has worked through.", int(keeper["head_block"]))
        if keeper.get("seen_at", "").isdecimal():
            age = time.time() - int(keeper["seen_at"]) / 1e9
            gauge("orion_head_block_age_seconds", "Time since the keeper heard of that block.", age)
        return generate_latest(self.registry) + generate_latest(now)
