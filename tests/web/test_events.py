"""Server-sent events: what has changed, and whether the broker is there."""

import contextlib
import threading
from collections.abc import Callable, Iterator

import pytest

from bridges.web.events import MOST_PAGES
from tests.conftest import wait_for
from tests.web.live_page import EventStream, LivePage, live_page


@pytest.fixture
def live(worker_page: LivePage) -> Iterator[LivePage]:
    yield worker_page
    worker_page.close_clients()


@pytest.fixture
def stream(live: LivePage) -> Iterator[EventStream]:
    with contextlib.closing(EventStream(live, live.cookie())) as stream:
        yield stream


def count(stream: EventStream, event: str) -> int:
    return sum(name == event for name, _data in stream.events)


def quiet(stream: EventStream) -> int:
    """The number of changes told, once 0.6 s have passed without one more."""
    while True:
        before = count(stream, "changed")
        if not threading.Event().wait(0.6) and count(stream, "changed") == before:
            return before


def test_a_page_is_told_at_once_whether_the_broker_is_there(stream: EventStream) -> None:
    assert stream.answer.headers["content-type"].startswith("text/event-stream")
    wait_for("the first word", lambda: ("broker", "up") in stream.events)


def test_each_change_is_told_though_no_page_asks(live: LivePage, stream: EventStream) -> None:
    fred = live.connect("fred")
    for _ in range(2):
        before = quiet(stream)
        fred.send("claude", "hello")
        wait_for("a change", lambda before=before: count(stream, "changed") > before)  # type: ignore[misc]


@pytest.mark.deep
def test_many_changes_are_few_events(live: LivePage, stream: EventStream) -> None:
    fred = live.connect("fred-2")
    before = quiet(stream)
    for number in range(500):
        fred.send("claude", f"hello {number}")
    assert quiet(stream) - before < 50


def test_a_page_that_does_not_look_costs_the_broker_nothing(live: LivePage) -> None:
    stream = EventStream(live, live.cookie())
    wait_for("the first word", lambda: stream.events)
    stream.close()
    fred = live.connect("fred-3")

    def requests() -> int:
        return int(fred.request("status")["requests"])

    before = requests()
    for _ in range(20):
        fred.send("claude", "hello")
    assert requests() - before <= 25  # each of ours, and not one of the page's for each


@pytest.mark.deep
def test_the_page_says_that_the_broker_is_gone_and_back() -> None:
    with live_page() as live:
        stream = EventStream(live, live.cookie())
        wait_for("the first word", lambda: ("broker", "up") in stream.events)
        live.kill("broker")
        wait_for("the broker's end", lambda: ("broker", "down") in stream.events)
        wait_for("the broker's return", lambda: stream.events.count(("broker", "up")) == 2)
        before = quiet(stream)
        live.connect("fred").send("claude", "hello")
        wait_for("a change", lambda: count(stream, "changed") > before)
        assert live.get("/").status == 200
        live.kill("web")
        assert stream.ended.wait(10)
        stream.close()


@pytest.mark.deep
def test_streams_end_when_the_service_does(make_page: Callable[[], LivePage]) -> None:
    live = make_page()
    stream = EventStream(live, live.cookie())
    live.stop()
    assert stream.ended.wait(10)
    stream.close()


@pytest.fixture
def make_page() -> Iterator[Callable[[], LivePage]]:
    with contextlib.ExitStack() as stack:
        yield lambda: stack.enter_context(live_page())


def test_streams_are_bounded(live: LivePage) -> None:
    with contextlib.ExitStack() as stack:
        for _ in range(MOST_PAGES):
            stack.callback(EventStream(live, live.cookie()).close)
        assert live.get("/events").status == 503
    wait_for("the places", lambda: _opens(live))


def _opens(live: LivePage) -> bool:
    with contextlib.closing(EventStream(live, live.cookie())) as stream:
        return int(stream.answer.status) == 200
