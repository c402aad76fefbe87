"""What another site can do to a page that is open and signed in, tried in a real browser."""

import contextlib
import http.server
import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

from bridges.web.rendering import STATIC
from tests.web.live_page import CHROMIUM, LivePage
from tests.web.owner import state

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext


SENT: list[str] = []
"""Cookie headers that the other server got."""


class Evil(http.server.BaseHTTPRequestHandler):
    """An empty page."""

    def do_GET(self) -> None:
        SENT.append(self.headers.get("Cookie", ""))
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(b"<!doctype html><title>evil</title><body></body>")

    def log_message(self, *_: Any) -> None:
        """Into no test's output."""


@pytest.fixture(scope="module")
def evil() -> Iterator[str]:
    """The origin of another server of this machine."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Evil) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


LETTER = '{"to": "fred", "content": "evil"}'
POSTS = {
    "a form's body": "{mode: 'no-cors', body: new URLSearchParams({to: 'fred', content: 'evil'})}",
    "plain text": f"{{mode: 'no-cors', body: '{LETTER}'}}",
    "JSON": f"{{headers: {{'Content-Type': 'application/json'}}, body: '{LETTER}'}}",
}
LOADED = "new Promise((done, fail) => { %s; it.onload = it.onopen = () => done('loaded'); it.onerror = () => fail('refused') })"
READS = {
    "fetch": "fetch(url, {credentials: 'include'}).then(reply => reply.text())",
    "opaque fetch": "fetch(url, {credentials: 'include', mode: 'no-cors'}).then(reply => reply.text())",
    "events": LOADED % "const it = new EventSource(url + '/events', {withCredentials: true})",
    "script": LOADED % "const it = document.createElement('script'); it.src = url; document.body.append(it)",
    "picture": LOADED % "const it = new Image(); it.src = url + PICTURE",
}


@pytest.mark.parametrize("how", POSTS)
def test_another_origin_with_the_cookie_changes_nothing(
    signed_in: "BrowserContext", live: LivePage, evil: str, how: str
) -> None:
    before = state(live)
    with contextlib.closing(signed_in.new_page()) as tab:
        tab.goto(evil)
        post = f"fetch(url, {{method: 'POST', credentials: 'include', ...{POSTS[how]}}})"
        tab.evaluate(f"url => {post}.then(() => 1, () => 0)", f"{live.origin}/act/send")
    assert state(live) == before
    assert live.cookie().partition("=")[0] in SENT[-1]  # the cookie goes to every port of the host


def test_a_form_of_another_origin_changes_nothing(signed_in: "BrowserContext", live: LivePage, evil: str) -> None:
    before = state(live)
    with contextlib.closing(signed_in.new_page()) as tab:
        tab.goto(evil)
        fields = '<input name="to" value="fred"><input name="content" value="x">'
        form = f'<form method="post" action="{live.origin}/act/send">{fields}'
        tab.evaluate("html => { document.body.innerHTML = html; document.forms[0].submit() }", form)
        tab.get_by_text("Only a page of this service may ask for changes.").wait_for()
    assert state(live) == before


@pytest.mark.parametrize("how", READS)
def test_another_origin_reads_nothing(signed_in: "BrowserContext", live: LivePage, evil: str, how: str) -> None:
    with contextlib.closing(signed_in.new_page()) as tab:
        tab.goto(evil)
        picture = repr(STATIC["icon.svg"].path)
        said = tab.evaluate(
            f"url => {READS[how].replace('PICTURE', picture)}.then(got => 'GOT ' + got, () => 'refused')", live.origin
        )
    assert said in ("refused", "GOT ")  # an opaque answer is empty


def test_the_page_stands_in_no_frame_and_gives_no_handle(signed_in: "BrowserContext", live: LivePage, evil: str) -> None:
    with contextlib.closing(signed_in.new_page()) as tab:
        tab.goto(evil)
        frame = "const it = document.createElement('iframe'); it.src = url; document.body.append(it)"
        tab.evaluate(f"url => {LOADED % frame}", live.origin)
        assert not any(frame.url.startswith(live.origin) and "agent-ipc" in frame.content() for frame in tab.frames)
        with tab.expect_popup() as opened:
            tab.evaluate("url => { window.page = window.open(url) }", live.origin)
        opened.value.wait_for_load_state()
        assert tab.evaluate("window.page.closed") is True  # another group of windows: nothing of it can be touched
        opened.value.close()


def test_a_rebound_name_shows_nothing(browser: "Browser", live: LivePage) -> None:
    rules = "--host-resolver-rules=MAP evil.example 127.0.0.1"
    with contextlib.closing(browser.browser_type.launch(executable_path=CHROMIUM, args=["--no-sandbox", rules])) as fooled:
        tab = fooled.new_page()
        answer = tab.goto(f"http://evil.example:{live.page_port()}/")
        assert answer is not None and answer.status == 403
        assert tab.evaluate("fetch('/act/send', {method: 'POST', body: '{}'}).then(reply => reply.status)") == 403
