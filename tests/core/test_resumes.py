"""Whose mail is told to the door that starts closed agents again, and what stays as if that door were not there."""

from typing import Any

import msgpack
import pytest

from broker.core.leases import end_connection
from broker.core.next_way import is_by
from tests.core.wakeable import LOOK_S, Host
from tests.engine import Core, own


class ClosedAgent(Host):
    """claude, whose session has ended; ``me`` is the person, at the page."""

    def __init__(self, core: Core) -> None:
        core.keep_house()
        super().__init__(core)
        body = {"kind": "process", "key": "person", "pid": 7, "started": "x"}
        core.tokens["me"] = core.ask("me", "register", instance_id="me", body=body)["session_token"]
        own(core, "person", by=core.tokens["me"])
        core.ask("claude", "presence", state="gone", reach=[])

    def stand_by(self, *senders: str, by: str = "door", **fields: Any) -> dict[str, Any]:
        body = {"action": "resume", "session_token": "owner-key", "by": self.token, "senders": list(senders), "look_s": LOOK_S}
        return self.core.batch({**body, **fields, "id": "of door"}, name=by)[0]

    def write(self, who: str = "me", **fields: Any) -> dict[str, Any]:
        return self.core.send(who, "claude", **fields)

    def newest(self) -> list[str]:
        """The newest message of each start that is asked for by now."""
        self.core.pass_time(0.3)
        return [push["newest"] for push in self.pushes() if push.get("push") == "wake" and push["way"] == "resume"]


@pytest.fixture
def closed(team: Core) -> ClosedAgent:
    return ClosedAgent(team)


def test_mail_of_the_person_starts_a_closed_agent_and_mail_of_agents_does_not(closed: ClosedAgent) -> None:
    assert closed.stand_by("person") == {"id": "of door", "status": "ok", "instance_id": "claude", "armed": ["resume"]}
    closed.write("fred")
    assert closed.newest() == []
    assert closed.core.check("fred") == []  # it is told of no attempt, since there was none
    number = closed.write(person=True)["number"]
    closed.write("bob")
    assert closed.newest() == [number]
    closed.answer("resume")
    (receipt,) = closed.core.ask("me", "receipts", ids=[number])["receipts"]
    assert [step.get("way") for step in receipt["steps"]] == [None, "resume"]


@pytest.mark.parametrize("who", ["me", "fred"])
@pytest.mark.parametrize("action", ["forward", "broadcast"])
def test_what_the_person_passes_on_or_tells_all_starts_it_too(closed: ClosedAgent, who: str, action: str) -> None:
    closed.stand_by("person")
    given = closed.core.send("bob", who)["number"]
    fields = {
        "forward": {"forward_id": given, "to_id": "claude"},
        "broadcast": {"message": {"content": "x"}, "land": "interrupt"},
    }
    number = closed.core.ask(who, action, person=True, **fields[action])["number"]
    assert closed.newest() == ([number] if who == "me" else [])


def test_a_start_that_brings_no_sign_is_told_to_the_person(closed: ClosedAgent) -> None:
    closed.stand_by("person")
    closed.write(person=True)
    assert len(closed.newest()) == 1
    closed.answer("resume")
    assert closed.after(LOOK_S) == []
    (told,) = closed.core.check("me")
    assert "claude was not woken by your mail" in told["message"]["content"]


@pytest.mark.parametrize(
    ("who", "fields", "named", "starts"),
    [
        ("me", {"person": True}, ("person",), True),
        ("me", {}, ("person",), False),
        ("fred", {"person": True}, ("person",), False),
        ("fred", {}, ("fred",), True),
        ("fred", {"person": True}, ("bob", "person"), False),
        ("fred", {"land": "digest"}, ("fred",), False),
    ],
)
def test_whose_mail_starts_it_is_what_the_broker_knows_of_the_sender(
    closed: ClosedAgent, who: str, fields: dict[str, Any], named: tuple[str, ...], starts: bool
) -> None:
    closed.stand_by(*named)
    number = closed.write(who, **fields)["number"]
    assert closed.newest() == ([number] if starts else [])


@pytest.mark.parametrize(
    ("named", "starts"), [(("person",), False), (("fred", "webhook-other"), False), (("webhook-ci",), True)]
)
def test_a_webhook_starts_it_only_where_it_is_named(closed: ClosedAgent, named: tuple[str, ...], starts: bool) -> None:
    closed.stand_by(*named)
    own(closed.core, "post", source="ci", to_id="claude", message={"content": "x"}, message_id="run 1")
    assert bool(closed.newest()) is starts


def test_a_person_of_another_site_is_known_by_the_address_alone() -> None:
    marked = msgpack.packb({"person": True})
    assert is_by("me", marked, ("person",)) and not is_by("me", None, ("person",))
    assert not is_by("person", None, ("person",))  # an agent of that name
    assert not is_by("ada@rome", marked, ("person", "ada")) and is_by("ada@rome", None, ("ada@rome",))


def test_what_waits_when_the_door_comes_is_told_of_also_after_a_broker_that_was_killed(closed: ClosedAgent) -> None:
    number = closed.write(person=True)["number"]
    closed.write("fred")
    closed.core.restart()
    closed.core.keep_house()
    closed.stand_by("person")
    assert closed.newest() == [number]


def test_a_door_that_was_killed_leaves_the_way_to_the_next_one_with_what_it_was_told(closed: ClosedAgent) -> None:
    closed.core.engine.state.connections.update({b"first": set(), b"second": set()})
    closed.stand_by("person", by="first")
    number = closed.write(person=True)["number"]
    assert closed.newest() == [number]
    assert closed.stand_by("person", by="second")["armed"] == []
    end_connection(closed.core.engine.state, b"first")
    assert closed.newest() == [number]
    end_connection(closed.core.engine.state, b"second")
    assert row(closed).get("reach") is None


def test_the_door_is_no_sign_of_life(closed: ClosedAgent) -> None:
    before = row(closed)
    closed.core.pass_time(50)
    closed.stand_by("person")
    after = row(closed)
    assert (after["presence"], after["ended"], after["last_seen"]) == ("gone", True, before["last_seen"])
    assert after["reach"] == ["resume"] and "reach" not in before
    fresh = closed.core.ask("new", "register", instance_id="claude", body={"kind": "process", "key": "other"})
    assert fresh["status"] == "ok"  # its name is to be had as before
    assert closed.stand_by("person")["code"] == "session_replaced"


def row(closed: ClosedAgent) -> dict[str, Any]:
    return next(dict(row) for row in closed.core.ask("fred", "list")["instances"] if row["id"] == "claude")


def test_a_sender_is_told_whose_mail_starts_it(closed: ClosedAgent) -> None:
    closed.stand_by("person", "fred")
    reply = closed.write("bob")
    assert reply["unreached"] and reply["reach"].startswith(
        "claude: closed, mail of the person, fred starts it again; last seen"
    )
    assert "unreached" not in closed.write("fred") and "unreached" not in closed.write(person=True)


def test_the_door_stands_by_no_longer_where_it_names_nobody(closed: ClosedAgent) -> None:
    closed.stand_by("person")
    assert closed.stand_by()["armed"] == []
    closed.write(person=True)
    assert closed.newest() == [] and "reach" not in row(closed)


def test_mail_for_which_it_was_started_before_starts_it_no_more(closed: ClosedAgent) -> None:
    first = closed.write(person=True)["number"]
    closed.stand_by("person", after=first)
    assert closed.newest() == []
    second = closed.write(person=True)["number"]
    assert closed.newest() == [second]


def test_a_start_that_is_put_off_is_told_to_nobody_and_comes_once_the_way_is_back(closed: ClosedAgent) -> None:
    closed.stand_by("person")
    number = closed.write(person=True)["number"]
    assert closed.newest() == [number]
    closed.stand_by()
    assert closed.after(LOOK_S) == [] and closed.core.check("me") == []
    closed.stand_by("person")
    assert closed.newest() == [number]


def test_a_start_that_failed_is_tried_again_at_once_and_its_sender_told_when_there_is_no_further_one(
    closed: ClosedAgent,
) -> None:
    closed.stand_by("person")
    number = closed.write(person=True)["number"]
    for _ in range(2):
        assert closed.newest() == [number]
        closed.answer("resume")
        closed.stand_by()
        closed.stand_by("person")
    assert closed.newest() == [number]
    closed.answer("resume")
    closed.stand_by()
    closed.stand_by("person", after=number)
    assert closed.newest() == []
    (told,) = closed.core.check("me")
    assert "claude was not woken by your mail" in told["message"]["content"]


@pytest.mark.parametrize("senders", [["two words"], ["system"], [7]])
def test_senders_are_names_and_addresses(closed: ClosedAgent, senders: list[Any]) -> None:
    assert closed.stand_by(*senders)["code"] == "bad_request"


def test_only_the_owner_arms_it(closed: ClosedAgent) -> None:
    reply = closed.core.ask("fred", "resume", by=closed.token, senders=["fred"])
    assert reply["code"] == "unauthorized"


@pytest.mark.parametrize("stands_by", ["before the notice", "while the mail is out", "after it came back"])
def test_mail_that_a_closed_host_s_inbox_gave_back_starts_the_agent(closed: ClosedAgent, stands_by: str) -> None:
    if stands_by == "before the notice":
        closed.stand_by("person")
    closed.arm("socket")
    number = closed.write(person=True)["number"]
    assert closed.after(0.3) == ["socket"]
    taken = closed.core.ask("claude", "check", wakes=True)["messages"]
    closed.core.ask("claude", "presence", state="gone", reach=[])
    if stands_by == "while the mail is out":
        closed.stand_by("person")
    closed.core.ask("claude", "release", ids=[m["id"] for m in taken])
    closed.answer("socket", "refused")
    if stands_by == "after it came back":
        closed.stand_by("person")
    assert closed.newest() == [number]
