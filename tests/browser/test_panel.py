"""The panel in a real browser: it shows what is recorded, keeps up without flicker, and runs nobody else's code."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from keeper.domain.opportunity import Fate, FateChange
from keeper.domain.token import Token
from keeper.domain.trade import TradeStatus
from keeper.panel.text import signed_ether
from tests.browser.conftest import Panel
from tests.store.samples import USDC, opportunity

SECONDS = 20_000
"""Playwright waits for conditions up to this long, milliseconds; on an idle machine they hold at once."""
HOSTILE = "<img src=x onerror=window.hacked=1>${window.hacked=2}{{window.hacked=3}}"


@pytest.fixture
def page(browser: Any, panel: Panel) -> Iterator[Any]:
    page = browser.new_page(viewport={"width": 1440, "height": 1000})
    page.set_default_timeout(SECONDS)
    page.asked = set()
    page.wrong = []
    page.on("request", lambda request: page.asked.add("/".join(request.url.split("/")[:3])))
    page.on("pageerror", lambda error: page.wrong.append(str(error)))
    page.goto(panel.url)
    page.wait_for_selector("#ao-curve .main-svg")
    yield page
    page.close()
    assert page.wrong == []


def figure(page: Any, name: str) -> Any:
    return page.locator(f"[data-testid=tile-{name}] .ao-figure")


def test_shows_block_fates_trades_and_curve(page: Any, panel: Panel) -> None:
    trades = panel.recorded.trades
    assert page.locator("[data-testid=mode]").inner_text() == "REPLICA"
    assert "24,000,039" in page.locator("[data-testid=block]").inner_text()
    assert "trading" in page.locator("[data-testid=keeper]").inner_text()
    net = signed_ether(sum(trade.net for trade in trades))
    assert figure(page, "net-profit").inner_text() == net
    assert net in page.locator("[data-testid=net]").inner_text()
    landed = [trade for trade in trades if trade.status is TradeStatus.LANDED]
    assert figure(page, "landed").inner_text() == f"{len(landed):,}"
    assert "exact to the wei" in page.locator("[data-testid=tile-exactness]").inner_text()

    curve = page.evaluate("document.querySelector('#ao-curve .js-plotly-plot').data[0].y")
    assert len(curve) == len(trades)
    assert curve[-1] == pytest.approx(sum(trade.net for trade in trades) / 1e18)
    shown = page.evaluate(
        "(() => { const bars = document.querySelector('#ao-fates .js-plotly-plot').data[0];"
        "return Object.fromEntries(bars.y.map((name, i) => [name, bars.x[i]])); })()"
    )
    last = Counter(life[-1] for life in panel.recorded.fates.values())
    assert shown == {fate.value: last[fate] for fate in Fate}

    page.get_by_role("tab", name="Trades").click()
    page.wait_for_selector("[data-testid=trades] tbody tr")
    newest = page.locator("[data-testid=trades] tbody tr")
    hashes = {trade.transaction_hash for trade in trades}
    assert newest.count() == min(len(trades), 50)
    assert set(newest.evaluate_all("rows => rows.map(row => row.dataset.hash)")) <= hashes
    assert page.locator("[data-testid=trades] [data-fate=landed]").count() > 0


def test_asks_no_other_host(page: Any, panel: Panel) -> None:
    page.get_by_role("tab", name="Opportunities").click()
    page.wait_for_selector("[data-testid=opportunities] tbody tr")
    assert page.asked == {panel.url}


def test_new_trade_appears_and_the_chart_is_the_same_node(page: Any, panel: Panel) -> None:
    before = page.evaluate("document.querySelector('#ao-curve .js-plotly-plot').data[0].x.length")
    page.evaluate(
        "(() => { const node = document.querySelector('#ao-curve .js-plotly-plot'); node.dataset.tag = 'mine';"
        "return window.Plotly.relayout(node, {'yaxis.range': [0.1, 0.4]}); })()"
    )
    expected = before
    for tick in range(3):
        version = int(page.locator(".ao-bar").get_attribute("data-version"))
        new = panel.record(seed=100 + tick, first=24_000_100 + 10 * tick)
        assert new.trades
        expected += len(new.trades)
        page.wait_for_function(
            "count => document.querySelector('#ao-curve .js-plotly-plot')?.data[0].x.length === count", arg=expected
        )
        assert int(page.locator(".ao-bar").get_attribute("data-version")) > version
        assert f"{24_000_102 + 10 * tick:,}" in page.locator("[data-testid=block]").inner_text()
    node = page.locator("#ao-curve .js-plotly-plot")
    assert node.get_attribute("data-tag") == "mine"
    assert node.evaluate("node => node.layout.yaxis.range") == [0.1, 0.4]


def test_click_shows_route_and_life(page: Any) -> None:
    page.get_by_role("tab", name="Opportunities").click()
    page.wait_for_selector("[data-testid=opportunities] tbody tr")
    landed = page.locator("[data-testid=opportunities] tr:has([data-fate=landed])").first
    identity = landed.get_attribute("data-id")
    landed.click()
    life = page.locator(f"[data-testid=life][data-id='{identity}']")
    life.wait_for()
    steps = life.locator(".ao-steps > li").evaluate_all("steps => steps.map(step => step.dataset.fate)")
    assert steps == ["detected", "simulated", "submitted", "landed"]
    assert life.locator(".ao-hops > li").count() >= 2
    assert "exact" in life.inner_text()


def test_pages_backwards_and_forwards(page: Any, panel: Panel) -> None:
    page.get_by_role("tab", name="Opportunities").click()
    page.wait_for_selector("[data-testid=opportunities] tbody tr")
    rows = "[...document.querySelectorAll('[data-testid=opportunities] tr[data-id]')].map(row => row.dataset.id)"
    first = page.evaluate(rows)
    page.locator("#ao-opportunities-older").click()
    page.wait_for_function(f"first => ({rows})[0] !== first", arg=first[0])
    second = page.evaluate(rows)
    assert not set(first) & set(second)
    assert "paused" in page.locator(".ao-place:visible").first.inner_text()
    panel.record(seed=300, first=24_000_300)
    page.wait_for_function("document.querySelector('[data-testid=block]').innerText.includes('24,000,302')")
    assert page.evaluate(rows) == second
    page.locator("#ao-opportunities-newer").click()
    page.wait_for_function(f"second => ({rows})[0] !== second", arg=second[0])
    assert not set(page.evaluate(rows)) & set(second)


def test_foreign_text_does_not_run(page: Any, panel: Panel) -> None:
    found = opportunity(random.Random(77))

    async def write() -> None:
        tokens = [Token(hop.token_out, HOSTILE[:60], 18) for hop in found.route.hops[:-1]]
        await panel.recorder.tokens(1, tokens)
        await panel.recorder.opportunities([found])
        await panel.recorder.fates([FateChange(found.id, Fate.FILTERED, HOSTILE, 1, {HOSTILE: HOSTILE})])
        await panel.recorder.tokens(1, [Token(USDC.address, "<b>US", 6)])
        panel.bus.publish("status", {})

    panel.background.run(write())
    page.get_by_role("tab", name="Opportunities").click()
    row = page.locator(f"[data-testid=opportunities] tr[data-id='{found.id}']")
    row.wait_for()
    assert HOSTILE.replace("_", " ") in row.inner_text()
    row.click()
    life = page.locator(f"[data-testid=life][data-id='{found.id}']")
    life.wait_for()
    assert HOSTILE in life.inner_text()
    page.get_by_role("tab", name="Overview").click()
    page.wait_for_function("document.querySelector('#ao-reasons').innerText.includes('<img')")
    assert page.evaluate("window.hacked === undefined")
    assert page.locator(".gradio-container img[src=x]").count() == 0


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 768, 1440])
def test_fits_the_screen(browser: Any, panel: Panel, width: int, theme: str) -> None:
    page = browser.new_page(viewport={"width": width, "height": 844})
    page.set_default_timeout(SECONDS)
    page.goto(f"{panel.url}/?__theme={theme}")
    page.wait_for_selector("#ao-curve .main-svg")
    signs = {"Overview": "#ao-tiles .ao-figure", "Opportunities": "tr[data-id]", "Trades": "[data-trade]"}
    for tab, ready in signs.items():
        page.get_by_role("tab", name=tab).click()
        page.wait_for_selector(f"{ready} >> visible=true")
        assert page.evaluate("document.documentElement.scrollWidth") <= width, tab
    small = page.evaluate(
        "[...document.querySelectorAll('.ao-bar *, .ao-table *')].filter(node => node.offsetParent"
        " && node.innerText?.trim() && parseFloat(getComputedStyle(node).fontSize) < 11).map(node => node.className)"
    )
    assert small == []
    assert page.evaluate("document.body.classList.contains('dark')") == (theme == "dark")
    page.close()
