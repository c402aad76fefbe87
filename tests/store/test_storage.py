"""The store: failure leaves no trace, migrations, sweeping."""

import sqlite3
from pathlib import Path

import pytest

from broker.core.state import Moment
from broker.core.storage import StoreDamaged
from broker.home.logs import Log
from broker.home.settings import Settings
from broker.server.upkeep import Sweeper
from broker.store import open_store
from broker.store.expiry import among
from broker.store.load import _USED_IDS
from broker.store.migrations import SCHEMA_VERSION, SchemaTooNew
from tests.engine import Core


@pytest.fixture
def pair(core: Core) -> Core:
    core.register("fred", "claude")
    return core


def fill_disk(core: Core) -> None:
    """From now on SQLite has no page left to write to, as on a full disk."""
    core.store._sql.execute("PRAGMA query_only = 1")  # every write fails, reads go on


def free_disk(core: Core) -> None:
    core.store._sql.execute("PRAGMA query_only = 0")


def test_a_store_that_can_not_be_written_refuses_mail_serves_reads_and_recovers(pair: Core) -> None:
    pair.send("fred", "claude", "before")
    fill_disk(pair)
    reply = pair.send("fred", "claude", "refused", message_id="m1")
    assert (reply["code"], reply["retryable"]) == ("storage_full", True)
    assert pair.contents("claude") == ["before"]
    assert pair.ask("claude", "list")["status"] == "ok"
    free_disk(pair)
    assert "duplicate" not in pair.send("fred", "claude", "after", message_id="m1")
    assert pair.contents("claude") == ["after"]


def test_a_batch_that_can_not_be_written_answers_its_reads(pair: Core) -> None:
    pair.send("fred", "claude", "before")
    fill_disk(pair)
    send = {"as_": "fred", "action": "send", "to_id": "claude", "message": {"content": "x"}}
    first, check, listed = pair.batch(send, {"as_": "claude", "action": "check"}, {"as_": "fred", "action": "list"})
    assert (first["code"], len(check["messages"]), listed["status"]) == ("storage_full", 1, "ok")


def test_memory_never_runs_ahead_of_a_refused_batch(pair: Core) -> None:
    fill_disk(pair)
    for _ in range(3):
        pair.send("fred", "nova", "x" * 20_000)
        pair.ask("fred", "rename", new_id="freddy")
        pair.ask(None, "register", instance_id="new")
    state = pair.engine.state
    assert sorted(state.mailboxes) == ["claude", "fred"]
    assert (state.last_message_id, len(state.sessions), state.forwards) == (0, 2, {})
    assert list((pair.home / "large-messages").iterdir()) == []


def test_the_storage_limit_refuses_new_mail_only(home: Path) -> None:
    core = Core(home, env={"IPC_STORAGE_LIMIT": "1"})
    core.register("fred", "claude")
    replies = [core.send("fred", "claude", "x" * 2500) for _ in range(600)]
    assert replies[-1]["code"] == "storage_full"
    assert "storage_limit_mib" in replies[-1]["message"]
    assert core.check("claude")
    core.store.close()


def test_the_storage_limit_counts_large_files_also_after_a_restart(home: Path) -> None:
    core = Core(home, env={"IPC_STORAGE_LIMIT": "2"})
    core.register("fred", "claude")
    big = "x" * 700_000
    assert [core.send("fred", "claude", big).get("code") for _ in range(4)] == [None, None, "storage_full", "storage_full"]
    assert len(list((home / "large-messages").iterdir())) == 2  # what was refused left nothing
    core.restart()
    assert core.send("fred", "claude", big)["code"] == "storage_full"
    core.pass_time(7 * 86400 - 1)
    core.register("fred")
    core.pass_time(2)
    sweep(core)
    assert core.send("fred", "claude", big)["code"] == "storage_full"  # what expired is kept as dead letters
    Sweeper(core.engine, core.store, Log("test")).step(core.now())  # which give way to mail
    assert core.send("fred", "claude", big)["status"] == "ok"
    core.store.close()


def test_a_database_of_a_later_version_is_not_touched(home: Path) -> None:
    with sqlite3.connect(home / "ipc.db") as db:
        db.execute("PRAGMA user_version = 99")
    with pytest.raises(SchemaTooNew, match="upgrade agent-ipc"):
        open_store(Settings.load(env={"IPC_HOME": str(home)}))


def test_a_new_database_is_at_the_present_version_and_private(core: Core) -> None:
    assert core.store.stats()["schema"] == SCHEMA_VERSION
    assert (core.home / "ipc.db").stat().st_mode & 0o777 == 0o600


def test_a_file_that_is_no_database_is_a_clear_error(home: Path) -> None:
    (home / "ipc.db").write_bytes(b"not a database, but long enough to have a header " * 100)
    with pytest.raises(StoreDamaged, match="not a database"):
        open_store(Settings.load(env={"IPC_HOME": str(home)}))


def sweep(core: Core) -> None:
    sweeper = Sweeper(core.engine, core.store, Log("test"))
    while sweeper._sweep(Moment(core.wall_s, core.mono_s)):
        pass


def rows(core: Core, table: str) -> int:
    return int(core.store._sql.execute(f"SELECT count(*) FROM {table}").fetchone()[0])  # noqa: S608


def test_expired_unread_mail_is_swept_with_its_file(pair: Core) -> None:
    pair.send("fred", "claude", "x" * 20_000)
    for _ in range(300):
        pair.send("fred", "claude")
    pair.pass_time(7 * 86400 + 1)
    sweep(pair)
    assert (rows(pair, "message"), rows(pair, "queue"), rows(pair, "receipt")) == (301, 0, 301)
    pair.pass_time(30 * 86400 + 1)
    sweep(pair)
    assert (rows(pair, "message"), rows(pair, "receipt")) == (0, 0)
    assert list((pair.home / "large-messages").iterdir()) == []


def test_read_mail_is_kept_thirty_days_and_a_broadcast_body_as_long_as_its_last_reader(pair: Core) -> None:
    pair.register("bob")
    pair.ask("fred", "broadcast", message={"content": "x"})
    pair.ask("claude", "ack", ids=[m["id"] for m in pair.check("claude")])
    pair.pass_time(8 * 86400)
    sweep(pair)
    assert (rows(pair, "message"), rows(pair, "queue"), rows(pair, "receipt")) == (1, 0, 2)
    pair.pass_time(23 * 86400)
    sweep(pair)
    assert (rows(pair, "message"), rows(pair, "receipt")) == (1, 1)
    pair.pass_time(8 * 86400)
    sweep(pair)
    assert (rows(pair, "message"), rows(pair, "receipt")) == (0, 0)


def test_one_step_of_a_round_looks_at_a_few_mailboxes_however_many_there_are(core: Core) -> None:
    names = [f"n{number}" for number in range(500)]
    core.register(*names)
    core.ask("n0", "broadcast", message={"content": "x"})
    sweeper = Sweeper(core.engine, core.store, Log("test"))
    asked: list[int] = []
    look = core.store.sweep_unread
    core.store.sweep_unread = lambda mailbox_id, *more: (asked.append(mailbox_id), look(mailbox_id, *more))[1]  # type: ignore[method-assign]
    now = Moment(core.wall_s, core.mono_s)
    steps = 0
    while sweeper._sweep(now):
        steps += 1
        assert len(asked) <= 200 * steps
    assert len(asked) == 499


@pytest.mark.deep
def test_read_mail_that_runs_out_all_along_is_swept_each_second_and_faster_if_that_is_too_slow(pair: Core) -> None:
    sweeper = Sweeper(pair.engine, pair.store, Log("test"))
    for _ in range(8):
        pair.batch(*({"action": "send", "to_id": "claude", "message": {"content": "x"}} for _ in range(250)), name="fred")
        pair.ask("claude", "ack", ids=[m["id"] for m in pair.check("claude", limit=250)])
    pair.pass_time(31 * 86400)
    took_s: list[float] = []
    while rows(pair, "receipt"):
        before_s = pair.mono_s
        sweeper.step(Moment(pair.wall_s, pair.mono_s))
        assert sweeper._next_s is not None
        pair.pass_time(sweeper._next_s - before_s if len(took_s) != 4 else 6.0)
        took_s.append(round(pair.mono_s - before_s, 3))
    assert took_s == [0.02, 0.02, 0.02, 0.02, 6.0, 0.001, 0.001, 1.0]


def test_a_sweep_of_any_length_is_one_of_few_statements_which_sqlite_keeps() -> None:
    clauses = [among(list(range(length))) for length in range(401)]
    assert len({sql for sql, _ids in clauses}) == 10
    assert all(sql.count("?") == len(ids) for sql, ids in clauses)
    assert all(set(ids) == set(range(length)) for length, (_sql, ids) in enumerate(clauses) if length)


def test_message_ids_are_never_used_again(pair: Core) -> None:
    before = int(pair.send("fred", "claude")["message_id"])
    pair.pass_time(8 * 86400)
    sweep(pair)
    pair.restart()
    pair.register("fred")
    assert int(pair.send("fred", "claude")["message_id"]) > before


def test_ids_go_on_behind_the_newest_that_was_swept_whatever_is_swept_later(pair: Core) -> None:
    pair.send("fred", "claude", "old")
    newest = int(pair.send("fred", "claude", "newest", ttl_s=60)["message_id"])
    pair.pass_time(61)
    Sweeper(pair.engine, pair.store, Log("test")).step(Moment(pair.wall_s, pair.mono_s))  # the newest goes first
    pair.pass_time(8 * 86400)
    sweep(pair)
    pair.restart()
    pair.register("fred")
    assert int(pair.send("fred", "claude")["message_id"]) > newest


def test_an_ack_of_what_was_never_handed_out_does_nothing(pair: Core) -> None:
    number = pair.send("fred", "claude", "unseen")["message_id"]
    assert pair.ask("claude", "ack", ids=[number])["acked"] == 0
    assert pair.contents("claude") == ["unseen"]


def test_a_name_idle_for_seven_days_is_free_again(pair: Core) -> None:
    pair.pass_time(7 * 86400 + 1)
    sweep(pair)
    pair.register("bob")
    assert [i["id"] for i in pair.ask("bob", "list")["instances"]] == ["bob"]


def test_large_files_outlive_a_move_of_the_data_folder(home: Path) -> None:
    (home / "before").mkdir()
    core = Core(home / "before")
    core.register("a")
    core.send("a", "a", "x" * 20_000)
    core.store.close()
    (home / "before").rename(home / "after")
    moved = Core(home / "after")
    assert moved.store.sweep_orphans() == []
    assert len(list((home / "after" / "large-messages").iterdir())) == 1
    moved.store.close()


def test_only_files_of_our_own_form_in_our_own_folder_are_named_or_removed(pair: Core, tmp_path: Path) -> None:
    victims = [tmp_path / "precious.txt", tmp_path / "20270101-000000_a_b_message.md", pair.home / "owner.key"]
    for victim in victims:
        victim.write_text("precious")
        pair.send("fred", "claude", "x" * 20_000, ttl_s=60)
    for number, victim in enumerate(victims, 1):
        pair.store._sql.execute("UPDATE message SET file_path = ? WHERE id = ?", (str(victim), number))
    shown = [m.get("file", {}).get("path") for m in pair.check("claude")]
    assert shown == [None, str(pair.home / "large-messages" / victims[1].name), None]
    pair.pass_time(61)
    Sweeper(pair.engine, pair.store, Log("test")).step(Moment(pair.wall_s, pair.mono_s))
    pair.pass_time(31 * 86400)
    sweep(pair)
    assert rows(pair, "message") == 0
    assert all(victim.exists() for victim in victims)


def test_a_store_whose_first_start_was_cut_short_opens(home: Path) -> None:
    core = Core(home)
    core.store._sql.execute("DELETE FROM meta")  # a crash between the tables and their first row
    core.restart()
    core.register("a")
    assert core.send("a", "a", "x" * 20_000)["status"] == "ok"
    core.store.close()


def test_orphans_of_a_crash_are_swept_and_other_systems_files_are_not(pair: Core) -> None:
    pair.send("fred", "claude", "x" * 20_000)
    folder = pair.home / "large-messages"
    kept = next(folder.iterdir())
    orphan = folder / "20270101-000000_a_b_message.md"
    orphan.write_bytes(kept.read_bytes())
    foreign = folder / "20270101-000001_a_b_message.md"
    foreign.write_text("# Large message of another system\n")
    pair.restart()
    assert pair.store.sweep_orphans() == [orphan.name]
    assert (kept.exists(), foreign.exists()) == (True, True)


def test_what_a_crash_left_unnamed_is_swept_in_a_folder_of_the_user_too(home: Path, tmp_path: Path) -> None:
    core = Core(home, {"IPC_LARGE_MESSAGE_DIR": str(tmp_path)})
    core.register("fred")
    core.send("fred", "fred", "x" * 20_000)
    kept = next(tmp_path.iterdir())
    left = tmp_path / ".0123456789abcdef.tmp"
    left.write_bytes(kept.read_bytes())
    others = tmp_path / ".fedcba9876543210.tmp"
    others.write_text("of another program")
    core.restart()
    assert core.store.sweep_orphans() == [left.name]
    assert sorted(tmp_path.iterdir()) == sorted([kept, others])
    core.store.close()


def test_the_start_looks_for_used_mailbox_ids_at_the_ends_of_indexes(core: Core) -> None:
    plan = [row[3] for row in core.store._sql.execute(f"EXPLAIN QUERY PLAN {_USED_IDS}")]
    assert all(
        ("COVERING INDEX" in step or "PRIMARY KEY" in step)
        for step in plan
        if step.startswith(("SEARCH", "SCAN")) and "CONSTANT" not in step
    ), plan


def test_a_large_message_is_whole_for_who_passes_it_on_in_the_same_transaction(pair: Core) -> None:
    text = "é" * 20_000
    pair.register("nova")
    send = {"as_": "fred", "action": "send", "to_id": "claude", "message": {"content": text}}
    sent, forward = pair.batch(send, {"as_": "fred", "action": "forward", "forward_id": "1", "to_id": "nova"})
    assert (sent["message_id"], forward["status"]) == ("1", "ok"), forward
    (mail,) = pair.ask("nova", "check")["messages"]
    assert text in Path(mail["file"]["path"]).read_text()
