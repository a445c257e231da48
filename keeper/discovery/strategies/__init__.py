"""The strategies by name. Each is a pure function of a market view."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from keeper.discovery.strategies.cross_dex import CrossDex
from keeper.discovery.strategies.triangular import Triangular
from keeper.discovery.view import MarketView
from keeper.domain.errors import InputError
from keeper.domain.protocols import Strategy

STRATEGIES: dict[str, Callable[[], Strategy[MarketView]]] = {
    CrossDex.name: CrossDex,
    Triangular.name: Triangular,
}


def build(names: Iterable[str]) -> list[Strategy[MarketView]]:
    """The named strategies with their default configuration, in the order given.

    Raises:
        InputError: a name is unknown.
    """
    built: list[Strategy[MarketView]] = []
    for name in dict.fromkeys(names):
        if name not in STRATEGIES:
            raise InputError("strategies", name, f"Choose from {', '.join(sorted(STRATEGIES))}.")
        built.append(STRATEGIES[name]())
    return built
