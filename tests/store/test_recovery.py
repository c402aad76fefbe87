"""A damaged database: set aside whole, what can be read is saved, the rest is said."""

import os
import select
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from broker.core.state import Moment
from broker.core.storage import StoreDamaged
from broker.home.settings import Settings
from broker.store import open_store, recovery
from broker.store.doctor import repair_now
from broker.store.folding import waiting_in
from tests.deep.faults.steps import deaths
from tests.engine import Core

MESSAGES = 400


@pytest.fixture
def settings(home: Path) -> Settings:
    return Settings.load(env={"IPC_HOME": str(home)})


@pytest.fixture
def filled(home: Path) -> Path:
    """A closed store with unread mail of some hundred pages."""
    (home / "run").mkdir()
    core = Core(home, {"IPC_RATE_LIMIT": "0"})
    core.register("fred", "claude")
    for i in range(MESSAGES):
        core.send("fred", "claude", f"{i} " + "x" * 1000, message_id=f"m{i}")
    core.store.fold_all()
    core.store.close()
    return home / "ipc.db"


def unread(home: Path) -> list[int]:
    with closing(sqlite3.connect(home / "ipc.db")) as db:
        waiting = waiting_in(db.execute("PRAGMA user_version").fetchone()[0])
        found = f"SELECT content FROM message JOIN {waiting} ON message_id = id WHERE sender_id > 0 ORDER BY id"  # noqa: S608
        rows = db.execute(found)
        return [int(row[0].split()[0]) for row in rows]


def page_of(path: Path, table: str, kind: str = "leaf", place: float = 0.5) -> int:
    """Number of a page in the middle of a table, from SQLite's own statistics."""
    with closing(sqlite3.connect(path)) as db:
        pages = [r[0] for r in db.execute("SELECT pageno FROM dbstat WHERE name = ? AND pagetype = ?", (table, kind))]
    return int(pages[int(len(pages) * place)])


def overwrite(path: Path, page: int, count: int = 1) -> None:
    with path.open("r+b") as f:
        f.seek((page - 1) * 4096)
        f.write(b"\xa5" * 4096 * count)


def test_an_orderly_stop_leaves_nothing_to_look_for(settings: Settings, filled: Path) -> None:
    recovery.begin(settings)
    recovery.end(settings)
    overwrite(filled, page_of(filled, "message"))
    assert recovery.begin(settings) == (None, False)


def test_a_sound_database_after_an_unclean_stop_is_left_alone(settings: Settings, filled: Path) -> None:
    recovery.begin(settings)
    before = filled.read_bytes()
    assert recovery.begin(settings) == (None, False)
    assert filled.read_bytes() == before


def test_a_damaged_page_costs_its_messages_and_no_others(settings: Settings, filled: Path, home: Path) -> None:
    recovery.begin(settings)
    overwrite(filled, page_of(filled, "message"))
    damaged = filled.read_bytes()
    made, _ = recovery.begin(settings)
    assert made is not None
    left = unread(home)
    assert left == sorted(left)
    assert 0 < MESSAGES - len(left) == made.lost < 10
    assert made.unread == len(left)
    assert (home / made.kept_as).read_bytes() == damaged
    assert recovery.last_repair(settings) is not None
    core = Core(home)
    assert core.engine.state.last_message_id > MESSAGES + 2**29
    assert core.engine.state.last_mailbox_id > 2**29
    core.engine.tell_all(made.sentence(), Moment(1_800_000_000.0, 1000.0))
    core.register("claude")
    texts = [m["message"]["content"] for m in core.check("claude", limit=1000)]
    assert texts[-1] == made.sentence()
    assert len(texts) == len(left) + 1
    core.store.close()


def test_lost_deliveries_are_made_again_from_the_messages(settings: Settings, filled: Path, home: Path) -> None:
    recovery.begin(settings)
    overwrite(filled, page_of(filled, "queue", place=0.0))
    made, _ = recovery.begin(settings)
    assert made is not None
    assert unread(home) == list(range(MESSAGES))


def test_a_file_that_is_no_database_is_set_aside(settings: Settings, filled: Path, home: Path) -> None:
    recovery.begin(settings)
    overwrite(filled, 1, 3)
    with pytest.raises(StoreDamaged):
        open_store(settings)
    recovery.note(settings, "file is not a database")
    made, _ = recovery.begin(settings)
    assert made is not None
    assert made.saved == 0
    assert (home / made.kept_as).stat().st_size > MESSAGES * 1000
    store = open_store(settings)
    assert 2**40 < store.load().last_message_id < 2**53  # beyond what any database counted up to
    store.close()


def test_a_torn_wal_is_sqlites_own_affair_and_no_damage(settings: Settings, home: Path) -> None:
    (home / "run").mkdir()
    core = Core(home)
    core.register("fred")
    for i in range(20):
        core.send("fred", "fred", f"{i}")
    wal = home / "ipc.db-wal"
    kept, db = wal.read_bytes(), (home / "ipc.db").read_bytes()
    core.store.close()
    (home / "ipc.db").write_bytes(db)
    wal.write_bytes(kept[:-2000])
    recovery.begin(settings)
    assert recovery.begin(settings) == (None, False)
    assert unread(home) == list(range(19))


def test_large_files_of_lost_messages_are_not_swept(settings: Settings, home: Path) -> None:
    (home / "run").mkdir()
    core = Core(home)
    core.register("fred")
    core.send("fred", "fred", "y" * 20_000)
    core.store.close()
    recovery.begin(settings)
    overwrite(home / "ipc.db", 1, 4)
    assert recovery.begin(settings)[0] is not None
    store = open_store(settings)
    assert store.sweep_orphans() == []
    assert len(list((home / "large-messages").glob("*.md"))) == 1
    store.close()


def test_a_repair_that_can_not_be_written_leaves_the_old_one_in_place(settings: Settings, filled: Path, home: Path) -> None:
    overwrite(filled, page_of(filled, "message"))
    (home / "ipc.db.saving").mkdir()  # nothing can be built there
    with pytest.raises(Exception, match="can't be repaired now"):
        recovery.repair(settings, "a test")
    assert filled.exists()
    assert not list(home.glob("ipc.db.broken*"))


def test_a_large_database_is_checked_beside_the_work(settings: Settings, filled: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recovery, "CHECK_AT_ONCE_BYTES", 1000)
    recovery.begin(settings)
    overwrite(filled, page_of(filled, "message"))
    assert recovery.begin(settings) == (None, True)
    found: list[str] = []
    recovery.check_beside(settings, found.append).join(30)
    assert len(found) == 1
    recovery.note(settings, found[0])
    assert recovery.begin(settings)[0] is not None


@pytest.mark.deep
def test_a_repair_killed_at_any_step_is_done_by_the_next_start(settings: Settings, filled: Path, home: Path) -> None:
    overwrite(filled, page_of(filled, "message"))
    damaged = filled.read_bytes()

    def prepare() -> None:
        for path in home.glob("ipc.db*"):
            path.unlink()
        (home / "repair.json").unlink(missing_ok=True)
        filled.write_bytes(damaged)
        recovery.note(settings, "a test")

    tried = 0
    for step in deaths(prepare, lambda: recovery.begin(settings)):
        tried += 1
        recovery.begin(settings)
        told = recovery.last_repair(settings)
        assert told is not None, step
        assert (len(unread(home)), told["unread"]) == (MESSAGES - told["lost"],) * 2, step
        assert (home / told["kept_as"]).read_bytes() == damaged, step
        left = {p.name.removesuffix("-wal").removesuffix("-shm") for p in home.glob("ipc.db*")}
        assert left == {"ipc.db", told["kept_as"]}, step
    assert tried > 10


def test_a_database_that_an_earlier_version_had_set_aside_when_it_was_killed_is_put_back(
    settings: Settings, filled: Path, home: Path
) -> None:
    overwrite(filled, page_of(filled, "message"))
    filled.rename(home / "ipc.db.broken-20270101-000000")
    made, _ = recovery.begin(settings)
    assert made is not None
    assert len(unread(home)) == made.unread > MESSAGES - 10


def test_where_nothing_could_be_read_the_loss_is_unknown(settings: Settings, filled: Path, home: Path) -> None:
    filled.write_bytes(b"\xa5" * 8192)
    made = recovery.repair(settings, "file is not a database")
    assert made.lost is None
    assert "how many are lost is unknown, perhaps all" in made.sentence()
    assert made.kept_as in made.sentence()


def test_a_long_repair_says_all_along_that_it_lives(settings: Settings, filled: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recovery, "_BEAT_INSTRUCTIONS", 100)  # some hundred messages are repaired at once
    overwrite(filled, page_of(filled, "message"))
    read, write = os.pipe()
    beats: list[bool] = []
    os.write(write, b"?" * 3)

    def beat() -> None:
        beats.append(bool(select.select([read], [], [], 0)[0] and os.read(read, 1)))

    recovery.repair(settings, "a test", beat)
    assert sum(beats) == 3
    os.close(read)
    os.close(write)


def test_a_repair_by_hand_tells_how_much_is_saved(settings: Settings, filled: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recovery, "_BEAT_INSTRUCTIONS", 100)
    overwrite(filled, page_of(filled, "message"))
    heard: list[tuple[str, int, int]] = []
    assert "were saved" in repair_now(settings, lambda *told: heard.append(told))
    assert list(dict.fromkeys(what for what, _, _ in heard)) == ["checking", "saving"]
    assert max(done for what, done, _ in heard if what == "saving") > 0
