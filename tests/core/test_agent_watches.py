"""Tell me when: an agent is told what happens to another, once or each time, after restarts and renames."""

from typing import Any

import pytest

from tests.engine import DAY, HOUR, Core, small


def told(core: Core, who: str = "claude") -> list[str]:
    """The lines of the notices that wait for an agent, acknowledged."""
    messages = core.check(who)
    if messages:
        core.ask(who, "ack", ids=[m["id"] for m in messages])
    return [line for m in messages for line in m["message"]["content"].split("\n")]


def watch(core: Core, *events: str, name: str = "fred", **fields: Any) -> dict[str, Any]:
    reply = core.ask("claude", "watch_agent", name=name, events=list(events), **fields)
    assert reply["status"] == "ok", reply
    row: dict[str, Any] = reply["watch"]
    return row


def report(core: Core, *events: str, **fields: Any) -> None:
    for event in events:
        assert core.ask("fred", "report", event=event, **fields)["status"] == "ok"


def go_on(core: Core, seconds: float) -> None:
    core.pass_time(seconds)
    core.engine.keep_house(core.now())


@pytest.mark.parametrize(
    ("event", "does", "line"),
    [
        ("idle", ("report", {"event": "turn_ended"}), "fred is idle: its turn is over"),
        ("failed", ("report", {"event": "failed"}), "fred failed: its turn broke off"),
        ("ended", ("report", {"event": "ended"}), "fred has ended"),
        ("ended", ("presence", {"state": "gone"}), "fred has ended"),
        ("idle", ("presence", {"state": "idle"}), "fred is idle: its turn is over"),
        ("edits", ("report", {"event": "tool_ended", "paths": ["/r/a.py"]}), "fred changed /r/a.py"),
        ("claims", ("claim", {"resource": "/r/a.py"}), "fred claimed /r/a.py"),
    ],
)
def test_what_happens_is_told_once(pair: Core, event: str, does: tuple[str, dict[str, Any]], line: str) -> None:
    report(pair, "turn_began")
    watch(pair, event)
    pair.restart()
    assert pair.ask("fred", does[0], **does[1])["status"] == "ok"
    assert told(pair) == [line]
    report(pair, "turn_began")
    pair.ask("fred", does[0], **does[1])
    assert (told(pair), pair.ask("claude", "watches")["watches"]) == ([], [])


def test_a_resource_that_is_released_or_whose_time_is_over_is_told(pair: Core) -> None:
    watch(pair, "releases", resource="/r/src/**", once=False)
    for resource, ttl_s in (("/r/src/a.py", 60), ("/r/docs/a.md", 60), ("/r/src/b.py", 600)):
        pair.ask("fred", "claim", resource=resource, ttl_s=ttl_s)
    pair.ask("fred", "claim_release", resource="/r/src/b.py")
    assert told(pair) == ["fred released /r/src/b.py"]
    go_on(pair, 61)
    assert told(pair) == ["fred released /r/src/a.py"]


def test_only_paths_of_the_pattern_are_told(pair: Core) -> None:
    watch(pair, "edits", resource="/r/src/*.py", once=False)
    report(pair, "tool_ended", paths=["/r/README.md", "/r/src/a.py"])
    assert told(pair) == ["fred changed /r/src/a.py"]


def test_much_within_a_second_is_one_notice(pair: Core) -> None:
    watch(pair, "edits", once=False)
    for number in range(30):
        report(pair, "tool_ended", paths=[f"/r/{number}.py"])
    assert len(pair.check("claude")) == 1
    pair.ask("claude", "release")
    go_on(pair, 1)
    lines = told(pair)
    assert lines[0] == "fred changed /r/0.py" and lines[1] == "📝 9 earlier lines" and lines[-1] == "fred changed /r/29.py"
    go_on(pair, 60)
    assert (told(pair), pair.engine.state.watch_notices) == ([], {})


def test_what_is_told_grows_while_it_waits_unread(pair: Core) -> None:
    watch(pair, "edits", once=False)
    for number in range(3):
        report(pair, "tool_ended", paths=[f"/r/{number}.py"])
    go_on(pair, 1)
    (notice,) = pair.check("claude")
    assert notice["message"]["content"].split("\n") == [f"fred changed /r/{n}.py" for n in range(3)]


@pytest.mark.parametrize(("wake", "land"), [(False, "digest"), (True, "tool")])
def test_it_wakes_only_who_asked_for_it(pair: Core, wake: bool, land: str) -> None:
    report(pair, "turn_began")
    watch(pair, "idle", wake=wake)
    report(pair, "turn_ended")
    (notice,) = pair.check("claude")
    assert (notice["from"], notice.get("land", "tool")) == ("system", land)


def test_a_watch_follows_both_names(pair: Core) -> None:
    report(pair, "turn_began")
    watch(pair, "idle", once=False)
    pair.ask("fred", "rename", new_id="freddy")
    pair.ask("claude", "rename", new_id="clio")
    told(pair)
    report(pair, "turn_ended")
    assert told(pair) == ["freddy is idle: its turn is over"]


def test_any_agent_and_one_who_is_not_there_yet_can_be_watched(pair: Core) -> None:
    watch(pair, "joins", name="nova")
    watch(pair, "ended", name="*", once=False)
    pair.register("nova")
    assert told(pair) == ["nova is here"]
    pair.ask("nova", "presence", state="gone")
    assert told(pair) == ["nova has ended"]
    assert pair.ask("claude", "watch_agent", name="nobody", events=["idle"])["code"] == "unknown_name"


def test_a_watch_ends_by_its_owner_or_in_time(pair: Core) -> None:
    kept = watch(pair, "idle", once=False, ttl_s=HOUR)
    assert watch(pair, "idle", once=False, ttl_s=2 * HOUR)["id"] == kept["id"]
    other = watch(pair, "ended")
    assert pair.ask("fred", "unwatch_agent", watch_id=kept["id"])["dropped"] == 0
    assert pair.ask("claude", "unwatch_agent", watch_id=other["id"])["dropped"] == 1
    pair.pass_time(DAY)
    report(pair, "turn_began", "turn_ended")
    assert (told(pair), pair.ask("claude", "watches")["watches"]) == ([], [])


def test_watches_are_bounded(pair: Core) -> None:
    small(pair, watch_limit=1)
    watch(pair, "idle")
    assert pair.ask("claude", "watch_agent", name="fred", events=["ended"])["code"] == "too_many_watches"
    names = [f"a{n}" for n in range(20)]
    pair.register(*names)
    codes = [pair.ask(name, "watch_agent", name="fred").get("code") for name in names]
    assert codes == [None] * 19 + ["watches_full"]


@pytest.mark.parametrize("events", [["sleeps"], [1], [[]]])
def test_an_event_that_is_none_is_refused(pair: Core, events: list[Any]) -> None:
    assert pair.ask("claude", "watch_agent", name="fred", events=events)["code"] == "bad_request"


def test_a_broker_that_nobody_watches_in_has_nothing_due_for_it(pair: Core) -> None:
    watch(pair, "edits", once=False)
    pair.engine.keep_house(pair.now())
    assert pair.engine.state.chores["watches"] == float("inf")
