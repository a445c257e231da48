"""Values are written exactly, with units, and never as markup."""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Decimal, localcontext
from html import unescape

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keeper.panel.text import ago, count, ether, safe, share, short, signed_ether, token_amount, units


@given(st.integers(-(10**78), 10**78), st.integers(0, 24), st.integers(0, 8))
def test_units_round_like_decimal(amount: int, decimals: int, places: int) -> None:
    with localcontext() as context:
        context.prec = 120
        step = Decimal(1).scaleb(-min(places, decimals))
        expected = (Decimal(amount) / Decimal(10) ** decimals).quantize(step, ROUND_HALF_UP)
    shown = units(amount, decimals, places).replace(",", "").replace("−", "-")
    assert Decimal(shown) == expected


@pytest.mark.parametrize(
    ("wei", "text"),
    [(0, "0.00000 ETH"), (10**18, "+1.00000 ETH"), (-(5 * 10**15), "−0.00500 ETH"), (None, "–"), (-1, "0.00000 ETH")],
)
def test_signed_ether(wei: int | None, text: str) -> None:
    assert signed_ether(wei) == text


def test_unknown_is_a_dash() -> None:
    assert ether(None) == count(None) == share(None) == "–"


@given(st.text())
def test_nothing_foreign_is_markup(text: str) -> None:
    shown = safe(text)
    assert not set("<>\"'") & set(shown)
    assert unescape(shown) == (text if len(text) <= 160 else text[:159] + "…")


def test_token_without_decimals_is_shown_raw() -> None:
    assert token_amount({}, 1, "0xabc", "1234") == "1,234 raw"
    assert token_amount({(1, "0xabc"): ("<b>", 2)}, 1, "0xabc", "1234") == "12.34 &lt;b&gt;"
    assert token_amount({}, 1, "0xabc", "rubbish") == "–"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.4, "now"), (59, "59 s ago"), (121, "2 min ago"), (7201, "2 h ago"), (2e5, "2 days ago")],
)
def test_ago(seconds: float, text: str) -> None:
    assert ago(seconds) == text


def test_short() -> None:
    assert short("0x" + "ab" * 20) == "0xabab…abab"
    assert short("abc") == "abc"
