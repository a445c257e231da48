"""The JSON form of pool states and lists: what is written is read back, what is wrong is named."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from keeper.domain.errors import InputError
from keeper.domain.token import VenueKind
from keeper.market.loader import PoolSpec, read_pool_specs, read_token_list
from keeper.market.venues import InsufficientLiquidity, Pool, load, quote
from tests.market.chain import TOKEN0, TOKEN1, v2_pool, v3_pool

POOLS: list[Pool] = [
    v2_pool(reserves=(2**112 - 1, 0)),
    v3_pool(positions=[(-60, 120, 10**30), (-887220, 887220, 3)]),
    v3_pool(),
]


@pytest.mark.parametrize("pool", POOLS)
def test_a_state_survives_json(pool: Pool) -> None:
    assert load(json.loads(json.dumps(pool.to_json()))) == pool


def test_addresses_are_checksummed_and_numbers_may_be_strings() -> None:
    state = v2_pool().to_json()
    lower = {**state, "token1": state["token1"].lower(), "reserve0": int(state["reserve0"]), "fee_pips": "3000"}
    assert load(lower) == v2_pool()


@pytest.mark.parametrize(
    ("base", "change", "field"),
    [
        (0, {"venue": "uniswap_v9"}, "venue"),
        (0, {"venue": None}, "venue"),
        (0, {"address": "0x12"}, "address"),
        (0, {"dex": ""}, "dex"),
        (0, {"token0": TOKEN1, "token1": TOKEN0}, "token0"),
        (0, {"token1": TOKEN0}, "token0"),
        (0, {"fee_pips": 1_000_000}, "fee_pips"),
        (0, {"fee_pips": True}, "fee_pips"),
        (0, {"reserve0": str(2**112)}, "reserve0"),
        (0, {"reserve1": -1}, "reserve1"),
        (0, {"reserve1": "1e18"}, "reserve1"),
        (0, {"reserve1": 1.5}, "reserve1"),
        (1, {"tick_spacing": 0}, "tick_spacing"),
        (1, {"sqrt_price_x96": 5}, "sqrt_price_x96"),
        (1, {"tick": 7}, "tick"),
        (1, {"liquidity": 2**128}, "liquidity"),
        (1, {"ticks": {}}, "ticks"),
        (1, {"ticks": [[0, 1]]}, r"ticks\[0\]"),
        (1, {"ticks": [[7, "1", "1"]]}, r"ticks\[0\]\[0\]"),
        (1, {"ticks": [[60, "1", "1"], [0, "-1", "1"]]}, r"ticks\[1\]\[0\]"),
        (1, {"ticks": [[60, "x", "1"]]}, r"ticks\[0\]\[1\]"),
        (1, {"ticks": [[60, "1", "0"]]}, r"ticks\[0\]\[2\]"),
    ],
)
def test_the_wrong_field_is_named(base: int, change: dict[str, Any], field: str) -> None:
    with pytest.raises(InputError, match=f"^{field}: "):
        load({**POOLS[base].to_json(), **change})


@pytest.mark.parametrize("field", ["address", "reserve0", "fee_pips", "token0"])
def test_a_missing_field_is_named(field: str) -> None:
    state = POOLS[0].to_json()
    del state[field]
    with pytest.raises(InputError, match=f"^{field}: "):
        load(state)


def test_quote_is_nothing_where_the_pool_cannot_take_it() -> None:
    pool = v2_pool()
    assert quote(pool, TOKEN0, 10**18) == pool.amount_out(TOKEN0, 10**18) > 0
    with pytest.raises(InsufficientLiquidity):
        pool.amount_out(TOKEN0, 2**112)
    assert quote(pool, TOKEN0, 2**112) == 0


def spec(**change: object) -> dict[str, object]:
    entry = v3_pool().to_json()
    names = ("address", "venue", "dex", "token0", "token1", "fee_pips", "tick_spacing")
    return {**{name: entry[name] for name in names}, **change}


def test_a_pool_list_is_read(tmp_path: Path) -> None:
    path = tmp_path / "pools.json"
    v2 = {name: value for name, value in v2_pool().to_json().items() if not name.startswith("reserve")}
    path.write_text(json.dumps([spec(), v2]))
    first, second = read_pool_specs(path)
    assert first == PoolSpec.of(v3_pool())
    assert (second.venue, second.tick_spacing) == (VenueKind.UNISWAP_V2, 0)


@pytest.mark.parametrize(
    ("text", "field"),
    [
        ("{", "pools.json"),
        ("{}", "pools.json"),
        ("[1]", r"pools.json\[0\]"),
        (json.dumps([spec(), spec()]), "pools.json"),
        (json.dumps([spec(), spec(tick_spacing=-1)]), r"pools.json\[1\].tick_spacing"),
        (json.dumps([spec(venue="curve")]), r"pools.json\[0\].venue"),
    ],
)
def test_a_bad_pool_list_is_refused(tmp_path: Path, text: str, field: str) -> None:
    path = tmp_path / "pools.json"
    path.write_text(text)
    with pytest.raises(InputError, match=f"^{field}: "):
        read_pool_specs(path)


def test_a_list_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"^tokens\.json: "):
        read_token_list(tmp_path / "tokens.json")


def test_tokens_are_read_by_address(tmp_path: Path) -> None:
    path = tmp_path / "tokens.json"
    path.write_text(json.dumps([{"address": TOKEN0.lower(), "symbol": "AAA", "decimals": 6}]))
    tokens = read_token_list(path)
    assert tokens[TOKEN0].decimals == 6
    path.write_text(json.dumps([{"address": TOKEN0, "symbol": "AAA", "decimals": 256}]))
    with pytest.raises(InputError, match="decimals"):
        read_token_list(path)
