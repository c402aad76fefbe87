"""A one-shot reply fits one recv, whatever the action; what is not in it has been handed out to nobody."""

import json
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bridges.tcp.fitting import ONE_SHOT_BYTES
from broker.client.sync import Client
from tests.conftest import Service, wait_for

NAMES = 660


def request(service: Service, **body: Any) -> tuple[dict[str, Any], int]:
    """The reply of a one-shot connection, read to its end, and its length."""
    with service.tcp() as s:
        s.sendall(json.dumps(body).encode())
        raw = b""
        while part := s.recv(65536):
            raw += part
    return json.loads(raw), len(raw)


@pytest.fixture(scope="module")
def crowd() -> Iterator[Service]:
    """A service with long lists of everything."""
    home = Path(tempfile.mkdtemp(prefix="ipc-"))
    service = Service(home, IPC_RATE_LIMIT="0").start()
    yield service
    service.stop()
    shutil.rmtree(home, ignore_errors=True)


@pytest.fixture(scope="module")
def fred(crowd: Service) -> Client:
    fred = crowd.connect("fred")
    ask = fred._connection.request_many
    bodies = [{"action": "register", "instance_id": f"a-longish-worker-name-{n:05}"} for n in range(NAMES)]
    tokens = [reply["session_token"] for reply in ask(bodies)]
    ask(
        [
            {"action": "group_create", "group": f"a-group-with-a-longish-name{n:05}", "session_token": tokens[n]}
            for n in range(NAMES)
        ]
    )
    ask([{"action": "claim", "resource": f"file-{n}-" + "x" * 300, "session_token": tokens[n // 40]} for n in range(NAMES)])
    ask([{"action": "block", "name": f"a-longish-worker-name-{n:05}", "session_token": fred.token} for n in range(NAMES)])
    ids = [f"q{n}" for n in range(150)]
    ask(
        [
            {"action": "ask", "to_id": "fred", "message": {"content": "?" * 300}, "message_id": i, "session_token": fred.token}
            for i in ids
        ]
    )
    ask([{"action": "broadcast", "message": {"content": "to all"}, "message_id": "b", "session_token": fred.token}])
    return fred


@pytest.mark.deep
@pytest.mark.parametrize(
    ("action", "rows", "fields"),
    [
        ("list", "instances", {}),
        ("groups", "groups", {}),
        ("claims", "claims", {}),
        ("blocks", "blocks", {}),
        ("asks", "asks", {}),
        ("history", "messages", {"limit": 200}),
        ("search", "messages", {"limit": 200, "query": "?" * 3}),
        ("receipts", "receipts", {"ids": ["b"] * 3}),
        ("check", "messages", {"limit": 1000, "max_bytes": 10**7}),
    ],
)
def test_every_list_ends_where_the_reply_would_be_too_long(
    crowd: Service, fred: Client, action: str, rows: str, fields: dict[str, Any]
) -> None:
    reply, size = request(crowd, action=action, session_token=fred.token, **fields)
    assert reply["status"] == "ok", reply
    assert size <= ONE_SHOT_BYTES
    assert rows in reply
    whole = fred.request(action, **fields)
    if action != "search":  # whose index may be behind
        assert reply.get("more") or reply[rows][0].get("more"), "it says that there is more"
    if action in ("list", "claims", "blocks", "asks", "receipts"):
        for row in (*reply[rows], *whole[rows]):
            row.pop("why", None)  # it says how long ago
        assert reply[rows] == whole[rows][: len(reply[rows])] or action == "list"
        assert reply["more"] == len(whole[rows]) - len(reply[rows])
    fred.request("release")


def test_a_sentence_that_lists_everything_fits_too(crowd: Service, fred: Client) -> None:
    reply, size = request(crowd, action="say", text="who is online?", session_token=fred.token)
    assert (reply["status"], reply["done"]) == ("ok", True)
    assert size <= ONE_SHOT_BYTES
    assert reply["results"][0]["more"] > 0


@pytest.mark.parametrize("width", [1, 300, 1500])
@pytest.mark.parametrize("limits", [{}, {"max_bytes": 5000}])
@pytest.mark.deep
def test_mail_that_nobody_saw_is_not_marked_as_seen(crowd: Service, width: int, limits: dict[str, int]) -> None:
    name = f"reader{width}{len(limits)}"
    token = crowd.register(name)
    sender = crowd.connect(f"s-{name}")
    count = 200 if width == 1 else 60
    sender.send_many([(name, f"{n} " + 'ü"\n'[n % 3] * width) for n in range(count)])
    seen: list[int] = []
    while len(seen) < count:
        reply, size = request(crowd, action="check", session_token=token, **limits)
        assert size <= limits.get("max_bytes", ONE_SHOT_BYTES) + 100
        assert reply["messages"]
        assert not any("redelivered" in m for m in reply["messages"])
        seen += [int(m["message"]["content"].split()[0]) for m in reply["messages"]]
        assert reply.get("more", 0) == count - len(seen)
    assert seen == list(range(count))


def test_large_messages_whose_files_have_long_names_fit_and_none_is_marked_unseen(crowd: Service) -> None:
    name, writer = "r" * 32, "w" * 32
    token = crowd.register(name)
    crowd.connect(writer).send_many([(name, f"{n}. Two. " + "x" * 20_000) for n in range(120)])
    seen: list[str] = []
    while len(seen) < 120:
        reply, size = request(crowd, action="check", session_token=token)
        assert size <= ONE_SHOT_BYTES
        assert not any("redelivered" in m for m in reply["messages"])
        seen += [m["id"] for m in reply["messages"]]
    assert len(set(seen)) == 120


def test_no_message_is_too_long_for_a_reply(crowd: Service) -> None:
    token = crowd.register("bulky")
    writer = crowd.connect("bulky-writer")
    data = {"text": "\x01" * 2700}  # 16 kB as JSON
    for content in ("\x01" * 10_000, '"' * 10_000, "\x01" * 2500, "😀" * 2_560, "x" * 10_240):
        writer.send("bulky", content, data)
        reply, size = request(crowd, action="check", session_token=token)
        assert size <= ONE_SHOT_BYTES
        message = reply["messages"][0]["message"]
        assert message["data"]["text"] == data["text"]
        assert "cut" not in message
        wait_for("the acknowledgement", lambda: writer.request("status")["leased"] == 0)
