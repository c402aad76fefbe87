"""Signing in with a real browser: the link's token is in no request, works once, and becomes a cookie that no script reads."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from tests.web.live_page import LivePage

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page


def test_a_link_opens_the_page_once_and_leaves_no_token_behind(browser: "Browser", live: LivePage) -> None:
    link = live.link()
    token = link.partition("#")[2]
    context = browser.new_context()
    tab = context.new_page()
    asked: list[str] = []
    tab.on("request", lambda request: asked.append(request.url))
    tab.goto(link)
    tab.wait_for_url(f"{live.origin}/")
    assert not any(token in url for url in asked)
    assert tab.evaluate("document.cookie") == ""
    (cookie,) = context.cookies()
    assert (cookie["httpOnly"], cookie["sameSite"], cookie["name"]) == (True, "Strict", f"ipc-page-{live.page_port()}")
    context.clear_cookies()
    tab.goto(link)
    tab.get_by_text("used already").wait_for()
    context.close()


def test_the_token_can_be_pasted_into_the_form_without_scripts(browser: "Browser", live: LivePage) -> None:
    context = browser.new_context(java_script_enabled=False)
    tab = context.new_page()
    tab.goto(live.origin)
    tab.get_by_label("paste").fill(live.link())
    tab.get_by_role("button", name="Sign in").click()
    tab.wait_for_url(f"{live.origin}/")
    assert tab.get_by_role("heading", level=1).inner_text() == "Now"
    context.close()


def test_a_signed_in_page_opens_without_a_serious_fault(page: "Page", axe: "Callable[[Page], list[str]]") -> None:
    page.goto("/")
    assert axe(page) == []
