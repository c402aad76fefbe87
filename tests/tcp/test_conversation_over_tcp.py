"""The ways teams talk, over the TCP door: a lasting connection and the one-shot form."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from broker.protocol.actions import ACTIONS
from broker.protocol.former_actions import FORMER_ACTIONS
from broker.protocol.rows import Access
from tests.conftest import Service, wait_for
from tests.lasting import Lasting, check, register, send


def reply(service: Service, token: str, to: str, text: str) -> dict[str, Any]:
    return service.ask({"action": "reply", "to_message": to, "message": {"content": text}, "session_token": token})


def test_an_ask_waits_on_its_connection_and_brings_the_answer(shared: Service, tag: str) -> None:
    fred, claude = register(shared, f"fred{tag}", f"claude{tag}")
    asking = Lasting(shared)
    question = {"action": "ask", "to_id": f"claude{tag}", "message": {"content": "which branch?"}, "wait_s": 30, "id": 7}
    asking.write({**question, "session_token": fred})
    (asked,) = wait_for("the question", lambda: check(shared, claude, f"claude{tag}")["messages"])
    assert asked["question"]["waiting"] is True
    reply(shared, claude, asked["id"], "main")
    answer = asking.read()
    assert (answer["id"], answer["state"], answer["messages"][0]["message"]["content"]) == (7, "answered", "main")
    ack = {"action": "ack", "ids": [answer["messages"][0]["id"]], "session_token": fred}
    assert asking.ask(ack)["acked"] == 1
    asking.close()
    assert check(shared, fred, f"fred{tag}")["messages"] == []


def test_an_answer_that_its_asker_did_not_stay_for_is_mail(shared: Service, tag: str) -> None:
    fred, claude = register(shared, f"fred{tag}", f"claude{tag}")
    asking = Lasting(shared)
    asking.write({"action": "ask", "to_id": f"claude{tag}", "message": {"content": "?"}, "wait_s": 30, "session_token": fred})
    (asked,) = wait_for("the question", lambda: check(shared, claude, f"claude{tag}")["messages"])
    asking.close()
    reply(shared, claude, asked["id"], "main")
    (answer,) = wait_for("the answer", lambda: check(shared, fred, f"fred{tag}")["messages"])
    assert answer["message"]["content"] == "main"


def test_a_watcher_is_told_of_mail_and_again_after_the_broker_was_killed(service: Service) -> None:
    fred, claude = register(service, "fred", "claude")
    watching = Lasting(service)
    watching.ask({"action": "subscribe", "notify": True, "session_token": claude, "id": "w"})
    send(service, fred, "fred", "claude")
    told = watching.read()
    assert (told["push"], told["id"], told["unread"], told["from"]) == ("new", "w", 1, ["fred"])
    service.kill("broker")
    send(service, fred, "fred", "claude")
    told = watching.read()
    while told["unread"] < 2:  # the new broker is asked again, and says what waits
        told = watching.read()
    assert told["push"] == "new"
    watching.close()


def test_a_subscriber_gets_mail_after_the_broker_was_killed(service: Service) -> None:
    fred, claude = register(service, "fred", "claude")
    subscribed = Lasting(service)
    subscribed.ask({"action": "subscribe", "session_token": claude})
    service.kill("broker")
    send(service, fred, "fred", "claude", "after")
    assert subscribed.read()["messages"][0]["message"]["content"] == "after"
    subscribed.close()


def test_a_script_wakes_its_host_by_a_way_of_its_own_and_its_end_leaves_the_mail_to_the_next(shared: Service, tag: str) -> None:
    fred, claude = register(shared, f"fred{tag}", f"claude{tag}")
    first, second = Lasting(shared), Lasting(shared)
    for script, way in ((first, "bell"), (second, "lamp")):
        asked = {"action": "subscribe", "notify": True, "ways": [way], "session_token": claude, "id": way}
        assert script.ask(asked)["armed"] == [way]
    send(shared, fred, f"fred{tag}", f"claude{tag}")
    assert (first.read()["push"], second.read()["push"]) == ("new", "new")
    told = first.read()
    assert (told["push"], told["id"], told["way"], told["instance_id"]) == ("wake", "bell", "bell", f"claude{tag}")
    first.close()  # before it has answered
    told = second.read()
    assert (told["push"], told["way"]) == ("wake", "lamp")
    answer = second.ask({"action": "way", "way": "lamp", "result": "given", "session_token": claude})
    assert (answer["status"], answer["state"]) == ("ok", "tried")
    second.close()


def test_one_connection_that_leaves_ends_no_others_subscription(shared: Service, tag: str) -> None:
    fred, claude = register(shared, f"fred{tag}", f"claude{tag}")
    first, second = Lasting(shared), Lasting(shared)
    for watching in (first, second):
        watching.ask({"action": "subscribe", "notify": True, "session_token": claude})
    first.close()
    send(shared, fred, f"fred{tag}", f"claude{tag}")
    assert second.read()["push"] == "new"
    second.close()


def test_a_one_shot_history_fits_one_reply_and_pages(shared: Service, tag: str) -> None:
    fred, claude = register(shared, f"fred{tag}", f"claude{tag}")
    for number in range(12):
        send(shared, fred, f"fred{tag}", f"claude{tag}", f"{number} " + "x" * 9000)
    seen: list[str] = []
    before: dict[str, str] = {}
    more = True
    while more:
        page = shared.ask({"action": "history", "session_token": claude, **before})
        seen += [m["message"]["content"].split()[0] for m in page["messages"]]
        before, more = {"before": page["messages"][-1]["id"]}, page["more"]
    assert seen == [str(n) for n in reversed(range(12))]


@pytest.mark.parametrize(
    "action", sorted({n for n, a in ACTIONS.items() if a.access is Access.SESSION and not a.here} | {*FORMER_ACTIONS})
)
def test_the_door_lacks_no_action(shared_service: Service, action: str) -> None:
    lasting = Lasting(shared_service)
    assert lasting.ask({"action": action})["code"] == "unauthorized"
    lasting.close()


@pytest.fixture(scope="module")
def shared_service() -> Iterator[Service]:

    home = Path(tempfile.mkdtemp(prefix="ipc-"))
    service = Service(home).start()
    yield service
    service.stop()
    shutil.rmtree(home, ignore_errors=True)
