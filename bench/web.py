"""The person's page in a browser, with many agents and much mail: how soon it is painted, how large it is.

Each round opens each page in a new tab of a browser that has been there before, as a person's has. It needs Chromium and
Playwright.
"""

import json
import shutil
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.crowd import crowd
from bench.report import Results
from bench.service import Service
from bench.systems import Skip
from broker.client.sync import Connection

if TYPE_CHECKING:
    from playwright.sync_api import BrowserContext

TABLE = "The page in a browser"
AGENTS, MESSAGES = 1000, 10_000
PAGES = {
    "now": "/",
    "conversations": "/conversations",
    "chat": "/agent/agent-0001",
    "traffic": "/traffic",
    "search": "/search?q=parser",
}
_DEADLINE_S = 20.0
_TIMES = """() => {
  const [page] = performance.getEntriesByType("navigation");
  const [paint] = performance.getEntriesByName("first-contentful-paint");
  return paint && { paint: paint.startTime, answer: page.responseEnd, bytes: page.decodedBodySize };
}"""


def measure(results: Results, rounds: int, agents: int = AGENTS, messages: int = MESSAGES) -> None:
    """Raises Skip without a browser, RuntimeError where it fails."""
    try:
        from playwright.sync_api import Error, sync_playwright
    except ImportError:
        raise Skip("playwright is not installed: pip install 'agent-ipc[test]'") from None
    chromium = shutil.which("chromium")
    service = Service(IPC_WEB="true", IPC_WEB_PORT="0", IPC_PERSON="pat")
    try:
        service.start()
        connection = Connection(service.settings, door="bench")
        crowd(connection, agents, messages)
        connection.close()
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
            context = browser.new_context(base_url=_origin(service), viewport={"width": 1280, "height": 800})
            _sign_in(context, service)
            for _ in range(rounds):
                _round(results, context, f"{agents:,} agents, {messages:,} messages")
            browser.close()
    except Error as error:
        raise RuntimeError(str(error)) from None
    finally:
        service.stop()


def _origin(service: Service) -> str:
    """Where the page is, once it is."""
    state = Path(service.home, "run", "web.json")
    end_s = time.monotonic() + _DEADLINE_S
    while time.monotonic() < end_s:
        told: dict[str, Any] = json.loads(state.read_text()) if state.exists() else {}
        if told.get("port") and not told.get("error"):
            return f"http://127.0.0.1:{told['port']}"
        time.sleep(0.05)
    raise RuntimeError("the page does not start")


def _sign_in(context: "BrowserContext", service: Service) -> None:
    from bridges.web.links import new_link

    tab = context.new_page()
    origin = _origin(service)
    tab.goto(new_link(str(service.home), int(origin.rpartition(":")[2])))
    tab.wait_for_url(f"{origin}/")
    tab.close()


def _round(results: Results, context: "BrowserContext", load: str) -> None:
    for name, path in PAGES.items():
        tab = context.new_page()
        tab.goto(path)
        times = tab.wait_for_function(_TIMES).json_value()
        tab.close()
        for key, what, unit, value in (
            ("paint", "opened to the first paint", "ms", times["paint"]),
            ("answer", "opened to the end of the answer", "ms", times["answer"]),
            ("size", "size of the page", "KB", times["bytes"] / 1024),
        ):
            results.add(f"web.{name}.{key}", TABLE, f"{name}: {what}", load, unit, value)
