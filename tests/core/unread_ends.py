"""The ways in which a message of fred ends unread: functions of the reader that give the number of the message."""

from tests.engine import DAY, Core, sweep


def expire(core: Core, to: str) -> str:
    number: str = core.send("fred", to)["number"]
    core.pass_time(7 * DAY - 1)
    for name in ("fred", "claude"):
        core.ask(name, "whoami")
    core.pass_time(2)
    while core.engine.state.mailboxes[to].queued:
        sweep(core)
    return number


def expire_early(core: Core, to: str) -> str:
    number: str = core.send("fred", to, ttl_s=60)["number"]
    core.pass_time(61)
    sweep(core)
    return number


def refuse(core: Core, to: str) -> str:
    number: str = core.send("fred", to)["number"]
    core.check(to)
    assert core.ask(to, "release", ids=[number], refuse=True, why="not  my\njob")["ended"] == 1
    return number


def fail_for_good(core: Core, to: str) -> str:
    number: str = core.send("fred", to)["number"]
    core.check(to)
    assert core.ask(to, "release", ids=[number], failed=True, refuse=True, why="status 1")["ended"] == 1
    return number


def fail_too_often(core: Core, to: str) -> str:
    number: str = core.send("fred", to)["number"]
    for attempt in range(1, 21):
        assert [m["id"] for m in core.check(to)] == [number]
        reply = core.ask(to, "release", ids=[number], failed=True)
        assert reply.get("ended", 0) == (attempt == 20), attempt
    return number


def never_acknowledge(core: Core, to: str) -> str:
    number: str = core.send("fred", to)["number"]
    for _ in range(20):
        assert [m["id"] for m in core.check(to)] == [number]
        core.ask(to, "release")
    assert core.check(to) == []
    return number
