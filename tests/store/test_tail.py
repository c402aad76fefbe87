"""What is in the tail is seen as what is in the tables, whether it was folded or read by a new start."""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import peewee
import pytest

from broker.store.migrations import migrate
from tests.engine import Core, one, sweep

Between = Callable[[], None]


def rows(core: Core, table: str) -> int:
    return int(core.store._sql.execute(f"SELECT count(*) FROM {table}").fetchone()[0])  # noqa: S608


def nothing(_core: Core) -> None:
    """All stays in memory."""


def fold(core: Core) -> None:
    core.store.fold_all()


def fold_one(core: Core) -> None:
    core.store.fold(1)


def restart(core: Core) -> None:
    core.restart()


def fold_and_restart(core: Core) -> None:
    core.store.fold(2)
    core.restart()


def shown(messages: list[dict[str, Any]]) -> list[tuple[str, bool]]:
    return [(m["message"]["content"], bool(m.get("redelivered"))) for m in messages]


def in_order(core: Core, between: Between) -> object:
    for n in range(3):
        core.send("fred", "claude", f"one {n}")
        between()
        core.ask("fred", "broadcast", message={"content": f"all {n}"}, land="tool")
        between()
    return shown(core.check("claude", limit=50)), shown(core.check("bob", limit=50))


def read_and_unread(core: Core, between: Between) -> object:
    for n in range(4):
        core.send("fred", "claude", f"{n}")
    between()
    first = core.check("claude", limit=2)
    acked = core.ask("claude", "ack", ids=[m["id"] for m in first])
    between()
    count = core.ask("claude", "count")
    again = core.ask("claude", "ack", ids=[m["id"] for m in first])
    return shown(first), acked, again, count["unread"], count["from"], shown(core.check("claude"))


def own_ids(core: Core, between: Between) -> object:
    found = []
    for message_id, text in (("b", "1"), ("a", "2"), ("b", "1"), ("c", "3"), ("a", "2"), ("a", "other")):
        reply = core.send("fred", "claude", text, message_id=message_id)
        found.append((reply.get("duplicate"), reply.get("code"), reply.get("number")))
        between()
    return found, shown(core.check("claude"))


def an_id_that_is_free_again(core: Core, between: Between) -> object:
    found = []
    for seconds in (0, 10, 2 * 86_400, 10, 2 * 86_400):
        core.pass_time(seconds)
        found.append(core.send("fred", "claude", "same", message_id="id").get("duplicate"))
        between()
    return found, len(core.check("claude"))


def unborn(core: Core, between: Between) -> object:
    for n in range(3):
        core.send("fred", "later", f"{n}")
    between()
    core.ask("bob", "rename", new_id="later")
    between()
    core.send("fred", "later", "3")
    return shown(core.check("bob"))


def ended(core: Core, between: Between) -> object:
    sent = [core.send("fred", "claude", f"{n}", **({"ttl_s": 60} if n == 1 else {})) for n in range(4)]
    between()
    withdrawn = core.ask("fred", "withdraw", message_id=sent[0]["number"])
    between()
    core.pass_time(61)
    sweep(core)
    between()
    taken = core.check("claude", limit=1)
    core.ask("claude", "release", ids=[taken[0]["id"]], refuse=True, why="no")
    between()
    steps = [r["step"] for r in core.ask("fred", "receipts", ids=[s["number"] for s in sent])["receipts"]]
    states = [(m["id"] == sent[3]["number"], m.get("state")) for m in core.ask("claude", "history")["messages"]]
    return withdrawn, steps, states, shown(core.check("claude"))


def muted(core: Core, between: Between) -> object:
    core.ask("claude", "block", instance_id="fred", mode="mute")
    core.send("fred", "claude", "not wanted")
    core.send("bob", "claude", "wanted")
    between()
    return shown(core.check("claude")), [m.get("state") for m in core.ask("claude", "history")["messages"]]


def asked(core: Core, between: Between) -> object:
    question = core.ask("fred", "ask", to_id="claude", message={"content": "why?"})
    between()
    got = one(core, "claude")
    between()
    core.ask("claude", "reply", to_message=got["id"], message={"content": "because"})
    between()
    answers = shown(core.check("fred"))
    assert answers == [("because", False)]
    return question["state"], answers, core.ask("fred", "asks")["asks"]


def in_history(core: Core, between: Between) -> object:
    for n in range(3):
        core.send("fred", "claude", f"word {n}")
        between()
    one_read = core.check("claude", limit=1)
    core.ask("claude", "ack", ids=[one_read[0]["id"]])
    between()
    found = core.ask("claude", "search", query="word")["messages"]
    return sorted((m["message"]["content"], m.get("state")) for m in found)


STORIES = (in_order, read_and_unread, own_ids, an_id_that_is_free_again, unborn, ended, muted, asked, in_history)


@pytest.mark.parametrize("between", [fold, fold_one, restart, fold_and_restart])
@pytest.mark.parametrize("story", STORIES)
def test_a_fold_or_a_start_changes_nothing_that_anybody_sees(
    home: Path, story: Callable[[Core, Between], object], between: Callable[[Core], None]
) -> None:
    found = []
    for folder, what in ((home / "a", nothing), (home / "b", between)):
        folder.mkdir()
        core = Core(folder)
        core.register("fred", "claude", "bob")
        found.append(story(core, partial(what, core)))
        core.store.close()
    assert found[0] == found[1]


def test_what_was_read_before_the_fold_never_enters_the_queue(team: Core) -> None:
    for n in range(5):
        team.send("fred", "claude", f"{n}", message_id=f"m{n}")
    taken = team.check("claude")
    team.ask("claude", "ack", ids=[m["id"] for m in taken[:4]])
    assert (rows(team, "queue"), rows(team, "sent_id")) == (0, 0)
    team.store.fold_all()
    assert (rows(team, "queue"), rows(team, "handed_out"), team.store.unfolded) == (1, 0, 0)


@pytest.mark.parametrize("when", [nothing, fold])
@pytest.mark.parametrize(
    ("unseen", "again"),
    [(False, True), (True, False)],
)
def test_a_start_knows_what_was_handed_out(team: Core, unseen: bool, again: bool, when: Callable[[Core], None]) -> None:
    for n in range(3):
        team.send("fred", "claude", f"{n}")
    taken = team.check("claude", limit=2)
    if unseen:
        team.ask("claude", "release", ids=[m["id"] for m in taken], unseen=True)
    when(team)
    team.restart()
    assert shown(team.check("claude")) == [("0", again), ("1", again), ("2", False)]


def test_a_start_does_not_read_again_what_was_folded_of_messages_that_left_nothing(team: Core) -> None:
    for _ in range(5):
        team.ask("fred", "broadcast", message={"content": "to two"})
    team.store.fold_all()
    team.restart()
    assert team.store.unfolded == 0


def test_hand_outs_of_the_tail_are_one_row(team: Core) -> None:
    for n in range(9):
        team.send("fred", "claude", f"{n}")
    assert len(team.check("claude", limit=9)) == 9
    assert rows(team, "handed_out") == 1


def test_a_refused_request_and_a_failed_commit_leave_the_tail_as_it_was(team: Core, monkeypatch: pytest.MonkeyPatch) -> None:
    for n in range(3):
        team.send("fred", "claude", f"{n}", message_id=f"m{n}")
    taken = team.check("claude", limit=2)

    def fail() -> None:
        raise sqlite3.OperationalError("disk I/O error")

    with monkeypatch.context() as patched:
        patched.setattr(team.store._large, "sync", fail)
        with pytest.raises(sqlite3.OperationalError):
            team.batch(
                {"as_": "claude", "action": "ack", "ids": [taken[0]["id"]]},
                {"as_": "fred", "action": "send", "to_id": "claude", "message": {"content": "3"}, "message_id": "m3"},
            )
    assert team.store.unfolded == 3
    assert team.send("fred", "claude", "3", message_id="m3").get("duplicate") is None
    assert team.ask("claude", "ack", ids=[m["id"] for m in taken]) == {"id": 0, "status": "ok", "acked": 2}
    team.restart()
    assert shown(team.check("claude")) == [("2", False), ("3", False)]


@pytest.mark.parametrize("version", [2, 3])
def test_a_database_of_a_version_before_is_brought_here_with_mail_leases_and_questions(home: Path, version: int) -> None:
    core = Core(home)
    core.register("fred", "claude")
    core.store.close()
    for name in ("ipc.db", "ipc.db-wal", "ipc.db-shm"):
        (home / name).unlink(missing_ok=True)
    db = peewee.SqliteDatabase(str(home / "ipc.db"), pragmas={"journal_mode": "wal"})
    db.connect()
    migrate(db, to=version)
    for number, name in ((1, "fred"), (2, "claude")):
        db.execute_sql("INSERT INTO mailbox (id, name, claimed, created_s, last_seen_s, renamed_s) VALUES (?,?,1,?,?,0)",
                       (number, name, core.wall_s, core.wall_s))  # fmt: skip
    for number, client_id, attempts in ((1, "one", 0), (2, "two", 3), (3, None, 0)):
        db.execute_sql(
            "INSERT INTO message (id, sender_id, sender, client_id, created_s, expires_s, content, copies, to_id) "
            "VALUES (?,1,'fred',?,?,?,?,1,2)",
            (number, client_id, core.wall_s, core.wall_s + 1e6, f"text {number}"),
        )
        db.execute_sql("INSERT INTO queue VALUES (2,?,?)", (number, attempts))
    db.execute_sql("INSERT INTO question VALUES (3, 1, 2, ?, NULL)", (core.wall_s + 1000,))
    db.close()
    core.open()
    core.register("fred", "claude")
    assert core.send("fred", "claude", "text 2", message_id="two")["duplicate"]
    assert core.send("fred", "claude", "new", message_id="three").get("duplicate") is None
    got = core.check("claude")
    assert shown(got) == [("text 1", False), ("text 2", True), ("text 3", False), ("new", False)]
    core.ask("claude", "reply", to_message=got[2]["id"], message={"content": "answer"})
    assert shown(core.check("fred")) == [("answer", False)]
    with closing(sqlite3.connect(home / "ipc.db")) as found:
        assert found.execute("SELECT name FROM sqlite_master WHERE name = 'message_client_id'").fetchone() is None
    core.store.close()


@pytest.mark.parametrize(
    ("sent", "runs", "singles"),
    [
        ("abcde", 1, 0),
        ("a", 0, 1),
        ("abcde|fghij", 2, 0),
        ("abced", 1, 1),
        ("fghij|abcde", 1, 5),
        ("abcde|cc", 1, 0),
        ("acegi|bdfhk|lmnop", 2, 5),
    ],
)
def test_ids_that_ascend_make_one_row(core: Core, sent: str, runs: int, singles: int) -> None:
    core.register("fred", "claude")
    numbers: dict[str, str] = {}
    for batch in sent.split("|"):
        for message_id in batch:
            reply = core.send("fred", "claude", message_id=message_id)
            assert numbers.setdefault(message_id, reply["number"]) == reply["number"]
        core.store.fold_all()
    assert (rows(core, "sent_run"), rows(core, "sent_id")) == (runs, singles)
    for message_id, number in numbers.items():
        assert core.send("fred", "claude", message_id=message_id)["number"] == number
    assert {row.client_id for row in _messages(core)} == set(numbers)


def test_the_ids_of_swept_messages_are_forgotten(core: Core) -> None:
    core.register("fred", "claude")
    for message_id in "abcdefba":
        core.send("fred", "claude", message_id=message_id)
    core.store.fold_all()
    core.send("fred", "claude", message_id="0")
    core.ask("claude", "ack", ids=[m["id"] for m in core.check("claude", limit=50)])
    core.pass_time(40 * 86_400)
    core.store.sweep_read(core.wall_s, 0.0, 100)
    assert (rows(core, "message"), rows(core, "sent_run"), rows(core, "sent_id")) == (0, 0, 0)


def _messages(core: Core) -> list[Any]:
    from broker.store.schema import MessageRow

    return list(MessageRow.select())
