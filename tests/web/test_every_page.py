"""Every page, in both themes and two widths: axe-core finds no serious fault, nothing hangs over the edge, no key is a trap.

``PICTURES=1 pytest -m web tests/web/test_every_page.py`` writes the pictures of ``docs/pictures`` anew.
"""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from bridges.web.template_filters import MENU
from tests.web.full_house import fill
from tests.web.live_page import LivePage

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, Page

PICTURES = Path(__file__).parents[2] / "docs" / "pictures"
PICTURE_BYTES = 150 * 1024
WIDTHS = (360, 1280)
THEMES = ("light", "dark")


@pytest.fixture(scope="module")
def paths(live: LivePage) -> list[str]:
    found = fill(live)
    live.post("/act/pause", {"name": "lea", "on": True})
    return [*(path for path, _, _ in MENU), "/write?to=everyone", *found.values(), "/agent/nobody", "/nothing-here"]


@pytest.fixture(params=THEMES)
def themed(request: pytest.FixtureRequest, browser: "Browser", signed_in: "BrowserContext") -> "Iterator[Page]":
    context = browser.new_context(color_scheme=request.param)
    context.add_cookies(signed_in.cookies())  # type: ignore[arg-type]
    yield context.new_page()
    context.close()


@pytest.mark.parametrize("width", WIDTHS)
def test_every_page_is_without_a_serious_fault(
    live: LivePage, paths: list[str], themed: "Page", axe: "Callable[[Page], list[str]]", width: int
) -> None:
    themed.set_viewport_size({"width": width, "height": 800})
    faults = []
    for path in paths:
        themed.goto(f"{live.origin}{path}")
        faults += [f"{path}: {fault}" for fault in axe(themed)]
        over = themed.evaluate("document.documentElement.scrollWidth - innerWidth")
        faults += [f"{path}: {over} px hang over the edge"] if over > 0 else []
    assert faults == []


def test_keys_open_move_answer_search_and_close(live: LivePage, paths: list[str], page: "Page") -> None:
    page.goto("/conversations")
    page.keyboard.press("n")  # without g before it, also right after the page has opened
    page.keyboard.press("?")
    page.get_by_role("dialog").wait_for()
    page.keyboard.press("Escape")
    page.get_by_role("dialog").wait_for(state="hidden")
    page.keyboard.press("j")
    first = page.evaluate("document.activeElement.href")
    page.keyboard.press("j")
    assert page.evaluate("document.activeElement.href") != first
    page.keyboard.press("k")
    assert page.evaluate("document.activeElement.href") == first
    page.keyboard.press("Enter")
    page.wait_for_url(first)
    page.keyboard.press("/")
    page.wait_for_url(f"{live.origin}/search")
    page.locator("input[type=search]:focus").wait_for()
    page.keyboard.type("parser")
    page.keyboard.press("Enter")
    page.get_by_text("error paths").first.wait_for()
    page.keyboard.press("Escape")
    page.locator("h1").click()
    page.keyboard.press("g")
    page.keyboard.press("n")
    page.wait_for_url(f"{live.origin}/")
    page.keyboard.press("j")
    page.keyboard.press("r")
    assert page.evaluate("document.activeElement.name") == "content"
    page.keyboard.press("Escape")
    assert page.evaluate("document.activeElement.tagName") == "BODY"


def test_keys_can_be_turned_off(paths: list[str], page: "Page") -> None:
    page.goto("/claims")
    page.keyboard.press("?")
    page.get_by_label("Use these keys").uncheck()
    page.get_by_role("button", name="Close").click()
    page.keyboard.press("j")
    assert page.evaluate("document.activeElement.matches('[data-item]')") is False
    page.get_by_role("button", name="Keys").click()
    page.get_by_label("Use these keys").check()


def test_a_large_message_is_clean_markdown(live: LivePage, paths: list[str], page: "Page") -> None:
    page.goto(next(path for path in paths if path.startswith("/message/")))
    letter = page.locator(".letter")
    assert letter.locator("h1").inner_text() == "Review of the parser"
    assert letter.locator("a").get_attribute("href") == "https://example.org/grammar"
    assert letter.locator("td").first.inner_text() == "parser.py"


@pytest.mark.skipif(not os.environ.get("PICTURES"), reason="pictures are made on request: PICTURES=1")
def test_pictures_for_the_readme(live: LivePage, paths: list[str], browser: "Browser", signed_in: "BrowserContext") -> None:
    PICTURES.mkdir(exist_ok=True)
    for name, path, theme in (("now", "/", "light"), ("conversation", paths[-7], "dark"), ("traffic", "/traffic", "light")):
        context = browser.new_context(color_scheme=theme, viewport={"width": 1200, "height": 760})  # type: ignore[arg-type]
        context.add_cookies(signed_in.cookies())  # type: ignore[arg-type]
        tab = context.new_page()
        tab.goto(f"{live.origin}{path}")
        picture = tab.screenshot(path=PICTURES / f"page-{name}.png")
        context.close()
        assert len(picture) <= PICTURE_BYTES
