"""What the sender is told of a message: the step at which it stopped, since when and why."""

from collections.abc import Callable
from typing import Any

import pytest

from broker.core import steps
from broker.core.batch import Answers, Batch, Frame, Incoming
from broker.core.values import iso
from tests.engine import HOUR, Core, one, small, sweep


def rows_of(core: Core, number: str, who: str = "fred") -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = core.ask(who, "receipts", ids=[number])["receipts"]
    return rows


def row_of(core: Core, number: str) -> dict[str, Any]:
    (row,) = rows_of(core, number)
    return row


def path_of(core: Core, number: str) -> list[str]:
    """The steps as words, a push with its way, what is concluded with a question mark."""
    told = row_of(core, number)["steps"]
    return [s["step"] + (f" {s['way']}" if "way" in s else "") + ("?" if s.get("inferred") else "") for s in told]


def push(core: Core, name: str, number: str, way: str) -> None:
    """As the ways note what they gave."""
    batch = Batch(core.engine.state, core.store, core.engine.settings, core.now(), lambda: "")
    steps.pushed(batch, core.engine.state.mailboxes[name], [int(number)], way)


def keep_house(core: Core) -> None:
    core.pass_time(1)
    core.engine.keep_house(core.now())


def take(core: Core, number: str) -> None:
    assert number in [m["id"] for m in core.check("claude")]


def read(core: Core, number: str, **fields: Any) -> None:
    take(core, number)
    core.ask("claude", "ack", ids=[number], **fields)


def answer(core: Core, number: str) -> None:
    core.ask("claude", "reply", to_message=number, message={"content": "yes"})


KINDS: dict[str, Callable[[Core], str]] = {
    "note": lambda core: str(core.send("fred", "claude")["number"]),
    "question": lambda core: str(core.ask("fred", "ask", to_id="claude", message={"content": "?"})["number"]),
    "interrupt": lambda core: str(core.send("fred", "claude", land="interrupt")["number"]),
}
WHAT_HAPPENED: dict[str, tuple[list[Callable[[Core, str], object]], list[str], str]] = {
    "nothing": ([], ["stored"], "queued"),
    "a way gave word": ([lambda c, n: push(c, "claude", n, "socket")], ["stored", "pushed socket"], "queued"),
    "two ways gave word": (
        [
            lambda c, n: push(c, "claude", n, "socket"),
            lambda c, _: c.pass_time(9),
            lambda c, n: push(c, "claude", n, "monitor"),
        ],
        ["stored", "pushed socket", "pushed monitor"],
        "queued",
    ),
    "it was taken": ([take], ["stored", "pushed handed out"], "delivered"),
    "it was taken and given back": (
        [take, lambda c, n: c.ask("claude", "release", ids=[n])],
        ["stored", "pushed handed out"],
        "delivered",
    ),
    "it was given back unseen": (
        [lambda c, n: (take(c, n), c.ask("claude", "release", ids=[n], unseen=True))],
        ["stored"],
        "queued",
    ),
    "a program read it": ([read], ["stored", "in_context"], "read"),
    "a hook gave it": ([lambda c, n: read(c, n, evidence="hook")], ["stored", "in_context"], "read"),
    "a tool gave it": ([lambda c, n: read(c, n, evidence="tool")], ["stored", "in_context"], "read"),
    "its client closed": ([lambda c, n: read(c, n, evidence="closed")], ["stored", "in_context?"], "read"),
    "it was shown twice": ([lambda c, n: read(c, n, evidence="inferred")], ["stored", "in_context?"], "read"),
    "word was given and it was read": (
        [lambda c, n: push(c, "claude", n, "socket"), read],
        ["stored", "pushed socket", "in_context"],
        "read",
    ),
}


@pytest.mark.parametrize("restarts", [False, True], ids=["", "with restarts"])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("happened", WHAT_HAPPENED)
def test_a_row_tells_the_steps_that_a_message_went(pair: Core, kind: str, happened: str, restarts: bool) -> None:
    moves, path, state = WHAT_HAPPENED[happened]
    number = KINDS[kind](pair)
    for move in moves:
        move(pair, number)
        if restarts:
            keep_house(pair)
            pair.restart()
    row = row_of(pair, number)
    assert (path_of(pair, number), row["state"]) == (path, state)
    assert (row["step"], row["to"], row["id"]) == (row["steps"][-1]["step"], "claude", number)
    assert row["why"]


@pytest.mark.parametrize("indexed", [False, True], ids=["before it is indexed", "when it is indexed"])
@pytest.mark.parametrize("acked", [False, True], ids=["before it is acknowledged", "when it is acknowledged"])
@pytest.mark.parametrize("kind", KINDS)
def test_an_answer_is_the_last_step(pair: Core, kind: str, acked: bool, indexed: bool) -> None:
    number = KINDS[kind](pair)
    (read if acked else take)(pair, number)
    pair.pass_time(7)
    answer(pair, number)
    answered_at = pair.wall_s
    pair.pass_time(7)
    if indexed:
        assert pair.store.index() == 2
        pair.restart()
    row = row_of(pair, number)
    assert path_of(pair, number) == ["stored", "in_context" if acked else "pushed handed out", "answered"]
    assert row["at"] == row["steps"][-1]["at"] == iso(answered_at)
    assert row["state"] == ("delivered" if not acked else "answered" if kind == "question" else "read")


def test_the_first_of_several_answers_counts(pair: Core) -> None:
    number = KINDS["note"](pair)
    read(pair, number)
    answer(pair, number)
    first = row_of(pair, number)["at"]
    pair.pass_time(60)
    answer(pair, number)
    assert row_of(pair, number)["at"] == first
    pair.store.index()
    assert row_of(pair, number)["at"] == first


@pytest.mark.parametrize(("door", "path"), [("hook", "in_context?"), ("mcp", "in_context?"), ("cli", "in_context")])
def test_an_old_door_of_hosts_that_gives_no_evidence_has_inferred(pair: Core, door: str, path: str) -> None:
    number = KINDS["note"](pair)
    take(pair, number)
    pair.engine.run([Incoming(b"claude", {"action": "ack", "ids": [number]}, pair.tokens["claude"], door)], pair.now())
    assert path_of(pair, number) == ["stored", path]


def test_a_restart_loses_pushes_that_were_not_written_and_nothing_else(pair: Core) -> None:
    number = KINDS["note"](pair)
    push(pair, "claude", number, "socket")
    keep_house(pair)
    push(pair, "claude", number, "monitor")
    pair.restart()
    assert path_of(pair, number) == ["stored", "pushed socket"]


def test_a_broadcast_has_a_row_for_each_reader(team: Core) -> None:
    team.ask("fred", "broadcast", message={"content": "x"}, message_id="b")
    one(team, "bob")
    rows = rows_of(team, "b")
    assert sorted((r["to"], r["state"], r["step"]) for r in rows) == [
        ("bob", "read", "in_context"),
        ("claude", "queued", "stored"),
    ]
    assert team.ask("fred", "withdraw", withdraw_id="b")["withdrawn"] == 1


def test_muted_mail_looks_unread_to_its_sender(pair: Core) -> None:
    open_number = KINDS["note"](pair)
    pair.ask("claude", "block", name="fred", mode="mute")
    number = KINDS["note"](pair)
    rows = [row_of(pair, n) for n in (open_number, number)]
    for row in rows:
        row.pop("id"), row.pop("steps")
    assert rows[0] == rows[1]


@pytest.mark.parametrize(("land", "allowed_s"), [("interrupt", 60), ("tool", 300), ("turn", 900)])
def test_mail_is_overdue_once_its_time_is_over(pair: Core, land: str, allowed_s: int) -> None:
    number = pair.send("fred", "claude", land=land)["number"]
    pair.pass_time(allowed_s)
    assert "overdue" not in row_of(pair, number)
    pair.pass_time(1)
    assert row_of(pair, number)["overdue"] is True
    take(pair, number)
    assert row_of(pair, number)["overdue"] is True, "nobody has acknowledged it"
    pair.ask("claude", "ack", ids=[number])
    assert "overdue" not in row_of(pair, number)


WHY: list[tuple[Callable[[Core, str], object], str]] = [
    (lambda c, n: c.pass_time(3 * 3600), "claude: nothing wakes it; last seen 3 h ago"),
    (lambda c, n: (push(c, "claude", n, "socket"), c.pass_time(40)), "pushed by socket 40 s ago, no turn began"),
    (lambda c, n: (take(c, n), c.pass_time(20)), "handed out 20 s ago, not acknowledged yet"),
    (read, "its program acknowledged it"),
    (lambda c, n: read(c, n, evidence="hook"), "a hook gave it and the session went on"),
]


@pytest.mark.parametrize(("move", "why"), WHY, ids=[why for _, why in WHY])
def test_a_row_says_why_in_words(pair: Core, move: Callable[[Core, str], object], why: str) -> None:
    number = KINDS["note"](pair)
    move(pair, number)
    assert row_of(pair, number)["why"] == why


# how the recipient is reached, told at the send


def subscribe(core: Core, **fields: Any) -> None:
    core.ask("claude", "subscribe", **fields)


def arm(core: Core, *ways: str, state: str = "idle") -> None:
    core.ask("claude", "presence", state=state, reach=list(ways))


REACH: dict[str, tuple[Callable[[Core], object], str, bool]] = {
    "nothing": (lambda c: c.pass_time(3 * 3600), "claude: nothing wakes it; last seen 3 h ago", True),
    "subscribed": (subscribe, "claude: reads now", False),
    "waits": (lambda c: c.ask("claude", "check", wait_s=60), "claude: reads now", False),
    "told": (lambda c: subscribe(c, notify=True), "claude: is told of mail", False),
    "socket": (
        lambda c: (arm(c, "prompt", "tool"), subscribe(c, notify=True, ways=["monitor", "socket"]), c.pass_time(120)),
        "claude: woken by socket; last seen 2 min ago",
        False,
    ),
    "at work": (lambda c: arm(c, "prompt", "tool", state="working"), "claude: at work, its hooks bring mail", False),
    "a moment ago": (lambda c: arm(c, "prompt"), "claude: nothing wakes it; last seen 0 s ago", False),
    "hooks, idle": (
        lambda c: (arm(c, "prompt", "tool"), c.pass_time(60)),
        "claude: nothing wakes it; last seen 1 min ago",
        True,
    ),
    "gone": (lambda c: arm(c, "socket", state="gone"), "claude: nothing wakes it; last seen 0 s ago", True),
}


@pytest.mark.parametrize("action", ["send", "fast send", "ask", "reply", "forward"])
@pytest.mark.parametrize("how", REACH)
def test_a_reply_tells_how_the_recipient_is_reached(team: Core, how: str, action: str) -> None:
    got = team.send("claude", "fred")["number"]
    note = team.send("bob", "fred")["number"]
    prepare, line, lies = REACH[how]
    prepare(team)
    text = {"content": "hello"}
    requests: dict[str, dict[str, Any]] = {
        "send": {"action": "send", "to_id": "claude", "message": text, "land": "turn"},
        "fast send": {"action": "send", "to_id": "claude", "message": text},
        "ask": {"action": "ask", "to_id": "claude", "message": text},
        "reply": {"action": "reply", "to_message": got, "message": text},
        "forward": {"action": "forward", "forward_id": note, "to_id": "claude"},
    }
    frame = Frame(b"fred", [{"id": 7, **requests[action]}], team.tokens["fred"])
    out, _events = team.engine.run([frame], team.now())
    replies = [r for part in out for r in (part.bodies if isinstance(part, Answers) else [part.body])]
    (reply,) = [r for r in replies if r.get("id") == 7]
    assert (reply["reach"], reply.get("unreached", False)) == (line, lies)


def test_a_name_that_nobody_has_is_not_reached(pair: Core) -> None:
    assert pair.send("fred", "nova")["reach"] == "nova: nobody has this name yet"


def test_of_a_group_those_are_named_that_nothing_wakes(team: Core) -> None:
    team.ask("fred", "group_create", group="all-of-us")
    for name in ("claude", "bob"):
        team.ask(name, "group_join", group="all-of-us")
    team.pass_time(60)
    assert team.send("fred", "all-of-us")["reach"] == "claude, bob: nothing wakes them"
    subscribe(team)
    assert team.send("fred", "all-of-us")["reach"] == "bob: nothing wakes it"
    team.ask("bob", "subscribe")
    assert "reach" not in team.send("fred", "all-of-us")


def test_who_asks_sees_what_the_asked_one_does(pair: Core) -> None:
    def asked_is() -> str:
        reply = pair.ask("fred", "ask", to_id="claude", message={"content": "?"})
        (row, *_) = pair.ask("fred", "asks")["asks"]
        assert row["asked_is"] == reply["asked_is"]
        return str(reply["asked_is"])

    assert asked_is() == "idle"
    arm(pair, state="working")
    assert asked_is() == "working"
    pair.pass_time(3600)
    assert asked_is() == "away"


def test_the_next_way_is_told_and_when(pair: Core) -> None:
    pair.ask("claude", "subscribe", notify=True, ways=["socket", "monitor"], look_s=8)
    number = KINDS["note"](pair)
    pair.pass_time(1)
    pair.engine.keep_house(pair.now())
    pair.ask("claude", "way", way="socket", result="given")
    pair.pass_time(5)
    row = row_of(pair, number)
    assert row["why"] == "pushed by socket 5 s ago, no turn began: monitor is next, in 3 s"
    assert row["next"] == {"way": "monitor", "in_s": 3.0}
    pair.pass_time(3)
    pair.engine.keep_house(pair.now())
    pair.ask("claude", "way", way="monitor", result="given")
    pair.pass_time(2)
    assert path_of(pair, number) == ["stored", "pushed socket", "pushed monitor"]
    pair.ask("claude", "report", event="turn_began")
    row = row_of(pair, number)
    assert (row["why"], "next" in row) == ("pushed by monitor 2 s ago, not read yet", False)


ENDED: dict[str, tuple[Callable[[Core, str], object], str]] = {
    "withdrawn": (lambda c, n: c.ask("fred", "withdraw", withdraw_id=n), "withdrawn"),
    "expired": (lambda c, _: (c.pass_time(2 * HOUR), sweep(c)), "expired"),
    "refused": (lambda c, n: (take(c, n), c.ask("claude", "release", ids=[n], refuse=True, why="not my job")), "refused"),
}


@pytest.mark.parametrize("how", ENDED)
def test_mail_that_ended_unread_says_how_and_is_never_in_context(pair: Core, how: str) -> None:
    number = pair.send("fred", "claude", ttl_s=HOUR)["number"]
    move, step = ENDED[how]
    move(pair, number)
    row = row_of(pair, number)
    assert (row["step"], row["state"], path_of(pair, number)[-1]) == (step, "gone", step)
    assert row["why"] and "overdue" not in row
    assert pair.ask("claude", "ack", ids=[number])["acked"] == 0
    assert "in_context" not in path_of(pair, number)
    pair.restart()
    assert path_of(pair, number)[-1] == step


def test_a_reader_whose_mailbox_is_gone_still_has_a_row(pair: Core) -> None:
    number = pair.send("fred", "nova", ttl_s=HOUR)["number"]
    pair.pass_time(1)
    pair.send("fred", "vera", ttl_s=HOUR)
    small(pair, unclaimed_limit=1)
    pair.pass_time(2 * HOUR)
    sweep(pair)
    sweep(pair)
    assert "nova" not in pair.engine.state.mailboxes
    assert (row_of(pair, number)["to"], row_of(pair, number)["step"]) == ("nova", "expired")


def test_mail_that_waited_for_a_name_is_followed_to_who_took_it(pair: Core) -> None:
    number = pair.send("fred", "nova")["number"]
    push(pair, "nova", number, "socket")
    keep_house(pair)
    pair.ask("claude", "rename", new_id="nova")
    (mail,) = pair.check("claude")
    pair.ask("claude", "ack", ids=[mail["id"]])
    assert (row_of(pair, number)["to"], path_of(pair, number)) == ("nova", ["stored", "pushed socket", "in_context"])
