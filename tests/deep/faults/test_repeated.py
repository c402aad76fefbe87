"""A broker that dies between its commit and its reply: what the door asks again is stored once."""

import json
import os
import signal
import socket
from collections.abc import Iterator
from typing import Any

import pytest

from tests.deep.faults.crash import Home
from tests.deep.faults.points import FILE


@pytest.fixture(scope="module")
def home() -> Iterator[Home]:
    home = Home()
    with home.starts_services():
        home.start()
        yield home
        home.stop()
    home.remove()


def ask(home: Home, **body: Any) -> dict[str, Any]:
    """One request over TCP, in the one-shot form."""
    with socket.create_connection(("127.0.0.1", home.port()), 30.0) as s:
        s.sendall(json.dumps(body).encode())
        reply: dict[str, Any] = json.loads(s.recv(65536))
        return reply


def arm(home: Home) -> int:
    """The pid of a broker that will die before its first reply."""
    file = home.path / "run" / FILE
    file.write_text(json.dumps({"point": "before_reply", "nth": 1}))
    old = home.wait("the broker", lambda: home.pid("broker"))
    os.kill(old, signal.SIGKILL)
    home.wait("the armed broker", lambda: not file.exists())
    return int(home.wait("its pid", lambda: home.pid("broker") not in (0, old) and home.pid("broker")))


@pytest.mark.timeout(180)
@pytest.mark.parametrize("action", ["send", "broadcast", "reply", "ask", "forward"])
def test_a_message_without_an_id_is_stored_once_and_answered_as_if_nothing_had_been(home: Home, action: str) -> None:
    names = [f"{action}-writer", f"{action}-reader"]
    writer, reader = (str(ask(home, action="register", instance_id=name, auth_token="")["session_token"]) for name in names)
    first = ask(home, action="send", to_id=names[0], message={"content": "first"}, session_token=reader)["number"]
    message = {"message": {"content": "once", "data": {"n": 1}}}
    fields: dict[str, Any] = {
        "send": {"to_id": names[1], **message},
        "broadcast": message,
        "reply": {"to_message": first, **message},
        "ask": {"to_id": names[1], **message},
        "forward": {"forward_id": first, "to_id": names[1], "note": "once"},
    }[action]
    armed = arm(home)
    reply = ask(home, action=action, session_token=writer, **fields)
    assert not home.alive(armed), "it died before it had answered"
    assert reply["status"] == "ok", reply
    assert reply["message_id"] == reply["number"]
    assert "duplicate" not in reply
    found = ask(home, action="check", session_token=reader)["messages"]
    assert [m["message"]["content"].partition("\n")[0] for m in found] == ["once"]
