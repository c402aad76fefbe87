"""Whose mail on lease is: the connection's that got it, until it is acknowledged, given up, touched, or time is over."""

import pytest

from broker.core.batch import Incoming
from broker.core.leases import begin_connection, end_connection, next_deadline, note_use
from broker.core.state import Mailbox, Route, State
from tests.engine import Core

SHELL, HOOK, DOOR = b"shell", b"hook", b"door"
"""Connections of one session; of the last one nobody tells the end."""


@pytest.fixture
def mailed(core: Core) -> Core:
    """Bob has three messages, and two connections whose end will be told."""
    core.register("ann", "bob")
    for text in ("one", "two", "three"):
        core.send("ann", "bob", text)
    for route in (SHELL, HOOK):
        begin_connection(core.engine.state, route)
    return core


def ask(core: Core, route: Route, action: str, **fields: object) -> list[dict[str, object]]:
    """Bob's request over a connection; all that goes out."""
    request = Incoming(route, {"action": action, "id": 1, **fields}, core.tokens["bob"], "test")
    return [o.body for o in core.engine.run([request], core.now())[0]]  # type: ignore[union-attr]


def fetch(core: Core, route: Route, **fields: object) -> list[tuple[str, bool]]:
    """What a check over a connection brings: texts, and whether each was handed out before."""
    (reply,) = ask(core, route, "check", **fields)
    return [(m["message"]["content"], m.get("redelivered", False)) for m in reply["messages"]]  # type: ignore[attr-defined]


def pass_turn(core: Core) -> list[dict[str, object]]:
    return [o.body for o in core.engine.run([], core.now())[0]]  # type: ignore[union-attr]


def test_mail_comes_back_with_the_end_of_the_connection_that_got_it(mailed: Core) -> None:
    assert fetch(mailed, SHELL, limit=2) == [("one", False), ("two", False)]
    assert fetch(mailed, HOOK) == [("three", False)]
    end_connection(mailed.engine.state, SHELL)
    assert fetch(mailed, HOOK) == [("one", True), ("two", True)]
    assert next_deadline(mailed.engine.state) == mailed.now().mono_s + 30


def test_mail_of_a_connection_whose_end_is_not_told_comes_back_by_time(mailed: Core) -> None:
    fetch(mailed, DOOR)
    end_connection(mailed.engine.state, DOOR)
    assert fetch(mailed, SHELL) == []
    mailed.pass_time(31)
    assert [text for text, _again in fetch(mailed, SHELL)] == ["one", "two", "three"]


def test_what_was_acknowledged_over_another_connection_stays_read(mailed: Core) -> None:
    fetch(mailed, SHELL)
    (acked,) = ask(mailed, HOOK, "ack", ids=["1", "2"])
    assert acked["acked"] == 2
    end_connection(mailed.engine.state, SHELL)
    assert fetch(mailed, HOOK) == [("three", True)]


def test_touched_mail_stays_on_lease_whatever_becomes_of_its_connection(mailed: Core) -> None:
    fetch(mailed, SHELL)
    ask(mailed, SHELL, "touch", ids=["1"], lease_s=300)
    end_connection(mailed.engine.state, SHELL)
    assert fetch(mailed, HOOK) == [("two", True), ("three", True)]
    mailed.pass_time(301)
    assert ("one", True) in fetch(mailed, HOOK)


def test_mail_that_was_fetched_again_belongs_to_the_later_connection(mailed: Core) -> None:
    fetch(mailed, SHELL)
    ask(mailed, HOOK, "release")
    assert len(fetch(mailed, HOOK)) == 3
    end_connection(mailed.engine.state, SHELL)
    assert fetch(mailed, DOOR) == []
    end_connection(mailed.engine.state, HOOK)
    assert len(fetch(mailed, DOOR)) == 3


def test_a_check_that_waits_gets_what_comes_back(mailed: Core) -> None:
    fetch(mailed, SHELL)
    assert ask(mailed, HOOK, "check", wait_s=60) == []
    end_connection(mailed.engine.state, SHELL)
    assert next_deadline(mailed.engine.state) == 0.0
    (reply,) = pass_turn(mailed)
    assert [m["id"] for m in reply["messages"]] == ["1", "2", "3"]  # type: ignore[attr-defined]


def test_a_subscription_ends_with_its_connection_and_its_mail_goes_to_the_next(mailed: Core) -> None:
    pushed = ask(mailed, SHELL, "subscribe", window=2)[1]
    assert len(pushed["messages"]) == 2  # type: ignore[arg-type]
    end_connection(mailed.engine.state, SHELL)
    assert pass_turn(mailed) == []
    assert ask(mailed, HOOK, "subscribe", window=2)[1]["messages"][0]["redelivered"] is True  # type: ignore[index]


def test_the_answer_to_an_ask_comes_back_with_its_connection(mailed: Core) -> None:
    ask(mailed, SHELL, "ask", to_id="ann", message={"content": "sure?"}, wait_s=60, message_id="q")
    (question,) = mailed.check("ann")
    mailed.ask("ann", "reply", to_message=question["id"], message={"content": "yes"})
    fetch(mailed, HOOK)  # all but the answer, which the asker was handed
    end_connection(mailed.engine.state, SHELL)
    assert fetch(mailed, HOOK) == [("yes", True)]


def test_a_watcher_is_told_of_mail_that_comes_back(mailed: Core) -> None:
    fetch(mailed, SHELL)
    ask(mailed, HOOK, "subscribe", notify=True)
    end_connection(mailed.engine.state, SHELL)
    (told,) = pass_turn(mailed)
    assert (told["push"], told["unread"]) == ("new", 3)


def test_a_lease_that_was_not_committed_has_no_holder(mailed: Core) -> None:
    """A full disk at the commit: the retry hands the mail out again, to the same connection."""
    mailed.store._sql.execute("PRAGMA query_only = 1")
    fetch(mailed, SHELL)
    fetch(mailed, HOOK)
    mailed.store._sql.execute("PRAGMA query_only = 0")
    assert {lease.holder for lease in mailed.engine.state.mailboxes["bob"].leased.values()} == {SHELL}
    end_connection(mailed.engine.state, SHELL)
    assert len(fetch(mailed, HOOK)) == 3


def test_what_is_kept_of_a_connection_is_bounded_by_the_mailboxes_there_are() -> None:
    """A door's connection may serve a million names, one after the other."""
    state = State()
    begin_connection(state, SHELL)
    for number in range(5000):
        mailbox = Mailbox(number, f"n{number}", claimed=True, created_s=0.0, last_seen_s=0.0)
        state.by_id[number] = mailbox
        note_use(state, SHELL, mailbox)
        del state.by_id[number]
    assert len(state.connections[SHELL]) < 2000
