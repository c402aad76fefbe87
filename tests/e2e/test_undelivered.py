"""Mail that does not arrive, through real doors: its sender is told, also after the broker was killed, and sends it again."""

import json
import socket
from collections.abc import Callable
from typing import Any

import pytest

from broker import connect
from tests.conftest import Service, wait_for

pytestmark = pytest.mark.deep  # bounces come after seconds, and the broker is started anew


@pytest.fixture
def impatient(make_service: Callable[..., Service]) -> Service:
    """A service that tells of readers who are away for a second."""
    return make_service(IPC_BOUNCE_INTERRUPT="1", IPC_BOUNCE_AFTER="1").start()


def over_tcp(service: Service, **body: Any) -> dict[str, Any]:
    with socket.create_connection(("127.0.0.1", service.port()), 10) as link:
        link.sendall(json.dumps(body).encode())
        link.shutdown(socket.SHUT_WR)
        raw = b"".join(iter(lambda: link.recv(65536), b""))
    reply: dict[str, Any] = json.loads(raw)
    return reply


def test_a_sender_over_tcp_is_told_that_nobody_has_the_name_and_once(impatient: Service) -> None:
    token = over_tcp(impatient, action="register", instance_id="fred", auth_token="")["session_token"]
    sent = over_tcp(impatient, action="send", session_token=token, to_id="nobody", message={"content": "hello"})

    def told() -> list[str]:
        reply = over_tcp(impatient, action="check", session_token=token)
        return [m["message"]["content"] for m in reply["messages"]]

    (notice,) = wait_for("the digest", told)
    assert f"#{sent['number']} to nobody, waits: nobody has this name yet. It begins: hello" in notice
    impatient.kill("broker")
    with connect("other", settings=impatient.settings) as other:
        other.send("nobody", "later")
        wait_for("a digest that comes later", lambda: other.count()["unread"])
    assert told() == []


def test_refused_mail_is_a_dead_letter_at_every_door_and_is_sent_again(impatient: Service) -> None:
    token = over_tcp(impatient, action="register", instance_id="fred", auth_token="")["session_token"]
    with connect("claude", settings=impatient.settings) as claude:
        over_tcp(impatient, action="send", session_token=token, to_id="claude", message={"content": "do this"})
        mail = claude.check(wait=10)
        claude.release(mail, refuse=True, why="not my job")
        (row,) = over_tcp(impatient, action="dead", session_token=token)["dead"]
        assert (row["ending"], row["why"], row["content"]) == ("refused", "not my job", "do this")
        assert [r["id"] for r in claude.dead()["dead"]] == [row["id"]]
        again = over_tcp(impatient, action="dead_send", session_token=token, dead_id=row["id"], to_id="bob")
        assert (again["to"], again["resends"]) == ("bob", row["id"])
        assert claude.dead_drop(mail[0])["dropped"] == 1
    with connect("bob", settings=impatient.settings) as bob:
        assert [(m.sender, m.content, m.resends) for m in bob.check()] == [("fred", "do this", row["id"])]
    (notice,) = wait_for("the digest", lambda: over_tcp(impatient, action="check", session_token=token)["messages"])
    assert "refused: not my job" in notice["message"]["content"]
