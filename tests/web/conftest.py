"""A page in a real browser. What takes one of these fixtures has the marker ``web``; the other tests here are quick ones."""

import json
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.web.live_page import CHROMIUM, LivePage, live_page

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, Page

HERE = Path(__file__).parent
AXE = HERE / "node_modules" / "axe-core" / "axe.min.js"
TIMEOUT_S = 90
_BROWSER = ("browser", "signed_in", "page", "axe")
"""Fixtures that need a browser."""


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if HERE in item.path.parents and set(_BROWSER) & set(getattr(item, "fixturenames", ())):
            item.add_marker("web")
            if not item.get_closest_marker("timeout"):
                item.add_marker(pytest.mark.timeout(TIMEOUT_S))


@pytest.fixture(scope="module")
def live() -> Iterator[LivePage]:
    """A service with its page, for a module's tests."""
    with live_page() as service:
        yield service


@pytest.fixture(scope="session")
def worker_page() -> Iterator[LivePage]:
    """The same for all modules of a worker whose tests neither end nor count what it has; their names end in ``tag``."""
    with live_page() as service:
        yield service


@pytest.fixture(scope="session")
def browser() -> "Iterator[Browser]":
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield chromium
        chromium.close()


@pytest.fixture(scope="module")
def signed_in(browser: "Browser", live: LivePage) -> "Iterator[BrowserContext]":
    """A browser's window that has opened a one-time link of ``live``."""
    context = browser.new_context(base_url=live.origin)
    page = context.new_page()
    page.goto(live.link())
    page.wait_for_url(f"{live.origin}/")
    page.close()
    yield context
    context.close()


@pytest.fixture
def page(signed_in: "BrowserContext") -> "Iterator[Page]":
    """A new tab of it. Errors of the page's scripts, and what its policy refused, fail the test."""
    tab = signed_in.new_page()
    errors: list[str] = []
    tab.on("pageerror", lambda error: errors.append(str(error)))
    tab.on("console", lambda message: errors.append(message.text) if "Content Security Policy" in message.text else None)
    yield tab
    tab.close()
    assert errors == []


@pytest.fixture(scope="session")
def axe() -> "Callable[[Page], list[str]]":
    """Serious and critical faults that axe-core finds in a page, as lines: ``axe(page) == []``."""
    if not AXE.exists():
        subprocess.run(
            ["npm", "install", "--silent", "--no-audit", "--no-fund", "--no-save", "--no-package-lock"], cwd=HERE, check=True
        )
    source = AXE.read_text()

    def faults(page: "Page") -> list[str]:
        page.evaluate(source)  # by the debugger, so that the page's policy stays as it is
        found: list[dict[str, Any]] = json.loads(
            page.evaluate("async () => JSON.stringify((await axe.run({ resultTypes: ['violations'] })).violations)")
        )
        return [
            f"{fault['id']}: {fault['help']}: {node['html'][:200]}"
            for fault in found
            if fault["impact"] in ("serious", "critical")
            for node in fault["nodes"]
        ]

    return faults
