"""A permission prompt at the page: shown whole, decided once, also where an agent's first request has started the service."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import wait_for
from tests.prompts import Asking
from tests.web.live_page import LivePage


@pytest.fixture(scope="module")
def begun_by_an_agent() -> Iterator[LivePage]:
    """A service whose processes carry the mark of an agent's host."""
    with tempfile.TemporaryDirectory(prefix="ipc-") as folder:
        live = LivePage(Path(folder), CLAUDECODE="1")
        try:
            yield live.start()
        finally:
            live.stop()


@pytest.mark.parametrize("decision", ["allow", "deny"])
def test_the_page_decides_a_prompt_once(begun_by_an_agent: LivePage, tag: str, decision: str) -> None:
    live = begun_by_an_agent
    shown = '{"command": "echo <b>\u202e</b>"}'
    with Asking(live.settings, live.register(f"web-{tag}"), shown=shown) as hook:
        page = wait_for("the prompt", lambda: text if 'name="permission"' in (text := live.get("/").text) else "")
        assert "{&#34;command&#34;: &#34;echo &lt;b&gt;\\u202e&lt;/b&gt;&#34;}" in page and "\u202e" not in page
        permission_id = page.partition('name="permission" value="')[2].partition('"')[0]
        answer = live.post("/act/permission_decide", {"permission": permission_id, "decision": decision})
        assert (answer.status, answer.json()["decided"]) == (200, decision)
        assert hook.told() == decision
        again = live.post("/act/permission_decide", {"permission": permission_id, "decision": "allow"})
        assert (again.status, again.json()["code"]) == (409, "permission_over")
    assert permission_id not in live.get("/").text
