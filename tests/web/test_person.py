"""The person at the page: an instance like others, whose word is a person's."""

import asyncio
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from bridges.person import Person, wanted_name
from broker.client.aio import AsyncConnection
from broker.home.files import owner_key
from broker.home.settings import Settings
from tests.conftest import Service, wait_for
from tests.ports import free_port
from tests.web.live_page import LivePage, live_page
from tests.web.owner import overview, state

FIELDS: dict[str, dict[str, Any]] = {
    "send": {"to": "fred", "content": "hello"},
    "broadcast": {"content": "hello"},
    "ask": {"to": "fred", "content": "which?"},
}


@pytest.fixture
def live(worker_page: LivePage) -> Iterator[LivePage]:
    yield worker_page
    worker_page.close_clients()


def saved(live: Service) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((live.home / "sessions" / "person.json").read_text())
    return found


@pytest.mark.parametrize("act", FIELDS)
def test_what_is_said_by_json_arrives_as_a_persons(live: LivePage, act: str, tag: str) -> None:
    fred = live.connect(f"fred-{tag}")
    fields = {**FIELDS[act], "content": f"hello {tag}"}
    if "to" in fields:
        fields["to"] = fred.name
    answer = live.post(f"/act/{act}", fields)
    assert (answer.status, answer.json()["status"]) == (200, "ok")
    (mail,) = fred.check(wait=5)
    assert (mail.sender, mail.content) == ("pat", f"hello {tag}")
    (row,) = [row for row in overview(live)["agents"] if row["id"] == "pat"]
    assert row["person"] is True


def test_a_plain_form_does_the_same_and_leads_back(live: LivePage, tag: str) -> None:
    fred = live.connect(f"fred-{tag}")
    answer = live.post_form("/act/send", {"to": fred.name, "content": "söme\r\ntext", "back": "/talk/fred"})
    assert (answer.status, answer.headers["location"]) == (303, "/talk/fred")
    assert fred.check(wait=5)[0].content == "söme\r\ntext"
    answer = live.post_form("/act/send", {"to": fred.name, "back": "/talk/fred"})
    assert (answer.status, "needs the field content" in answer.text, 'href="/talk/fred"' in answer.text) == (400, True, True)


def test_a_form_that_is_sent_twice_stores_once(live: LivePage, tag: str) -> None:
    fred = live.connect(f"fred-{tag}")
    for _ in range(2):
        assert live.post_form("/act/send", {"to": fred.name, "content": "x", "message_id": f"once-{tag}"}).status == 303
    assert len(fred.check(wait=5)) == 1


def test_the_person_answers_and_takes_mail_as_read(live: LivePage, tag: str) -> None:
    fred = live.connect(f"fred-{tag}")
    live.post("/act/send", {"to": fred.name, "content": "hello"})
    assert fred.check(wait=5)
    asked = fred.request("ask", to_id="pat", message={"content": "may I?"}, wait_s=0)
    answer = live.post("/act/reply", {"message": asked["number"], "content": "yes"})
    assert answer.json()["answers"] == asked["number"]
    (reply,) = fred.check(wait=5)
    assert reply.content == "yes"
    told = fred.request("send", to_id="pat", message={"content": "thanks"})["number"]
    assert [live.post("/act/ack", {"ids": [told]}).json()["acked"] for _ in range(2)] == [1, 0]
    assert live.post("/act/forward", {"message": asked["number"], "to": fred.name, "note": "see"}).status == 200


def test_pauses_and_dead_letters(live: LivePage, tag: str) -> None:
    fred, bob = live.connect(f"fred-{tag}"), live.connect(f"bob-{tag}")
    answer = live.post_form("/act/pause", {"name": fred.name, "other": bob.name, "on": "true"})
    assert answer.status == 303
    assert {"name": fred.name, "other": bob.name} in [{k: p[k] for k in ("name", "other")} for p in overview(live)["pauses"]]
    assert live.post("/act/pause", {"name": fred.name, "other": bob.name, "on": False}).json()["pauses"] == []
    number = fred.request("send", to_id=bob.name, message={"content": "no"})["number"]
    bob.check(wait=5)
    bob.request("release", ids=[number], refuse=True)
    sent = live.post("/act/dead_forward", {"dead": number, "to": fred.name}).json()
    assert (sent["to"], sent["resends"]) == (fred.name, number)
    assert live.post("/act/dead_forward", {"dead": number, "to": "no body"}).status == 400


@pytest.mark.parametrize(
    ("act", "fields", "status", "code"),
    [
        ("send", {"to": "no name!", "content": "x"}, 400, "invalid_recipient"),
        ("send", {"to": "fred", "content": "x", "land": "now"}, 400, "bad_request"),
        ("reply", {"message": "999999", "content": "x"}, 404, "unknown_message"),
        ("send", {"to": "fred", "content": "\ud800"}, 400, "bad_request"),
        ("permission_decide", {"permission": "1", "decision": "perhaps"}, 400, "bad_request"),
    ],
)
def test_a_refusal_has_the_brokers_words(live: LivePage, act: str, fields: dict[str, Any], status: int, code: str) -> None:
    answer = live.post(f"/act/{act}", fields)
    assert (answer.status, answer.json()["code"]) == (status, code)


def test_nothing_that_is_got_changes_anything(live: LivePage, tag: str) -> None:
    fred = live.connect(f"fred-{tag}")
    fred.send("pat", "to the person")
    live.post("/act/send", {"to": fred.name, "content": "to an agent"})
    before = state(live, fred.name)
    for path in (
        "/",
        "/sign-in",
        "/sign-in?token=x",
        "/events/",
        "/act/send?to=fred&content=x",
        "/healthz",
        "/readyz",
        "/metrics",
    ):
        for method in ("GET", "HEAD"):
            live.request(method, path, Cookie=live.cookie())
    assert state(live, fred.name) == before


# the session


def token_and_name(service: Service, refused: str = "") -> tuple[str, str]:
    """Those that a new process would have."""
    with ThreadPoolExecutor(1) as thread:  # a browser's driver may have a loop in this one
        return thread.submit(asyncio.run, _named(service, refused)).result()


async def _named(service: Service, refused: str) -> tuple[str, str]:
    connection = AsyncConnection(service.settings)
    person = Person(connection, service.settings, owner_key(service.home))
    try:
        return await person.session(refused), person.name
    finally:
        await connection.close()


@pytest.mark.deep
def test_page_and_terminal_view_share_one_session_over_restarts() -> None:
    with live_page(IPC_WEB_PORT=str(free_port())) as live:
        live.post("/act/send", {"to": "fred", "content": "x"})
        first = saved(live)
        with live.environment():
            assert token_and_name(live) == (first["token"], "pat")
        live.kill("web")
        wait_for("the next page", live.page_port)
        assert live.post("/act/send", {"to": "fred", "content": "y"}).status == 200
        assert saved(live) == first
        with live.environment():
            token, name = token_and_name(live, refused=first["token"])  # as after its end
        assert (name, token != first["token"]) == ("pat", True)
        assert live.post("/act/send", {"to": "fred", "content": "z"}).status == 200  # by the new one, which it finds
        assert saved(live)["token"] == token


@pytest.mark.deep
def test_a_name_that_another_holds_gets_a_number() -> None:
    with live_page(IPC_PERSON="fred") as live:
        live.connect("fred")
        bob = live.connect("bob")
        assert live.post("/act/send", {"to": "bob", "content": "x"}).status == 200
        assert bob.check(wait=5)[0].sender == "fred-2"


@pytest.mark.parametrize(("asked", "name"), [("Pat Smith", "Pat-Smith"), ("jürgen@home", "j-rgen-home"), ("all", "agent")])
def test_a_login_name_becomes_a_name(asked: str, name: str) -> None:
    assert wanted_name(Settings(home=Path("/"), person=asked)) == name


@pytest.mark.deep
def test_what_is_written_while_the_broker_is_away_is_stored_once() -> None:
    with live_page() as live, ThreadPoolExecutor(1) as thread:
        fred = live.connect("fred")
        live.post("/act/send", {"to": "fred", "content": "before"})
        with live.supervisor_asleep():
            live.kill("broker")
            answer = thread.submit(live.post, "/act/send", {"to": "fred", "content": "meanwhile"})
        assert answer.result().json()["status"] == "ok"
        assert [mail.content for mail in fred.check(wait=5)] == ["before", "meanwhile"]
        assert fred.check() == []
