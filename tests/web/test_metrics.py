"""Metrics, for who shows the token; their names; and the dashboard that is made for them."""

import json
import re
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from bridges.web.metrics_token import metrics_token
from tests.conftest import wait_for
from tests.other_user import as_nobody, forked, needs_root
from tests.web.live_page import Answer, LivePage, live_page

DASHBOARD = Path(__file__).resolve().parents[2] / "deploy" / "grafana.json"
ALWAYS = {"agent_ipc_alarms"}
"""Names that have no sample while nothing is wrong."""


def scrape(live: LivePage, **headers: str) -> Answer:
    return live.request("GET", "/metrics", **{"Authorization": f"Bearer {metrics_token(str(live.home))}", **headers})


def samples(live: LivePage) -> dict[tuple[str, str], float]:
    """(name, its labels' values by their names, with commas between): value."""
    found = text_string_to_metric_families(scrape(live).text)
    return {
        (s.name, ",".join(s.labels[label] for label in sorted(s.labels))): s.value for family in found for s in family.samples
    }


@pytest.fixture(scope="module")
def busy(live: LivePage) -> LivePage:
    fred, claude = live.connect("fred"), live.connect("claude")
    fred.request("report", event="tool_began", tool="Bash", call="1")
    fred.send("claude", "one")
    fred.send("claude", "two")
    claude.check(limit=1)
    fred.request("ask", to_id="claude", message={"content": "?"}, wait_s=0)
    fred.request("claim", resource="src/*")
    return live


def test_the_numbers_are_those_of_the_mail(busy: LivePage) -> None:
    got = samples(busy)
    assert got["agent_ipc_mailbox_queued_messages", "claude"] == 3
    assert got["agent_ipc_mailbox_leased_messages", "claude"] == 1
    assert got["agent_ipc_mailbox_queued_messages", "fred"] == 0
    assert 0 <= got["agent_ipc_mailbox_oldest_message_age_seconds", "claude"] < 300
    assert got["agent_ipc_questions", "agent,open"] == 1
    assert got["agent_ipc_agent_claims", "fred"] == got["agent_ipc_claims", ""] == 1
    assert ("agent_ipc_agent_state_seconds", "fred,working") in got
    assert got["agent_ipc_messages_total", ""] >= 3
    assert got["agent_ipc_broker_up", ""] == 1
    for process in ("broker", "tcp", "web", "supervisor"):
        assert got["agent_ipc_process_resident_memory_bytes", process] > 1_000_000
    busy.connect("fred", force=True).send("bob", "three")
    assert samples(busy)["agent_ipc_messages_total", ""] > got["agent_ipc_messages_total", ""]


def test_names_follow_the_conventions(busy: LivePage) -> None:
    for family in text_string_to_metric_families(scrape(busy).text):
        assert re.fullmatch("agent_ipc(_[a-z]+)+", family.name)
        assert family.documentation.endswith(".")
        for sample in family.samples:
            assert sample.name.endswith("_total") == (family.type == "counter")


def test_a_scraper_that_asks_for_openmetrics_gets_it(busy: LivePage) -> None:
    answer = scrape(busy, Accept="application/openmetrics-text; version=1.0.0")
    assert answer.headers["content-type"].startswith("application/openmetrics-text")
    assert answer.text.endswith("# EOF\n")
    assert scrape(busy).headers["content-type"].startswith("text/plain; version=")


@pytest.mark.parametrize("shown", ["", "Bearer", "Bearer x", "Basic {token}", "Bearer {token}x", "Bearer é", "{token}"])
def test_without_the_token_nothing_is_told(busy: LivePage, shown: str) -> None:
    given = {"Authorization": shown.format(token=metrics_token(str(busy.home)))} if shown else {}
    answer = busy.request("GET", "/metrics", **given)
    assert (answer.status, answer.headers["www-authenticate"], "fred" in answer.text) == (401, "Bearer", False)


def test_who_is_signed_in_needs_no_token(busy: LivePage) -> None:
    assert "agent_ipc_broker_up 1.0" in busy.get("/metrics").text


@needs_root
def test_another_user_with_the_token_gets_the_metrics_and_nothing_else(busy: LivePage) -> None:
    port, token, cookie = busy.page_port(), metrics_token(str(busy.home)), busy.cookie()

    def ask() -> list[int]:
        as_nobody()
        right, wrong = {"Authorization": f"Bearer {token}", "Cookie": cookie}, {"Authorization": "Bearer x", "Cookie": cookie}
        paths = ("/metrics", "/healthz", "/readyz", "/", "/events", "/sign-in", "/static/x/y")
        return [busy.request("GET", path, **shown).status for shown in (right, wrong) for path in paths]

    busy.page_port = lambda: port  # type: ignore[method-assign]  # nobody may read the data folder
    try:
        assert forked(ask) == [200] * 3 + [403] * 4 + [403] * 7
    finally:
        del busy.page_port


def test_the_token_is_the_owners_alone(busy: LivePage) -> None:
    token = metrics_token(str(busy.home))
    assert (busy.home / "metrics.token").stat().st_mode & 0o777 == 0o600
    assert (len(token), metrics_token(str(busy.home))) == (43, token)


@pytest.mark.deep
def test_a_dead_broker_is_not_ready_and_the_metrics_say_so() -> None:
    with live_page() as live:
        assert (live.request("GET", "/healthz").status, live.request("GET", "/readyz").status) == (200, 200)
        with live.supervisor_asleep():
            live.kill("broker")
            wait_for("a page that knows", lambda: live.request("GET", "/readyz").status == 503)
            assert live.request("GET", "/healthz").status == 200
            told = samples(live)
            assert told["agent_ipc_broker_up", ""] == 0
            assert told["agent_ipc_process_resident_memory_bytes", "web"] > 0
        wait_for("the broker's return", lambda: live.request("GET", "/readyz").status == 200)
        assert samples(live)["agent_ipc_broker_up", ""] == 1


def test_the_dashboard_asks_for_names_and_labels_that_there_are(busy: LivePage) -> None:
    text = DASHBOARD.read_text(encoding="utf-8")
    families = list(text_string_to_metric_families(scrape(busy).text))
    there = {sample.name for family in families for sample in family.samples} | ALWAYS
    labels = {label for family in families for sample in family.samples for label in sample.labels}
    asked = set(re.findall(r"agent_ipc_\w+", text))
    assert asked - there == set()
    targets = [target for panel in json.loads(text)["panels"] for target in panel["targets"]]
    assert {label for t in targets for label in re.findall(r"{{(\w+)}}", t["legendFormat"])} <= labels
    assert {label for t in targets for label in re.findall(r"[{,](\w+)=", t["expr"])} <= labels
    assert len(targets) >= 10
