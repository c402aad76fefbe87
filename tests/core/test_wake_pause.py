"""Behind a turn of an agent, mail that can wait is gathered into one wake."""

from typing import Any

import pytest

from tests.core.wakeable import Host
from tests.engine import Core, one, small

PAUSE_S = 180


@pytest.fixture
def host(team: Core) -> Host:
    """claude, who has just had a turn."""
    small(team, wake_pause=PAUSE_S)
    team.keep_house()
    host = Host(team)
    host.arm("socket")
    host.works()
    host.rests()
    team.ask("claude", "subscribe", notify=True)
    host.pushes()
    return host


@pytest.mark.parametrize("land", ["tool", "turn"])
def test_what_asks_nothing_waits_for_more_until_the_pause_is_over(host: Host, land: str) -> None:
    host.core.send("fred", "claude", "I am done with the parser", land=land)
    assert host.after(60) == []
    host.core.send("bob", "claude", "The build is green", land=land)
    assert host.after(PAUSE_S - 61) == []
    assert host.after(1) == ["socket"]


@pytest.mark.parametrize(
    ("after_s", "how"),
    [
        (0, "woken by socket within 3 min"),
        (61, "woken by socket within 2 min"),
        (150, "woken by socket within 30 s"),
        (180, "woken by socket"),
    ],
)
def test_its_sender_is_told_how_long_that_may_be(host: Host, after_s: float, how: str) -> None:
    host.core.pass_time(after_s)
    assert host.core.send("fred", "claude", "news")["reach"].partition(";")[0] == f"claude: {how}"


@pytest.mark.parametrize(("content", "fields"), [("which one?", {}), ("stop", {"land": "interrupt"})])
def test_the_sender_of_what_can_not_wait_is_told_of_no_pause(host: Host, content: str, fields: dict[str, Any]) -> None:
    reply = host.core.send("fred", "claude", content, **fields)
    assert reply["reach"].partition(";")[0] == "claude: woken by socket"


@pytest.mark.parametrize("after_s", [0, PAUSE_S - 1, PAUSE_S, 3600])
def test_the_pause_is_counted_from_the_end_of_the_turn(host: Host, after_s: float) -> None:
    host.core.pass_time(after_s)
    host.core.send("fred", "claude", "news")
    assert host.after(0.3) == (["socket"] if after_s >= PAUSE_S else [])


HURRIES: dict[str, dict[str, Any]] = {
    "an interrupt": {"action": "send", "to_id": "claude", "message": {"content": "stop"}, "land": "interrupt"},
    "a question mark": {"action": "send", "to_id": "claude", "message": {"content": "which one\uff1f"}},
    "a question": {"action": "ask", "to_id": "claude", "message": {"content": "say which"}},
}


@pytest.mark.parametrize("how", HURRIES)
def test_what_asks_for_something_wakes_at_once(host: Host, how: str) -> None:
    host.core.send("bob", "claude", "news")
    assert host.after(1) == []
    host.core.batch({"as_": "fred", **HURRIES[how]})
    assert host.after(0.3) == ["socket"]


@pytest.mark.parametrize("content", ["which one?", "tell me which"])
def test_an_answer_to_what_was_asked_wakes_at_once(host: Host, content: str) -> None:
    action = "send" if content.endswith("?") else "ask"
    host.core.ask("claude", action, to_id="fred", message={"content": content})
    host.core.ask("fred", "reply", to_message=one(host.core, "fred")["id"], message={"content": "the first"})
    assert host.after(0.3) == ["socket"]


def test_a_person_does_not_wait(host: Host) -> None:
    host.core.engine.is_person = lambda _route: True
    host.core.send("fred", "claude", "do it", person=True)
    assert host.after(0.3) == ["socket"]


def test_what_a_turn_left_is_told_at_its_end(host: Host) -> None:
    host.works()
    host.core.send("fred", "claude", "for the end", land="turn")
    assert host.after(30) == []
    host.rests()
    assert host.after(0.3) == ["socket"]


def test_after_a_wake_that_brought_no_turn_the_pause_holds_too(host: Host) -> None:
    host.core.pass_time(PAUSE_S)
    host.core.send("fred", "claude", "news")
    assert host.after(0.3) == ["socket"]
    host.answer("socket")
    one(host.core, "claude")
    host.core.send("fred", "claude", "more")
    assert host.after(60) == []
    assert host.after(PAUSE_S) == ["socket"]
