"""Who may take a name at the port."""

from typing import Any

from tests.conftest import Service
from tests.lasting import Lasting


def take(at: Lasting | Service, name: str, **fields: Any) -> dict[str, Any]:
    return at.ask({"action": "register", "instance_id": name, **fields})


def test_a_script_that_listens_keeps_its_name_and_registers_again_on_its_connection(shared: Service, tag: str) -> None:
    name, mine, other = f"fred{tag}", Lasting(shared), Lasting(shared)
    token = take(mine, name)["session_token"]
    assert mine.ask({"action": "subscribe", "session_token": token})["status"] == "ok"
    for at in (other, shared):
        refused = take(at, name)
        assert (refused["code"], refused["holder"]["alive"]) == ("name_held", True)
    assert take(other, name, client="1")["code"] == "name_held"  # a client's own word for its connection counts nothing
    mine.write({"action": "register", "instance_id": name})
    assert {mine.read().get("push"), mine.read().get("push")} == {"session_replaced", None}
    mine.close()
    other.close()


def test_a_script_shows_its_token_on_another_connection(shared: Service, tag: str) -> None:
    name, listening = f"fred{tag}", Lasting(shared)
    token = take(shared, name)["session_token"]
    assert listening.ask({"action": "subscribe", "session_token": token})["status"] == "ok"
    assert take(shared, name, session_token=token)["status"] == "ok"
    assert listening.read()["push"] == "session_replaced"
    listening.close()


def test_force_takes_a_name_and_its_holder_is_told_who_has_it(shared: Service, tag: str) -> None:
    name, mine = f"fred{tag}", Lasting(shared)
    token = take(mine, name)["session_token"]
    mine.ask({"action": "subscribe", "session_token": token})
    body = {"kind": "process", "key": f"k{tag}", "host": "backup.py", "where": "/srv"}
    assert take(shared, name, force=True, body=body)["status"] == "ok"
    push = mine.read()
    assert push["push"] == "session_replaced" and "by a program (backup.py) at /srv, at 2" in push["hint"]
    told = mine.ask({"action": "check", "session_token": token})
    assert (told["code"], told["holder"]["host"]) == ("session_replaced", "backup.py")
    mine.close()


def test_a_name_is_given_back_at_the_port(shared: Service, tag: str) -> None:
    token = take(shared, f"fred{tag}")["session_token"]
    assert shared.ask({"action": "unregister", "session_token": token})["message"] == f"Unregistered fred{tag}"
    assert shared.ask({"action": "whoami", "session_token": token})["code"] == "session_ended"
    assert take(shared, f"fred{tag}")["status"] == "ok"
