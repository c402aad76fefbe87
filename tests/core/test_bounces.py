"""A sender is told, once and in a digest, of mail that ended unread or whose reader is away."""

from collections.abc import Callable
from typing import Any

import pytest

from broker.core.bounces import COVERED
from broker.core.facts import Mark
from broker.core.terms import ClockReading, Terms
from broker.home.logs import Log
from broker.server.upkeep import Sweeper
from tests.core.unread_ends import expire_early, fail_for_good, refuse
from tests.engine import DAY, HOUR, OWNER, Core, small, sweep


def keep_house(core: Core, seconds: float = 3.0) -> None:
    """Let a moment pass, and do the chores until none is due."""
    core.pass_time(seconds)
    for _ in range(100):
        core.engine.keep_house(core.now())
        if core.engine.state.chore_s > core.mono_s:
            return
    raise AssertionError("the chores never end")


def let_pass(core: Core, seconds: float, step_s: float = 600.0) -> None:
    """Time in which the sweeper and the chores work, as they do in a service."""
    sweeper = Sweeper(core.engine, core.store, Log("test"))
    while seconds > 0:
        core.pass_time(min(seconds, step_s))
        seconds -= step_s
        sweeper.step(core.now(), busy=True)  # busy: it collects no garbage, which takes longer than all else
        sweeper._next_s = None
        keep_house(core, 0)


def notices(core: Core, who: str) -> list[str]:
    """What ``system`` has written to somebody, acknowledged."""
    found = core.check(who)
    core.ask(who, "ack", ids=[m["id"] for m in found])
    return [m["message"]["content"] for m in found if m["from"] == "system"]


def told_steps(core: Core) -> list[tuple[int, str]]:
    rows = core.store._sql.execute("SELECT message_id, way FROM step WHERE step = ? ORDER BY message_id", (Mark.BOUNCED,))
    return [(int(message_id), str(way)) for message_id, way in rows]


@pytest.mark.parametrize(
    ("end", "said"),
    [
        (expire_early, "expired: unread when the time that its sender gave it was over"),
        (refuse, "refused: not my job"),
        (fail_for_good, "dead: its handler failed: status 1"),
    ],
    ids=["expired", "refused", "dead"],
)
def test_the_sender_is_told_of_each_ending_once_and_wakes_for_none(pair: Core, end: Callable[..., str], said: str) -> None:
    number = end(pair, "claude")
    keep_house(pair)
    (message,) = pair.check("fred")
    assert (message["from"], message["land"]) == ("system", "digest")
    first, line, advice = message["message"]["content"].split("\n")
    assert first == "1 of your messages was not read:"
    assert line == f"#{number} to claude, {said}. It begins: hello"
    assert "ipc dead send N" in advice
    assert told_steps(pair) == [(int(number), said.partition(":")[0])]
    pair.ask("fred", "ack", ids=[message["id"]])
    let_pass(pair, 3 * HOUR)
    assert notices(pair, "fred") == []


def test_mail_that_was_withdrawn_bounces_to_nobody(pair: Core) -> None:
    pair.ask("fred", "withdraw", withdraw_id=pair.send("fred", "claude")["number"])
    keep_house(pair)
    assert notices(pair, "fred") == []


# who is told


def person(core: Core) -> str:
    body = {"kind": "terminal", "key": "1@1"}
    core.tokens["fred"] = core.ask("fred", "register", instance_id="fred", body=body, force=True)["session_token"]
    return "fred"


def agent(_core: Core) -> str:
    return "fred"


def holder_of_a_key(core: Core) -> str:
    reply = core.ask("keyed", "register", instance_id="keyed", bound_name="keyed")
    core.tokens["keyed"] = reply["session_token"]
    return "keyed"


def gone(core: Core) -> str:
    core.register("brief")
    return "brief"


SENDERS: list[Callable[[Core], str]] = [person, agent, holder_of_a_key, gone]


# readers who do not read


def away(core: Core) -> str:
    return "claude"


def unborn(_core: Core) -> str:
    return "nobody"


def unregistered(core: Core) -> str:
    assert core.ask("claude", "unregister")["status"] == "ok"
    return "claude"


def dead_process(core: Core) -> str:
    body = {"kind": "process", "key": "9@9", "pid": 9, "started": "9"}
    core.engine.is_alive = lambda pid, _started: pid != 9
    core.tokens["claude"] = core.ask("claude", "register", instance_id="claude", body=body, force=True)["session_token"]
    return "claude"


def terminal_left_open(core: Core) -> str:
    body = {"kind": "terminal", "key": "1@1", "pid": 1, "started": "1"}
    core.engine.is_alive = lambda _pid, _started: True
    core.tokens["claude"] = core.ask("claude", "register", instance_id="claude", body=body, force=True)["session_token"]
    return "claude"


@pytest.mark.parametrize("sender", SENDERS, ids=lambda f: f.__name__)
@pytest.mark.parametrize("reader", [away, unborn, unregistered, dead_process, terminal_left_open], ids=lambda f: f.__name__)
@pytest.mark.parametrize(("land", "after_s"), [("interrupt", 600.0), ("tool", DAY), ("digest", DAY)])
def test_whoever_wrote_to_somebody_who_is_away_is_told_when_its_time_is_over(
    pair: Core, sender: Callable[[Core], str], reader: Callable[[Core], str], land: str, after_s: float
) -> None:
    who, to = sender(pair), reader(pair)
    number = pair.send(who, to, land=land)["number"]
    let_pass(pair, after_s - 10)
    pair.ask(who, "whoami")
    assert notices(pair, who) == []
    let_pass(pair, 30, step_s=10)
    if sender is gone:
        pair.ask(who, "unregister")
    let_pass(pair, 70, step_s=10)
    if sender is gone:  # told before it left, so its mail waits for it
        pair.register(who)
    (notice,) = notices(pair, who)
    why = "waits: claude is away since " if to == "claude" and reader is not unregistered else "waits: nobody has this name yet"
    assert f"#{number} to {to}, {why}" in notice
    let_pass(pair, 2 * DAY, step_s=HOUR)
    assert notices(pair, who) == []  # once a message, also of a name that is never born
    assert [step for step, _ in told_steps(pair)] == [int(number)]


@pytest.mark.parametrize("sign", ["request", "subscribed", "waits", "process"])
def test_nobody_is_told_of_a_reader_who_is_there(pair: Core, sign: str) -> None:
    if sign == "process":
        body = {"kind": "session", "key": "claude:1", "pid": 9, "started": "9"}
        pair.engine.is_alive = lambda _pid, _started: True
        pair.tokens["claude"] = pair.ask("claude", "register", instance_id="claude", body=body, force=True)["session_token"]
    pair.send("fred", "claude", land="interrupt")
    if sign == "subscribed":
        pair.ask("claude", "subscribe", notify=True)
    if sign == "waits":
        pair.ask("claude", "ask", to_id="fred", message={"content": "?"}, wait_s=3600)
    for _ in range(5):
        let_pass(pair, 500)
        if sign == "request":
            pair.ask("claude", "presence", state="working")
    assert [n for n in notices(pair, "fred") if "claude" in n] == []


def test_a_reader_that_dies_later_is_noticed_then(pair: Core) -> None:
    alive = True
    body = {"kind": "session", "key": "claude:1", "pid": 9, "started": "9"}
    pair.engine.is_alive = lambda _pid, _started: alive
    pair.tokens["claude"] = pair.ask("claude", "register", instance_id="claude", body=body, force=True)["session_token"]
    pair.send("fred", "claude", land="interrupt")
    let_pass(pair, HOUR)
    assert notices(pair, "fred") == []
    alive = False
    let_pass(pair, 700, step_s=60)
    assert len(notices(pair, "fred")) == 1


def test_who_comes_back_before_the_hour_is_over_is_no_news(pair: Core) -> None:
    refuse(pair, "claude")
    keep_house(pair)
    assert len(notices(pair, "fred")) == 1
    pair.send("fred", "claude", land="interrupt")
    let_pass(pair, 700, step_s=60)  # noted, and to be told at the end of the hour
    pair.ask("claude", "subscribe", notify=True)
    let_pass(pair, HOUR)
    assert notices(pair, "fred") == []
    pair.ask("claude", "unsubscribe")
    let_pass(pair, HOUR)
    assert len(notices(pair, "fred")) == 1


def test_a_sender_gets_one_digest_an_hour_that_names_twenty_and_counts_the_rest(pair: Core) -> None:
    for number in range(30):
        pair.send("fred", "claude", f"text {number} " + "x" * 100)
    pair.check("claude")
    pair.ask("claude", "release", refuse=True)
    keep_house(pair)
    (notice,) = notices(pair, "fred")
    lines = notice.split("\n")
    assert lines[0] == "30 of your messages were not read:"
    assert [line.partition(" ")[0] for line in lines[1:21]] == [f"#{n}" for n in range(1, 21)]
    assert lines[21] == "and 10 more"
    assert max(map(len, lines)) < 160
    refuse(pair, "claude")
    let_pass(pair, HOUR - 60, step_s=60)
    assert notices(pair, "fred") == []
    let_pass(pair, 120, step_s=60)
    assert len(notices(pair, "fred")) == 1


def test_an_expiry_that_was_foretold_is_told_once_and_a_refusal_is_news(pair: Core) -> None:
    first, second = (pair.send("fred", "claude")["number"] for _ in range(2))
    let_pass(pair, DAY + 600)
    assert len(notices(pair, "fred")) == 1
    pair.register("claude")
    pair.check("claude")
    pair.ask("claude", "release", ids=[second], refuse=True)
    let_pass(pair, 2 * HOUR)
    (notice,) = notices(pair, "fred")
    assert f"#{second} to claude, refused" in notice and f"#{first} " not in notice
    for _ in range(7):
        let_pass(pair, DAY, step_s=HOUR)
        pair.ask("fred", "whoami")
    assert pair.ask("fred", "dead")["dead"][1]["ending"] == "expired"
    assert notices(pair, "fred") == []


def test_a_notice_that_nobody_reads_bounces_to_nobody(pair: Core) -> None:
    refuse(pair, "claude")
    keep_house(pair)
    for _ in range(9):
        let_pass(pair, DAY, step_s=HOUR)
        pair.ask("fred", "whoami")
    assert notices(pair, "fred") == []
    assert pair.store._sql.execute("SELECT count(*) FROM untold").fetchone() == (0,)


def test_a_full_mailbox_drops_the_digest_and_counts_it(pair: Core) -> None:
    small(pair, mailbox_limit=1)
    pair.register("fred", "claude")
    number = refuse(pair, "claude")
    pair.send("claude", "fred", "full now")
    keep_house(pair)
    assert pair.engine.state.dropped_bounces == 1
    assert notices(pair, "fred") == []
    let_pass(pair, 2 * HOUR)
    pair.restart()
    pair.register("fred")
    keep_house(pair)
    assert notices(pair, "fred") == []
    assert told_steps(pair) == [(int(number), "dropped")]


def test_a_sender_that_left_is_told_of_endings_when_it_is_back(pair: Core) -> None:
    refuse(pair, "claude")
    pair.ask("fred", "unregister")
    keep_house(pair)
    assert pair.engine.state.mailboxes["fred"].queued == 0
    pair.restart()
    keep_house(pair)
    pair.register("fred")
    keep_house(pair)
    assert len(notices(pair, "fred")) == 1


def test_a_sender_whose_mailbox_is_gone_is_forgotten(core: Core) -> None:
    core.register("claude")
    old = {"from_id": "old", "to_id": "claude", "message": {"content": "x"}, "message_id": "i", "timestamp": 1.0}
    core.tokens["owner"] = OWNER
    core.ask("owner", "import", **old)
    core.check("claude")
    core.ask("claude", "release", refuse=True)
    core.pass_time(8 * DAY)
    for _ in range(3):
        sweep(core)
    assert "old" not in core.engine.state.mailboxes
    keep_house(core)
    assert (core.engine.state.untold, core.store._sql.execute("SELECT count(*) FROM untold").fetchone()) == (set(), (0,))


def test_mail_to_oneself_bounces_to_nobody(pair: Core) -> None:
    pair.send("fred", "fred", land="interrupt", ttl_s=900)
    let_pass(pair, HOUR)
    assert notices(pair, "fred") == []


def test_each_member_of_a_group_is_told_of_by_itself(team: Core) -> None:
    for name in ("fred", "claude", "bob"):
        team.ask(name, "group_create" if name == "fred" else "group_join", group="all3")
    number = team.send("fred", "all3", land="interrupt")["number"]
    team.ask("bob", "subscribe", notify=True)
    let_pass(team, 700, step_s=60)
    (notice,) = notices(team, "fred")
    assert f"#{number} to claude, waits" in notice and "to bob" not in notice


def test_a_restart_forgets_nothing_that_is_to_be_told_and_tells_nothing_twice(pair: Core) -> None:
    pair.send("fred", "claude", land="interrupt")
    pair.send("fred", "nobody")
    for _ in range(60):
        pair.restart()
        let_pass(pair, HOUR / 2, step_s=HOUR / 2)
    pair.register("fred")
    found = notices(pair, "fred")
    assert len(found) == 2
    assert [text.count("#1 to claude") + text.count("#2 to nobody") for text in found] == [1, 1]


def test_the_first_hour_after_the_machine_was_off_bounces_nothing(core: Core) -> None:
    core.register("fred", "claude")
    core.send("fred", "claude", land="interrupt")
    saved = ClockReading(core.wall_s, core.mono_s, "a")
    core.pass_time(HOUR)
    core.terms = Terms.begin(saved, ClockReading(core.wall_s, 0.0, "b"), HOUR)
    core.mono_s = 0.0
    core.restart()
    let_pass(core, HOUR - 60, step_s=60)
    core.ask("fred", "whoami")
    assert notices(core, "fred") == []
    let_pass(core, 720, step_s=60)  # it looks again within ten minutes
    assert len(notices(core, "fred")) == 1


def test_nothing_is_read_for_mail_that_can_not_be_overdue(team: Core, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[Any] = []
    for name in ("unread_of", "unread_after"):
        was = getattr(team.store, name)
        monkeypatch.setattr(team.store, name, lambda *a, was=was: (read.append(a), was(*a))[1])
    for to in ("claude", "bob"):
        for _ in range(50):
            team.send("fred", to)
    let_pass(team, 590, step_s=10)
    assert read == []
    let_pass(team, DAY - 3600)
    looked = len(read)
    assert looked <= 2 * DAY / 600  # a look at each mailbox every ten minutes, for interrupts: none of them reads the mail
    assert all(len(a) == 2 and a[1] == [] for a in read)
    let_pass(team, 3700)
    assert len(notices(team, "fred")) == 1
    keep_house(team, 0)
    assert team.engine.state.chore_s > team.mono_s + 60


def test_a_search_reads_a_few_hundred_messages_at_a_time_however_many_are_overdue(
    pair: Core, monkeypatch: pytest.MonkeyPatch
) -> None:
    for land in ("tool", "interrupt"):
        for _ in range(3):
            bodies = ({"action": "send", "to_id": "claude", "message": {"content": "x"}, "land": land} for _ in range(300))
            pair.batch(*bodies, name="fred")
    pair.pass_time(DAY + 1)
    pair.register("fred")
    sizes: list[int] = []
    for name in ("unread_of", "unread_after"):
        was = getattr(pair.store, name)
        monkeypatch.setattr(pair.store, name, lambda *a, was=was: (found := was(*a), sizes.append(len(found)))[0])
    steps = 0
    while pair.engine.state.chore_s <= pair.mono_s:
        pair.engine.keep_house(pair.now())
        steps += 1
        assert sum(sizes) <= 400 * steps
    keep_house(pair)
    (notice,) = notices(pair, "fred")
    assert notice.startswith(f"{COVERED} of your messages were not read:")
    let_pass(pair, 5 * HOUR)
    assert sum(int(text.partition(" ")[0]) for text in notices(pair, "fred")) == 1800 - COVERED
    assert len(told_steps(pair)) == 1800
