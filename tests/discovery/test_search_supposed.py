"""A search on supposed states answers as one on such a market, and leaves no trace."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keeper.discovery.search.detection import Layer
from keeper.discovery.search.engine import LoopSearch
from keeper.discovery.search.loop_filter import DexRule, LoopFilter
from keeper.domain.errors import InputError
from tests.discovery.markets import TOKENS, address, random_market, v2
from tests.discovery.test_search_update import moved

WETH = TOKENS[0]
RULES = tuple(LoopFilter(dexes=rule) for rule in DexRule)


def contents(search: LoopSearch) -> dict[str, Any]:
    """All that the search keeps, byte by byte, but for room in the range arrays that no row uses."""
    table = search.table
    kept: dict[str, Any] = {"pools": list(table.pools), "used": table._used, "fees": list(table._fees)}
    for part in (table.ranges, table.exact, table.heads, table.ends):
        for name, array in part._asdict().items():
            whole = array[: table._used] if name in ("bounds", "liquidity", "ticks") else array
            kept[f"{type(part).__name__}.{name}"] = whole.tobytes()
    for name in ("fee_tier", "_layout", "_capacity"):
        kept[name] = getattr(table, name).tobytes()
    layers: list[Layer | None] = [search._market, search._within]
    for n, layer in enumerate(layers):
        if layer is not None:
            kept[f"{n}.value"] = layer.value.tobytes()
            for part in (layer.graph, layer.hubs):
                for name, array in part._asdict().items():
                    if isinstance(array, np.ndarray) and name != "marked":
                        kept[f"{n}.{name}"] = array.tobytes()
    return kept


@settings(max_examples=12, deadline=None)
@given(st.integers(0, 2**32), st.booleans(), st.integers(1, 2), st.sampled_from([0, 10**15]))
def test_answers_are_those_of_the_supposed_market_and_nothing_remains(
    seed: int, tables: bool, profit_tokens: int, probe: int
) -> None:
    rng = random.Random(seed)
    market = random_market(rng, 12, 4)
    steps = 0 if tables else 10**6
    search = LoopSearch(market, TOKENS[:profit_tokens], enumerated_steps=steps, probe=probe)
    for _ in range(3):
        for allow in RULES:
            search.find(market, allow=allow)
        before = contents(search)
        changes = {key: moved(rng, market[key]) for key in rng.sample(list(market), rng.randint(1, 4))}
        anew = LoopSearch({**market, **changes}, TOKENS[:profit_tokens], enumerated_steps=steps)
        if not probe:
            # the amounts at which rates are taken come from the market as it was when the tables were made
            for allow in RULES:
                assert search.find_after(changes, allow=allow) == anew.find(list(changes), allow=allow)
        expected = anew.find_split(list(changes), allow=LoopFilter(), gas_per_leg=1e13)
        found = search.find_after(changes, allow=LoopFilter(), gas_per_leg=1e13)
        assert probe or found == expected
        assert contents(search) == before
        # the next real change starts from the real states
        one = rng.choice(list(market))
        market = {**market, one: moved(rng, market[one])}
        search.update(market, [one])


def test_an_error_on_the_way_leaves_no_trace(monkeypatch: pytest.MonkeyPatch) -> None:
    market = random_market(random.Random(1), 12, 3)
    search = LoopSearch(market, [WETH])
    before = contents(search)
    one = next(iter(market))

    def fail(*_: object, **__: object) -> None:
        raise RuntimeError

    monkeypatch.setattr(LoopSearch, "find", fail)
    with pytest.raises(RuntimeError):
        search.find_after({one: moved(random.Random(2), market[one])}, allow=LoopFilter())
    assert contents(search) == before


def test_unknown_pools_are_refused() -> None:
    search = LoopSearch(random_market(random.Random(1), 5), [WETH])
    with pytest.raises(InputError, match="changes"):
        search.find_after({address(99): v2(99, "new", WETH, TOKENS[1], 1e6)}, allow=LoopFilter())
