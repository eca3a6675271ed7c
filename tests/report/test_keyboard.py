"""The page without a mouse: real keys in Chromium reach, open and scroll everything."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.devtools import ACTIVE, STOPS, Tab, chromium, scrollers, stops
from support.results import EXPLAINED, PROVED, REFUTED, UNKNOWN

from mcverify.report.html import to_html


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tab]:
    with chromium(tmp_path_factory.mktemp("browser")) as tab:
        yield tab


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("page") / "report.html"
    path.write_text(to_html((EXPLAINED, PROVED, UNKNOWN, REFUTED)), encoding="utf-8")
    return path


def focus(tab: Tab, selector: str) -> None:
    """Press Tab until the focus is on the first element of a kind."""
    here = f"{ACTIVE} === document.querySelector({json.dumps(selector)})"
    for _ in range(tab.ask(f"{STOPS}.length") + 1):
        if tab.ask(here):
            return
        tab.press("Tab")
    raise AssertionError(f"{selector} is not reached")


def test_tab_stops_at_everything_in_its_order_in_sight_and_with_a_ring(browser: Tab, page: Path) -> None:
    browser.open(page)
    assert stops(browser) > 15


def test_the_first_key_offers_to_skip_what_comes_before_the_results(browser: Tab, page: Path) -> None:
    browser.open(page)
    left = "document.querySelector('.skip').getBoundingClientRect().left"
    assert browser.ask(left) < 0
    browser.press("Tab")
    assert browser.ask(left) >= 0
    browser.press("Enter")
    browser.until(f"{ACTIVE}.id == 'main'")
    browser.press("Tab")
    assert browser.ask(f"document.querySelector('main').contains({ACTIVE})")


def test_enter_on_a_routine_goes_there(browser: Tab, page: Path) -> None:
    browser.open(page)
    focus(browser, "nav a[href='#r3']")
    browser.press("Enter")
    browser.until("Math.abs(document.getElementById('r3').getBoundingClientRect().top) < 100")
    browser.press("Tab")
    assert browser.ask(f"document.querySelector('[aria-labelledby=r3]').contains({ACTIVE})")


@pytest.mark.parametrize("key", ["Enter", " "])
def test_a_key_opens_a_part_and_closes_it_again(browser: Tab, page: Path, key: str) -> None:
    browser.open(page)
    focus(browser, "article summary")
    before = browser.ask(f"{STOPS}.length")
    assert not browser.ask(f"{ACTIVE}.parentElement.open")
    browser.press(key)
    browser.until(f"{ACTIVE}.parentElement.open")
    # What is in there can be reached now: the table, and the lines of the listing that it names.
    assert browser.ask(f"{STOPS}.length") > before
    browser.press("Tab")
    assert browser.ask(f"{ACTIVE}.getAttribute('aria-label')") == "Trace of counterexample 1"
    browser.press("Tab", shift=True)
    browser.press(key)
    browser.until(f"!{ACTIVE}.parentElement.open")
    assert browser.ask(f"{STOPS}.length") == before


def test_a_line_of_the_trace_leads_to_the_listing(browser: Tab, page: Path) -> None:
    browser.open(page)
    focus(browser, "article summary")
    browser.press("Enter")
    focus(browser, "table.trace a")
    target = browser.ask(f"{ACTIVE}.hash.slice(1)")
    browser.press("Enter")
    browser.until(f"document.querySelector(':target')?.id === {json.dumps(target)}")
    row = "document.querySelector(':target').getBoundingClientRect()"
    browser.until(f"{row}.top >= 0 && {row}.top < innerHeight")


def test_arrows_scroll_what_is_too_wide_and_the_page(browser: Tab, page: Path) -> None:
    browser.open(page, width=420)
    assert scrollers(browser) > 4
    focus(browser, ".scroll[aria-labelledby]")
    browser.press("ArrowRight")
    browser.until(f"{ACTIVE}.scrollLeft > 0")
    browser.press("ArrowLeft")
    browser.until(f"{ACTIVE}.scrollLeft == 0")
    above = browser.ask("scrollY")
    browser.press("ArrowDown")
    browser.until(f"scrollY > {above}")
    browser.press("Home")
    browser.until("scrollY == 0")
    browser.press("End")
    browser.until("scrollY + innerHeight >= document.documentElement.scrollHeight - 1")
