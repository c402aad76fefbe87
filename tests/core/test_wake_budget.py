"""How often mail may wake an agent, in all and by one sender; beyond that its sender is told."""

from typing import Any

import pytest

from broker.core.batch import Answers, Frame
from tests.core.wakeable import Host
from tests.engine import Core, small


def wake(host: Host, sender: str, **fields: Any) -> dict[str, Any]:
    """Send, and let the agent be woken and read all."""
    reply = host.core.send(sender, "claude", **fields)
    if host.after(0.3):
        host.answer("socket")
    messages = host.core.check("claude")
    host.core.ask("claude", "ack", ids=[m["id"] for m in messages])
    return reply


@pytest.mark.parametrize(("limits", "senders"), [({"wake_limit": 2}, ("fred", "bob")), ({"pair_wake_limit": 2}, ("fred",) * 2)])
def test_over_the_budget_mail_wakes_nobody_and_its_sender_is_told(team: Core, limits: Any, senders: Any) -> None:
    small(team, **limits)
    team.keep_house()
    host = Host(team)
    host.arm("socket")
    for sender in senders:
        assert "note" not in wake(host, sender)
    said = team.send("fred", "claude")["note"]
    assert said.startswith("claude had as many wakes this hour as the settings allow")
    assert host.after(60) == []
    assert ("note" in team.send("bob", "claude")) == ("wake_limit" in limits), "of another sender's"
    woken = host.after(0.3)
    assert woken == ([] if "wake_limit" in limits else ["socket"])
    if woken:
        host.answer("socket")
        host.core.check("claude")
    team.engine.is_person = lambda _route: True
    assert "note" not in team.send("fred", "claude", person=True)
    assert host.after(0.3) == ["socket"], "a person's mail passes"
    host.answer("socket")
    team.check("claude")
    team.pass_time(3600)
    assert "note" not in team.send("fred", "claude")
    assert host.after(0.3) == ["socket"]


def test_without_a_limit_nothing_is_counted_out_and_a_running_turn_needs_no_note(team: Core) -> None:
    small(team, wake_limit=0, pair_wake_limit=0)
    team.keep_house()
    host = Host(team)
    host.arm("socket")
    assert all("note" not in wake(host, "fred") for _ in range(70))
    small(team, wake_limit=1, pair_wake_limit=0)
    team.keep_house()
    host.arm("socket")
    wake(host, "fred")
    host.works()
    assert "note" not in team.send("fred", "claude"), "its hooks bring it"
    host.rests()
    assert "claude had" in team.ask("fred", "broadcast", message={"content": "x"})["note"]


def test_a_frame_of_sends_is_told_of_the_budget_as_one_send_is(team: Core) -> None:
    small(team, wake_limit=1)
    team.keep_house()
    host = Host(team)
    host.arm("socket")
    wake(host, "fred")
    bodies = [
        {"id": n, "action": "send", "to_id": to, "message": {"content": "x"}} for n, to in enumerate(("bob", "claude", "bob"))
    ]
    out, _ = team.engine.run([Frame(b"fred", bodies, team.tokens["fred"])], team.now())
    replies = [body for part in out for body in (part.bodies if isinstance(part, Answers) else [part.body]) if "id" in body]
    assert [reply["id"] for reply in replies if "note" in reply] == [1]
