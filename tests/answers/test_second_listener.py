"""The listener beside the page: nothing of the one is reachable at the other, and strangers don't close it."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from bridges.web.pages import ROUTES
from tests.answers.listening import Listening
from tests.conftest import wait_for

OF_THE_PAGE = [path for path, _show in ROUTES] + [
    "/sign-in",
    "/sign-out",
    "/events",
    "/metrics",
    "/healthz",
    "/readyz",
    "/static/x/y",
]


@pytest.fixture(scope="module")
def both() -> Iterator[Listening]:
    """A service with the page and the listener."""
    service = Listening(Path(tempfile.mkdtemp(prefix="ipc-")), IPC_WEB="true", IPC_WEB_PORT="0")
    yield service.start()
    service.stop()
    shutil.rmtree(service.home, ignore_errors=True)


def test_nothing_of_the_page_is_served_by_the_listener(both: Listening) -> None:
    page = wait_for("the page", lambda: both._read("web.json"))
    assert page["port"] != both.answers_port()
    statuses = {both.http(method, path).status for path in OF_THE_PAGE[:8] for method in ("GET", "POST")}
    assert statuses <= {404, 429} and 404 in statuses


def test_strangers_are_slowed_down_and_who_has_a_link_is_not(both: Listening, tag: str) -> None:
    question = both.question(f"ann{tag}")
    statuses = [both.http("GET", f"/a/guess-{n}").status for n in range(40)]
    assert statuses[-1] == 429
    assert "retry-after" in both.http("GET", "/a/guess").headers
    assert both.post_form(f"/a/{both.token('question', question)}", answer="yes").status == 200
    assert both.answers(f"ann{tag}") == ["yes"]
    assert both.github(b"{}", f"d-{tag}").status == 200
