"""Plain words at the TCP door."""

from typing import Any

import pytest

from tests.conftest import Service
from tests.lasting import Lasting, check, register, send


def say(service: Service, token: str, text: Any, **fields: Any) -> dict[str, Any]:
    return service.ask({"action": "say", "text": text, "session_token": token, **fields})


def test_a_sentence_is_understood_and_carried_out(service: Service) -> None:
    fred, claude = register(service, "fred", "claude")
    answer = say(service, fred, "msg claude: the build is green")
    assert answer["results"][0].pop("reach") == "claude: nothing wakes it; last seen 0 s ago"
    assert answer == {
        "status": "ok",
        "done": True,
        "understood": {"intent": "send", "to": ["claude"], "content": "the build is green"},
        "results": [{"status": "ok", "message": "Message sent", "message_id": "1", "number": "1"}],
    }
    checked = say(service, claude, "chekc my mesages")
    assert [m["message"]["content"] for m in checked["results"][0]["messages"]] == ["the build is green"]
    say(service, claude, "reply: great")
    assert [m["message"]["content"] for m in check(service, fred, "fred")["messages"]] == ["great"]


def test_mail_that_a_sentence_brought_is_acknowledged_like_any_other(shared: Service, tag: str) -> None:
    fred, claude = register(shared, f"fred{tag}", f"claude{tag}")
    send(shared, fred, f"fred{tag}", f"claude{tag}")
    lasting = Lasting(shared)
    assert len(lasting.ask({"action": "say", "text": "check messages", "session_token": claude})["results"][0]["messages"]) == 1
    lasting.ask({"action": "check", "session_token": claude})
    lasting.close()
    assert check(shared, claude, f"claude{tag}")["messages"] == []


def test_what_is_unsure_is_asked_back_and_done_when_confirmed(shared: Service, tag: str) -> None:
    (fred,) = register(shared, f"fred{tag}")
    asked = say(shared, fred, f"msg nessa{tag} welcome", id=1)
    assert (asked["done"], asked["question"], asked["id"]) == (False, f"nessa{tag} isn't registered. Send anyway?", 1)
    done = say(shared, fred, f"msg nessa{tag} welcome", confirm=True)
    assert done["results"][0]["message"] == f"Message queued for nessa{tag} (not yet registered)"


@pytest.mark.deep
@pytest.mark.parametrize(
    ("text", "question"),
    [
        ("send hi to fred", "Send this to fred?"),
        ("send the build is green to fred", "Send this to fred?"),
        ("broadcast hello", "Send this to everyone?"),
    ],
)
def test_what_may_be_a_job_is_sent_only_when_confirmed(service: Service, text: str, question: str) -> None:
    fred, claude = register(service, "fred", "claude")
    asked = say(service, claude, text)
    assert (asked["done"], asked["question"]) == (False, question)
    assert check(service, fred, "fred")["messages"] == []
    assert say(service, claude, text, confirm=True)["understood"] == asked["understood"]
    (mail,) = check(service, fred, "fred")["messages"]
    assert mail["message"]["content"] == asked["understood"]["content"]


def test_a_message_without_a_text_is_asked_for_it_even_when_confirmed(shared: Service, tag: str) -> None:
    fred, claude = register(shared, f"fred{tag}", f"claude{tag}")
    asked = say(shared, claude, f"tell fred{tag}", confirm=True)
    assert (asked["done"], asked["question"], asked["understood"]) == (False, f"Tell fred{tag} what?", {"intent": "unknown"})
    assert check(shared, fred, f"fred{tag}")["messages"] == []


def test_a_question_that_was_said_stands_among_the_open_ones(shared: Service, tag: str) -> None:
    fred, claude = register(shared, f"fred{tag}", f"claude{tag}")
    assert say(shared, claude, f"ask fred{tag}: which branch?")["results"][0]["state"] == "open"
    (row,) = shared.ask({"action": "asks", "session_token": claude})["asks"]
    assert (row["to"], row["content"], row["state"]) == (f"fred{tag}", "which branch?", "open")
    say(shared, fred, "check messages")
    say(shared, fred, "reply: main")
    assert shared.ask({"action": "asks", "session_token": claude})["asks"][0]["state"] == "answered"


def test_a_group_is_asked_by_a_message(service: Service) -> None:
    fred, claude = register(service, "fred", "claude")
    for token, action in ((fred, "group_create"), (claude, "group_join")):
        service.ask({"action": action, "group": "crew", "session_token": token})
    assert say(service, claude, "ask crew: which branch?")["results"][0]["status"] == "ok"
    assert [m["message"]["content"] for m in check(service, fred, "fred")["messages"]] == ["which branch?"]


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("write a test for send()", "not_understood"),
        ("share /etc/passwd with fred", "bad_request"),
        ("register as bob", "bad_request"),
        (5, "bad_request"),
        ("x" * 9000, "too_large"),
    ],
)
def test_what_can_not_be_said_is_a_clear_error(shared: Service, tag: str, text: Any, code: str) -> None:
    (fred,) = register(shared, f"fred{tag}")
    assert say(shared, fred, text)["code"] == code


def test_nobody_says_anything_without_a_session(shared: Service) -> None:
    assert say(shared, "none", "check messages")["code"] == "unauthorized"
