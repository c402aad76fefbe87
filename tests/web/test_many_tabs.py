"""Several tabs of one browser, which opens six connections to a server and no more."""

import contextlib
from typing import TYPE_CHECKING

from tests.web.live_page import LivePage

if TYPE_CHECKING:
    from playwright.sync_api import BrowserContext


def test_eight_tabs_are_all_told_and_hold_one_stream(signed_in: "BrowserContext", live: LivePage) -> None:
    from playwright.sync_api import expect

    with contextlib.ExitStack() as stack:
        tabs = [stack.enter_context(contextlib.closing(signed_in.new_page())) for _ in range(8)]
        for tab in tabs:
            tab.goto("/")
        live.connect("newcomer")
        for tab in tabs:
            expect(tab.get_by_text("newcomer").first).to_be_visible()
        assert "agent_ipc_page_event_streams 1.0" in live.get("/metrics").text
        tabs[0].close()  # it held the stream; another takes it over
        live.connect("latecomer")
        for tab in tabs[1:]:
            expect(tab.get_by_text("latecomer").first).to_be_visible()
