"""The ipc command as a person or a script uses it."""

import json
import os
import pty
import shlex
import sqlite3
import subprocess
from datetime import datetime
from pathlib import Path

import pytest

from tests.processes import alive
from tests.shell import IPC, Shell


def test_the_first_command_starts_the_service_and_mail_flows(shell: Shell) -> None:
    assert shell.ok("register", "fred") == "Registered fred\n"
    assert shell.ok("send", "claude", "hello", "there") == "Message queued for claude (not yet registered) (number 1)\n"
    assert "1 unread, 1 name nobody has yet; " in shell.ok("status")
    assert shell.ok("register", "claude") == "Registered claude with 1 queued message\n"
    assert "hello there" in shell.ok("check")
    assert shell.ok("check") == "No new messages\n"
    assert shell.ok("send", "claude", "x", "--as", "fred") == "Message sent (number 2)\n"
    assert shell.ok("whoami", IPC_NAME="fred") == "fred, 0 unread\n"
    assert shell.ok("rename", "claude-2") == "Renamed claude to claude-2\n"
    assert shell.ok("broadcast", "to all") == "Broadcast to 1 instance (number 4)\n"
    assert [r["id"] for r in json.loads(shell.ok("list", "--json"))] == ["claude-2", "fred"]


def test_text_comes_from_arguments_standard_input_or_a_file(shared_shell: Shell, tag: str) -> None:
    shared_shell.ok("register", f"fred{tag}")
    (shared_shell.home / "note.txt").write_text("from a file\n")
    shared_shell.ok("send", f"fred{tag}", "-", stdin="from stdin ü".encode())
    shared_shell.ok("send", f"fred{tag}", "--file", "note.txt", "--data", '{"n": 1}')
    mail = json.loads(shared_shell.ok("check", "--json"))
    assert [(m["content"], m["data"]) for m in mail] == [("from stdin ü", None), ("from a file\n", {"n": 1})]
    assert "there is no text" in shared_shell.fails(2, "send", f"fred{tag}")
    assert "not UTF-8" in shared_shell.fails(2, "send", f"fred{tag}", "-", stdin=b"\xff")
    assert "--data is not JSON" in shared_shell.fails(2, "send", f"fred{tag}", "x", "--data", "{")
    assert "No such file" in shared_shell.fails(2, "send", f"fred{tag}", "--file", "none")


def test_a_message_id_makes_a_send_repeatable(shell: Shell) -> None:
    shell.ok("register", "fred")
    assert shell.ok("send", "fred", "x", "--id", "a1") == "Message sent (number 1)\n"
    assert shell.ok("send", "fred", "x", "--id", "a1") == "Message sent (number 1): sent before under this id, stored once\n"
    refused = (
        "ipc: The message_id a1 was used before for another text\nnext: leave --id out, or give each message an id of its own\n"
    )
    assert shell.fails(1, "send", "fred", "y", "--id", "a1") == refused


@pytest.mark.deep
def test_options_may_stand_between_the_recipient_and_the_text(shell: Shell) -> None:
    shell.ok("register", "fred")
    for words in (
        ("send", "fred", "--ttl", "60", "two", "words"),
        ("send", "--ttl", "60", "fred", "two words"),
        ("send", "fred", "two", "--ttl=60", "words"),
        ("broadcast", "--land", "turn", "two words"),
        ("ask", "fred", "--wait", "0", "two", "words"),
        ("reply", "1", "--land", "turn", "two", "words"),
        ("send", "fred", "--ttl", "60", "--", "-x"),
    ):
        shell.ok(*words)
    assert [m["content"] for m in json.loads(shell.ok("check", "--json"))] == [*["two words"] * 3, *["two words"] * 2, "-x"]
    assert "behind --" in shell.fails(2, "send", "fred", "-x")


def test_the_number_that_send_prints_is_the_one_that_every_command_takes(shared_shell: Shell, tag: str) -> None:
    shared_shell.ok("register", f"fred{tag}")
    printed = shared_shell.ok("send", f"nova{tag}", "x", "--id", "mine")
    number = printed.partition("(number ")[2].partition(")")[0]
    assert f"#{number}" in shared_shell.ok("history")
    assert shared_shell.ok("receipts", number).split()[:3] == [number, f"nova{tag}", "stored"]
    shared_shell.ok("send", f"nova{tag}", "y", "--thread", f"#{number}")
    assert shared_shell.ok("withdraw", f"#{number}") == "Withdrawn (1 unread)\n"


def test_numbers_out_of_bounds_are_refused_in_words(shared_shell: Shell, tag: str) -> None:
    for words, told in (
        (("send", f"fred{tag}", "x", "--ttl", "soon"), "argument --ttl: 'soon' must be from 1 to 31536000 seconds"),
        (("check", "--wait", "nan"), "argument --wait: 'nan' must be from 0 to 3600 seconds"),
        (("check", "--limit", "0"), "argument --limit: '0' must be a whole number from 1 to 10000 messages"),
        (("history", "--limit", "x"), "argument --limit: 'x' must be a whole number from 1 to 200 messages"),
        (("autocheck", "start", "99"), "argument MINUTES: '99' must be a whole number from 1 to 60 minutes"),
    ):
        assert shared_shell.fails(2, *words) == f"ipc: {told}\nnext: ipc {words[0]} --help\n"


@pytest.mark.parametrize(
    ("words", "next_step"),
    [
        (("group", "join", "nobody"), "ipc groups lists them; ipc group create NAME makes one"),
        (("withdraw", "99"), "ipc history shows the numbers of your mail"),
        (("history", "--peer", "nobody"), "ipc list shows who is registered"),
        (("send", "a b", "x"), "ipc list shows who is registered"),
        (("send", "fred"), "ipc send --help"),
        (("presence", "idle", "x" * 201), "ipc presence --help"),
    ],
)
def test_what_to_do_next_is_something_to_type(shared_shell: Shell, tag: str, words: tuple[str, ...], next_step: str) -> None:
    shared_shell.ok("register", f"fred{tag}")
    done = shared_shell.run(*words)
    assert done.returncode in (1, 2) and done.stderr.endswith(f"next: {next_step}\n"), done.stderr


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
def test_a_letter_that_the_terminal_does_not_have_stops_no_mail(shared_shell: Shell, tag: str, encoding: str) -> None:
    shared_shell.ok("register", f"fred{tag}")
    shared_shell.ok("send", f"fred{tag}", "caf\u00e9 \U0001f600")
    shared_shell.ok("send", f"fred{tag}", "plain")
    environment = {**shared_shell.env, "PYTHONIOENCODING": encoding}
    done = subprocess.run([*IPC, "check"], env=environment, capture_output=True, timeout=40, cwd=shared_shell.home)
    assert (done.returncode, done.stderr) == (0, b"")
    lines = [line.strip() for line in done.stdout.decode(encoding).splitlines()]
    assert lines[1] == "caf\u00e9 \U0001f600".encode(encoding, "backslashreplace").decode(encoding) and lines[3] == "plain"
    assert shared_shell.ok("check") == "No new messages\n"


def in_shell(shell: Shell, words: str, first: str = "", cwd: Path | None = None) -> subprocess.CompletedProcess[bytes]:
    """A command with its redirections."""
    script = f"{first}exec {shlex.join(IPC)} {words}"
    env = {**shell.env, "PYTHONPATH": str(Path(__file__).parents[2])}
    return subprocess.run(["/bin/sh", "-c", script], env=env, cwd=cwd or shell.home, capture_output=True, timeout=40)


@pytest.mark.parametrize("closed", ["0<&-", "2>&-", "0<&- 2>&-"])
def test_closed_input_or_error_output_changes_nothing(shared_shell: Shell, tag: str, closed: str) -> None:
    shared_shell.ok("register", f"fred{tag}")
    shared_shell.ok("send", f"fred{tag}", "x")
    for words in ("check", "whoami", f"send fred{tag} y"):
        done = in_shell(shared_shell, f"{words} {closed}")
        assert (done.returncode, done.stderr) == (0, b""), done


@pytest.mark.deep
@pytest.mark.parametrize("output", ["1>&-", "1>/dev/full", "1>&- 0<&- 2>&-"])
def test_mail_that_could_not_be_shown_is_unread(shared_shell: Shell, tag: str, output: str) -> None:
    shared_shell.ok("register", f"fred{tag}")
    shared_shell.ok("send", f"fred{tag}", "keep me")
    for words in ("check", "check --json"):
        done = in_shell(shared_shell, f"{words} {output}")
        assert done.returncode == 1 and b"Traceback" not in done.stderr and b"Exception" not in done.stderr
    assert "keep me" in shared_shell.ok("check")


def test_automatic_checks_promise_a_shell_nothing_that_it_does_not_do(shared_shell: Shell, tag: str) -> None:
    shared_shell.ok("register", f"fred{tag}")
    for minutes, often in (("1", "every minute"), ("3", "every 3 minutes")):
        told = shared_shell.ok("autocheck", "start", minutes)
        assert often in told and "in a shell, ipc watch prints mail as it comes" in told
    assert shared_shell.ok("autocheck", "stop") == "Automatic checks are off\n"


def test_a_folder_that_was_removed_is_no_reason_to_fail(shared_shell: Shell, tag: str) -> None:
    shared_shell.ok("register", f"fred{tag}")
    gone = shared_shell.home / "gone"
    for words, status in ((f"send fred{tag} x", 0), ("check", 0), (f"send --as nobody{tag} fred{tag} x", 4), ("claim a.py", 2)):
        gone.mkdir()
        done = in_shell(shared_shell, words, first=f"rmdir {gone}; ", cwd=gone)
        assert done.returncode == status and b"Traceback" not in done.stderr, done


def test_every_error_says_what_to_type_next(shared_shell: Shell) -> None:
    assert shared_shell.fails(4, "check") == "ipc: Not registered\nnext: ipc register NAME\n"
    assert shared_shell.fails(2, "snd", "x") == "ipc: unknown command 'snd'. Did you mean send?\nnext: ipc --help\n"
    assert "next: ipc send --help" in shared_shell.fails(2, "send")
    assert "Invalid instance ID format" in shared_shell.fails(1, "register", "a b")
    assert "IPC_PORT: port must be a whole number" in shared_shell.fails(2, "status", IPC_PORT="x")


def test_an_unreachable_service_is_its_own_status(shell: Shell) -> None:
    assert "next: ipc up" in shell.fails(3, "status")
    blocked = shell.home / "file"
    blocked.write_text("")
    assert "Not a directory" in shell.fails(2, "register", "fred", IPC_HOME=str(blocked / "x"))


def test_the_replaced_session_is_not_allowed(shared_shell: Shell, tag: str) -> None:
    shared_shell.ok("register", f"fred{tag}")
    path = shared_shell.data / "sessions" / f"cli-fred{tag}.json"
    first = path.read_text()
    shared_shell.ok("register", f"fred{tag}")
    path.write_text(first)
    assert "registered again elsewhere" in shared_shell.fails(4, "check")


def test_up_down_and_status(shell: Shell) -> None:
    assert "Running in" in (text := shell.ok("up")) and "TCP door on 127.0.0.1:" in text
    assert "Already running" in shell.ok("up")
    found = json.loads(shell.ok("status", "--json"))
    assert (found["running"], found["instances"], found["tcp"]["error"]) == (True, [], None)
    assert "mailbox_limit" in shell.ok("status", "--config")
    assert shell.ok("doctor").count("ok  ") == 16
    os.truncate(shell.home / "ipc" / "ipc.db-wal", 200 * 2**20)
    assert "ipc.db-wal has grown to 200 MiB" in shell.ok("doctor")
    assert shell.ok("down") == "Stopped\n"
    assert not alive(found["pid"])
    assert shell.ok("down") == "Not running\n"
    assert shell.run("doctor").returncode == 0


@pytest.mark.deep
def test_doctor_finds_a_broken_database(shell: Shell) -> None:
    (shell.home / "ipc").mkdir(mode=0o700)
    (shell.home / "ipc" / "ipc.db").write_bytes(b"rubbish" * 1000)
    done = shell.run("doctor")
    assert (done.returncode, "FAIL  database" in done.stdout) == (1, True)
    assert shell.ok("register", "fred") == "Registered fred\n"  # the broker has set it aside and begun a new one
    assert list((shell.home / "ipc").glob("ipc.db.broken-*"))
    assert "repaired 0 messages saved" in shell.ok("status")


def test_mail_can_not_steer_the_terminal_and_is_coloured_only_there(shared_shell: Shell, tag: str) -> None:
    shared_shell.ok("register", f"fred{tag}")
    shared_shell.ok("send", f"fred{tag}", "\x1b]0;owned\x07\x9b2J\u202e")
    master, slave = pty.openpty()
    env = {**shared_shell.env, "TERM": "xterm"}
    subprocess.run([*IPC, "check"], env=env, stdout=slave, stderr=slave, timeout=30, check=True)
    os.close(slave)
    shown = os.read(master, 65536).decode()
    os.close(master)
    assert f"\x1b[1mfred{tag}\x1b[0m" in shown
    assert "\x1b]0" not in shown and "\x07" not in shown and "\x9b" not in shown and "\u202e" not in shown
    assert "\\x1b]0;owned\\x07" in shown


@pytest.mark.deep
def test_mail_that_could_not_be_printed_comes_back(shared_shell: Shell, tag: str) -> None:
    shared_shell.ok("register", f"fred{tag}")
    shared_shell.ok("send", f"fred{tag}", "precious")
    read, write = os.pipe()
    os.close(read)
    broken = subprocess.run([*IPC, "check"], env=shared_shell.env, stdout=write, stderr=subprocess.PIPE, timeout=30)
    os.close(write)
    assert (broken.returncode, broken.stderr) == (1, b"")
    shared_shell.ok("register", f"fred{tag}")  # frees the lease of the lost check
    assert "precious" in shared_shell.ok("check")


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


@pytest.mark.deep
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


def older_system(path: Path, columns: str, rows: list[tuple[object, ...]]) -> Path:
    with sqlite3.connect(path) as db:
        db.execute(f"CREATE TABLE messages ({columns})")
        db.executemany("INSERT INTO messages VALUES (?,?,?,?,?,?,?)", rows)
    db.close()
    return path


@pytest.mark.deep
def test_a_hostile_older_database_reaches_no_terminal(shell: Shell) -> None:
    now = "2026-01-01T00:00:00"
    columns = "id, from_id, to_id, content, timestamp, data, read_flag"
    path = older_system(
        shell.home / "hostile.db",
        columns,
        [("\x1b]0;owned\x07", "a b", "x", "c", now, None, 0), (b"\x01", "a", "x", "c", now, b'{"a":1}', 0)],
    )
    done = shell.run("import-legacy", str(path))
    assert (done.returncode, done.stderr) == (1, "")
    assert "row \\x1b]0;owned\\x07: not taken" in done.stdout
    assert done.stdout.startswith("1 message imported")
    assert "\x1b" not in done.stdout


@pytest.mark.deep
def test_of_a_damaged_seed_database_all_that_can_be_read_is_imported(shell: Shell) -> None:
    columns = "id INTEGER PRIMARY KEY, from_id, to_id, content, timestamp, data, read_flag"
    rows = [(i, "a", "b", f"old {i} {'x' * 80}", "2026-01-01T00:00:00", None, 0) for i in range(1, 501)]
    path = older_system(shell.home / "damaged.db", columns, rows)
    with path.open("r+b") as f:
        f.seek(path.stat().st_size // 4096 // 2 * 4096)
        f.write(b"\xa5" * 4096)
    report = json.loads(shell.run("import-legacy", str(path), "--json").stdout)
    assert report["imported"] > 400
    assert report["imported"] + report["unreadable"] == 500
    assert f"at most {report['unreadable']} row" in shell.run("import-legacy", str(path)).stdout


def test_what_is_no_database_of_an_older_system_is_refused(shared_shell: Shell) -> None:
    (shared_shell.home / "x.db").write_bytes(b"rubbish" * 500)
    assert "can't be read as a database" in shared_shell.fails(2, "import-legacy", str(shared_shell.home / "x.db"))
    sqlite3.connect(shared_shell.home / "y.db").execute("CREATE TABLE t (a)").connection.close()
    assert "no table messages" in shared_shell.fails(2, "import-legacy", str(shared_shell.home / "y.db"))
    assert "is not a file" in shared_shell.fails(2, "import-legacy", "nothing.db")


@pytest.mark.deep
def test_the_demo_runs_and_leaves_nothing(shell: Shell) -> None:
    text = shell.ok("demo", TMPDIR=str(shell.home))
    assert text.count("✓") == 4
    assert "three agents talk" in shell.ok("--help")
    assert "three agents exchange" in shell.ok("demo", "--help")
    assert list(shell.home.glob("ipc-demo-*")) == []
    assert not (shell.home / "ipc").exists()


def test_as_may_stand_before_its_command(shared_pair: Shell, tag: str) -> None:
    assert shared_pair.ok("--as", f"claude{tag}", "whoami") == shared_pair.ok("whoami", "--as", f"claude{tag}")
