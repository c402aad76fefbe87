"""The ipc command as a person or a script uses it."""

import json
import os
import pty
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import alive

IPC = [sys.executable, "-m", "bridges.cli"]


class Shell:
    """A person's shell with a home and a data folder of its own."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.env = {"HOME": str(home), "IPC_HOME": str(home / "ipc"), "IPC_PORT": "0", "PATH": os.environ["PATH"]}

    def run(self, *arguments: str, stdin: bytes = b"", **env: str) -> subprocess.CompletedProcess[str]:
        environment = {**self.env, **env}
        done = subprocess.run([*IPC, *arguments], env=environment, input=stdin, capture_output=True, timeout=40, cwd=self.home)
        return subprocess.CompletedProcess(arguments, done.returncode, done.stdout.decode(), done.stderr.decode())

    def ok(self, *arguments: str, **options: Any) -> str:
        done = self.run(*arguments, **options)
        assert done.returncode == 0, (done.stdout, done.stderr)
        return done.stdout

    def fails(self, status: int, *arguments: str, **options: Any) -> str:
        done = self.run(*arguments, **options)
        assert done.returncode == status, (done.stdout, done.stderr)
        assert "Traceback" not in done.stderr
        return done.stderr


@pytest.fixture
def shell(home: Path) -> Iterator[Shell]:
    shell = Shell(home)
    yield shell
    shell.run("down")


def test_the_first_command_starts_the_service_and_mail_flows(shell: Shell) -> None:
    assert shell.ok("register", "fred") == "Registered fred\n"
    assert shell.ok("send", "claude", "hello", "there") == "Message queued for claude (not yet registered)\n"
    assert shell.ok("register", "claude") == "Registered claude with 1 queued messages\n"
    assert "hello there" in shell.ok("check")
    assert shell.ok("check") == "No new messages\n"
    assert shell.ok("send", "claude", "x", "--as", "fred") == "Message sent\n"
    assert shell.ok("whoami", IPC_NAME="fred") == "fred, 0 unread\n"
    assert shell.ok("rename", "claude-2") == "Renamed claude to claude-2\n"
    assert shell.ok("broadcast", "to all") == "Broadcast to 1 instances\n"
    assert [r["id"] for r in json.loads(shell.ok("list", "--json"))] == ["claude-2", "fred"]


def test_text_comes_from_arguments_standard_input_or_a_file(shell: Shell) -> None:
    shell.ok("register", "fred")
    (shell.home / "note.txt").write_text("from a file\n")
    shell.ok("send", "fred", "-", stdin="from stdin ü".encode())
    shell.ok("send", "fred", "--file", "note.txt", "--data", '{"n": 1}')
    mail = json.loads(shell.ok("check", "--json"))
    assert [(m["content"], m["data"]) for m in mail] == [("from stdin ü", None), ("from a file\n", {"n": 1})]
    assert "there is no text" in shell.fails(2, "send", "fred")
    assert "not UTF-8" in shell.fails(2, "send", "fred", "-", stdin=b"\xff")
    assert "--data is not JSON" in shell.fails(2, "send", "fred", "x", "--data", "{")
    assert "No such file" in shell.fails(2, "send", "fred", "--file", "none")


def test_a_message_id_makes_a_send_repeatable(shell: Shell) -> None:
    shell.ok("register", "fred")
    assert shell.ok("send", "fred", "x", "--id", "a1") == "Message sent\n"
    assert shell.ok("send", "fred", "x", "--id", "a1") == "Message sent (sent before)\n"


def test_every_error_says_what_to_type_next(shell: Shell) -> None:
    assert shell.fails(4, "check") == "ipc: Not registered\nnext: ipc register NAME\n"
    assert shell.fails(2, "snd", "x") == "ipc: unknown command 'snd'. Did you mean send?\nnext: ipc --help\n"
    assert "next: ipc send --help" in shell.fails(2, "send")
    assert "Invalid instance ID format" in shell.fails(1, "register", "a b")
    assert "IPC_PORT: port must be a whole number" in shell.fails(2, "status", IPC_PORT="x")


def test_an_unreachable_service_is_its_own_status(shell: Shell) -> None:
    assert "next: ipc up" in shell.fails(3, "status")
    blocked = shell.home / "file"
    blocked.write_text("")
    assert "Not a directory" in shell.fails(2, "register", "fred", IPC_HOME=str(blocked / "x"))


def test_the_replaced_session_is_not_allowed(shell: Shell) -> None:
    shell.ok("register", "fred")
    path = shell.home / "ipc" / "sessions" / "cli-fred.json"
    first = path.read_text()
    shell.ok("register", "fred")
    path.write_text(first)
    assert "registered again elsewhere" in shell.fails(4, "check")


def test_up_down_and_status(shell: Shell) -> None:
    assert "Running in" in (text := shell.ok("up")) and "TCP door on 127.0.0.1:" in text
    assert "Already running" in shell.ok("up")
    found = json.loads(shell.ok("status", "--json"))
    assert (found["running"], found["instances"], found["tcp"]["error"]) == (True, [], None)
    assert "mailbox_limit" in shell.ok("status", "--config")
    assert shell.ok("doctor").count("ok  ") == 9
    assert shell.ok("down") == "Stopped\n"
    assert not alive(found["pid"])
    assert shell.ok("down") == "Not running\n"
    assert shell.run("doctor").returncode == 0


def test_doctor_finds_a_broken_database(shell: Shell) -> None:
    (shell.home / "ipc").mkdir(mode=0o700)
    (shell.home / "ipc" / "ipc.db").write_bytes(b"rubbish" * 1000)
    done = shell.run("doctor")
    assert (done.returncode, "FAIL  database" in done.stdout) == (1, True)
    assert shell.ok("register", "fred") == "Registered fred\n"  # the broker has set it aside and begun a new one
    assert list((shell.home / "ipc").glob("ipc.db.broken-*"))
    assert "repaired 0 messages saved" in shell.ok("status")


def test_mail_can_not_steer_the_terminal_and_is_coloured_only_there(shell: Shell) -> None:
    shell.ok("register", "fred")
    shell.ok("send", "fred", "\x1b]0;owned\x07\x9b2J\u202e")
    master, slave = pty.openpty()
    env = {**shell.env, "TERM": "xterm"}
    subprocess.run([*IPC, "check"], env=env, stdout=slave, stderr=slave, timeout=30, check=True)
    os.close(slave)
    shown = os.read(master, 65536).decode()
    os.close(master)
    assert "\x1b[1mfred\x1b[0m" in shown
    assert "\x1b]0" not in shown and "\x07" not in shown and "\x9b" not in shown and "\u202e" not in shown
    assert "\\x1b]0;owned\\x07" in shown


def test_mail_that_could_not_be_printed_comes_back(shell: Shell) -> None:
    shell.ok("register", "fred")
    shell.ok("send", "fred", "precious")
    read, write = os.pipe()
    os.close(read)
    broken = subprocess.run([*IPC, "check"], env=shell.env, stdout=write, stderr=subprocess.PIPE, timeout=30)
    os.close(write)
    assert (broken.returncode, broken.stderr) == (1, b"")
    shell.ok("register", "fred")  # frees the lease of the lost check
    assert "precious" in shell.ok("check")


@pytest.fixture
def seed_database(home: Path) -> Path:
    path = home / "messages #1?.db"
    now = datetime.now().isoformat()
    with sqlite3.connect(path) as db:
        db.executescript(
            """CREATE TABLE messages (id INTEGER PRIMARY KEY AUTOINCREMENT, from_id TEXT NOT NULL, to_id TEXT NOT NULL,
            content TEXT NOT NULL, timestamp TEXT NOT NULL, data TEXT, summary TEXT, large_file_path TEXT,
            read_flag INTEGER DEFAULT 0);
            CREATE TABLE instances (instance_id TEXT PRIMARY KEY, last_seen TEXT NOT NULL);
            CREATE TABLE sessions (session_token_hash TEXT PRIMARY KEY, instance_id TEXT, created_at TEXT, expires_at TEXT);
            CREATE TABLE name_history (old_name TEXT PRIMARY KEY, new_name TEXT NOT NULL, changed_at TEXT NOT NULL);
            INSERT INTO instances VALUES ('fred', '2026-01-01T00:00:00');"""
        )
        rows = [
            ("fred", "claude", "one", now, '{"k": [1]}', 0),
            ("fred", "claude", "was read", now, None, 1),
            ("fred", "claude", "two", "2020-01-01T00:00:00", None, 0),
            ("fr ed", "claude", "bad name", now, None, 0),
            ("fred", "claude", "bad data", now, "{", 0),
            ("fred", "claude", "bad time", "yesterday", None, 0),
        ]
        db.executemany("INSERT INTO messages (from_id, to_id, content, timestamp, data, read_flag) VALUES (?,?,?,?,?,?)", rows)
    db.close()
    return path


def test_legacy_mail_is_imported_once_and_what_could_not_be_is_reported(shell: Shell, seed_database: Path) -> None:
    before = seed_database.read_bytes()
    done = shell.run("import-legacy", str(seed_database))
    assert done.returncode == 1
    assert done.stdout.startswith("2 messages imported, 0 were there already, 1 read ones left out\n")
    for line in ("row 4: not taken, the sender 'fr ed'", "row 5: not taken, the data", "row 6: not taken, the timestamp"):
        assert line in done.stdout
    again = json.loads(shell.run("import-legacy", str(seed_database), "--json").stdout)
    assert (again["imported"], again["already_there"], len(again["refused"])) == (0, 2, 3)
    assert seed_database.read_bytes() == before
    shell.ok("register", "claude")
    mail = json.loads(shell.ok("check", "--json"))
    assert [(m["from"], m["content"], m["data"]) for m in mail] == [("fred", "one", {"k": [1]}), ("fred", "two", None)]
    assert mail[1]["timestamp"].startswith(("2019-12-31", "2020-01-01"))


def seed(path: Path, columns: str, rows: list[tuple[object, ...]]) -> Path:
    with sqlite3.connect(path) as db:
        db.execute(f"CREATE TABLE messages ({columns})")
        db.executemany("INSERT INTO messages VALUES (?,?,?,?,?,?,?)", rows)
    db.close()
    return path


def test_a_hostile_seed_database_reaches_no_terminal(shell: Shell) -> None:
    now = "2026-01-01T00:00:00"
    columns = "id, from_id, to_id, content, timestamp, data, read_flag"
    path = seed(
        shell.home / "hostile.db",
        columns,
        [("\x1b]0;owned\x07", "a b", "x", "c", now, None, 0), (b"\x01", "a", "x", "c", now, b'{"a":1}', 0)],
    )
    done = shell.run("import-legacy", str(path))
    assert (done.returncode, done.stderr) == (1, "")
    assert "row \\x1b]0;owned\\x07: not taken" in done.stdout
    assert done.stdout.startswith("1 messages imported")
    assert "\x1b" not in done.stdout


def test_of_a_damaged_seed_database_all_that_can_be_read_is_imported(shell: Shell) -> None:
    columns = "id INTEGER PRIMARY KEY, from_id, to_id, content, timestamp, data, read_flag"
    rows = [(i, "a", "b", f"old {i} {'x' * 80}", "2026-01-01T00:00:00", None, 0) for i in range(1, 501)]
    path = seed(shell.home / "damaged.db", columns, rows)
    with path.open("r+b") as f:
        f.seek(path.stat().st_size // 4096 // 2 * 4096)
        f.write(b"\xa5" * 4096)
    report = json.loads(shell.run("import-legacy", str(path), "--json").stdout)
    assert report["imported"] > 400
    assert report["imported"] + report["unreadable"] == 500
    assert f"at most {report['unreadable']} rows could not be read" in shell.run("import-legacy", str(path)).stdout


def test_what_is_no_seed_database_is_refused(shell: Shell) -> None:
    (shell.home / "x.db").write_bytes(b"rubbish" * 500)
    assert "can't be read as a database" in shell.fails(2, "import-legacy", str(shell.home / "x.db"))
    sqlite3.connect(shell.home / "y.db").execute("CREATE TABLE t (a)").connection.close()
    assert "no table messages" in shell.fails(2, "import-legacy", str(shell.home / "y.db"))
    assert "is not a file" in shell.fails(2, "import-legacy", "nothing.db")


def test_the_demo_runs_and_leaves_nothing(shell: Shell) -> None:
    text = shell.ok("demo", TMPDIR=str(shell.home))
    assert text.count("✓") == 4
    assert "three agents talk" in shell.ok("--help")
    assert "three agents exchange" in shell.ok("demo", "--help")
    assert list(shell.home.glob("ipc-demo-*")) == []
    assert not (shell.home / "ipc").exists()
