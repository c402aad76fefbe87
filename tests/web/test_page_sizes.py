"""With 10,000 messages and 1,000 agents no page is over 300 KB, and a chat of the largest messages isn't either."""

from collections.abc import Iterator

import pytest

from bench.crowd import crowd
from bridges.web.template_filters import MENU
from broker.client.sync import Connection
from tests.web.live_page import LivePage, live_page

PAGE_BYTES = 300 * 1024

pytestmark = [pytest.mark.web, pytest.mark.timeout(90)]


@pytest.fixture(scope="module")
def crowded() -> Iterator[LivePage]:
    with live_page() as service:
        with service.environment():
            connection = Connection(service.settings, door="test")
        names = crowd(connection, 1000, 10_000)
        connection.close()
        for number in range(2):  # two agents with much more to say, in characters that take most room in a page
            writer = service.connect(f"loud-{number}")
            for _ in range(30):
                writer.send(f"loud-{1 - number}", "<&\"'>" * 2000, data={"k": "<" * 3000})
            writer.send(names[0], '"' * 10_000)
        yield service


PAGES = (*(path for path, _, _ in MENU), "/agent/agent-0000", "/with/loud-0/loud-1", "/agent/loud-0", "/search?q=parser")


def test_no_page_is_larger_than_300_kb(crowded: LivePage) -> None:
    sizes = {path: crowded.get(path) for path in PAGES}
    assert {path: answer.status for path, answer in sizes.items()} == dict.fromkeys(PAGES, 200)
    assert {path: len(a.text.encode()) for path, a in sizes.items() if len(a.text.encode()) > PAGE_BYTES} == {}
    assert "More agents" in sizes["/"].text and "agent-0499" in crowded.get("/?from=950").text
