"""A person takes all mail along: ``ipc export`` and ``ipc import`` through the shell, with real services."""

import json
import mailbox
import os
import shutil
import signal
import sqlite3
import stat
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from bridges.export import json_lines
from bridges.export.whole_file import whole_file
from broker import connect
from broker.home.settings import Settings
from broker.protocol.errors import IpcError
from tests.conftest import wait_for
from tests.export.rows import row
from tests.shell import IPC, Shell

HUGE = "ü\r\n\0" * 100_000


@pytest.fixture(scope="module")
def left(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shell]:
    """The shell of somebody whose agents have talked. Its service runs for all tests of this file, which leave it as it is."""
    data = tempfile.mkdtemp(prefix="ipc-")
    shell = Shell(tmp_path_factory.mktemp("left"), Path(data))
    for name in ("claude", "bob", "fred"):
        shell.ok("register", name)
    shell.ok("group", "create", "devs")
    shell.ok("group", "join", "devs", "--as", "bob")
    settings = Settings.load(env=shell.env)
    with connect("fred-2", settings=settings) as me, connect("claude-2", settings=settings) as other:
        me.send("claude-2", HUGE)
        other.ack(other.check())
        other.reply("1", "From here\n>From there", message_id="a")
    shell.ok("send", "devs", "hello <devs>", "--as", "fred")
    shell.ok("send", "claude", "unread\x1b[2J", "--as", "fred")
    yield shell
    shell.run("down")
    shutil.rmtree(data)


@pytest.fixture
def empty(home: Path) -> Iterator[Shell]:
    shell = Shell(home)
    yield shell
    shell.run("down")


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_bytes().splitlines()]


def test_mail_goes_out_and_comes_into_an_empty_folder_byte_for_byte(left: Shell, empty: Shell) -> None:
    out, again = left.home / "mail.jsonl", empty.home / "again.jsonl"
    assert left.ok("export", "-o", str(out)) == f"4 messages written to {out}\n"
    assert stat.S_IMODE(out.stat().st_mode) == 0o600
    assert empty.ok("import", "--unread", str(out)) == "4 messages imported, 0 were there already\n"
    assert empty.ok("import", "--unread", str(out)) == "0 messages imported, 4 were there already\n"
    empty.ok("export", "-o", str(again))
    before, after = lines(out)[1:], lines(again)[1:]
    assert before[0]["message"]["content"] == HUGE
    assert [row.pop("was", None) for row in after] == ["1", "2", "3", "4", None]
    assert after == before
    empty.ok("register", "claude")
    assert "unread\\x1b[2J" in empty.ok("check")
    assert empty.ok("check") == "No new messages\n"
    history = json.loads(empty.ok("history", "--json"))["messages"]
    assert [(m["was"], m["read"]) for m in history] == [("4", True)]


def test_what_was_unread_is_history_unless_it_is_asked_for(left: Shell, empty: Shell) -> None:
    out = left.home / "again.jsonl"
    left.ok("export", "--force", "-o", str(out))
    empty.ok("import", str(out))
    empty.ok("register", "bob")
    assert empty.ok("check") == "No new messages\n"
    assert [(m["message"]["content"], m["read"]) for m in json.loads(empty.ok("history", "--json"))["messages"]] == [
        ("hello <devs>", False)
    ]


def test_other_forms_and_other_filters(left: Shell) -> None:
    box, page = left.home / "mail.mbox", left.home / "talk.md"
    left.ok("export", "-o", str(box))
    found = list(mailbox.mbox(box, create=False))
    assert [m["Message-ID"].partition(".")[0] for m in found] == ["<1", "<2", "<3", "<4"]
    assert found[0].get_payload(decode=True)[:-1].decode() == HUGE
    assert json.loads(left.ok("export", "--group", "devs", "-o", str(page), "--json"))["messages"] == 1
    assert "~~~text\nhello <devs>\n~~~" in page.read_text()
    assert len(left.ok("export", "--name", "claude").splitlines()) == 3
    assert len(left.ok("export", "--name", "claude", "--since", "2100-01-01").splitlines()) == 2
    assert "From here" in left.ok("export", "--thread", "#1", "--format", "mbox")


def test_a_file_that_is_there_stays_and_a_name_that_is_not_is_said(left: Shell) -> None:
    out = left.home / "mine"
    out.write_text("mine")
    assert "--force replaces it" in left.fails(2, "export", "-o", str(out))
    assert "nobody" in left.fails(1, "export", "--name", "nobody", "-o", str(left.home / "x"))
    assert (out.read_text(), (left.home / "x").exists()) == ("mine", False)


def test_an_export_of_the_folder_itself_brings_back_only_what_has_gone(empty: Shell) -> None:
    empty.ok("register", "fred")
    empty.ok("send", "fred", "stays")
    out = empty.home / "mail.jsonl"
    empty.ok("export", "-o", str(out))
    head, first, end = out.read_bytes().splitlines(keepends=True)
    gone = first.replace(b'"id":"1"', b'"id":"9"').replace(b'"thread":"1"', b'"thread":"9"').replace(b"stays", b"gone")
    out.write_bytes(b"".join((head, first, gone, end.replace(b"1", b"2"))))
    assert json.loads(empty.ok("import", str(out), "--json")) == {"imported": 1, "already_there": 1, "bad": 0, "lines": []}
    assert json.loads(empty.ok("import", str(out), "--json"))["already_there"] == 2


def test_a_large_body_whose_file_is_gone_is_said_and_not_cut_in_silence(empty: Shell) -> None:
    empty.ok("register", "fred")
    empty.ok("send", "nova", "-", stdin=b"first. second. " + b"x" * 50_000)
    (file,) = (empty.data / "large-messages").iterdir()
    file.write_text("something else")
    out = empty.home / "mail.jsonl"
    assert "1 large message are gone" in empty.run("export", "-o", str(out)).stderr
    row = lines(out)[1]
    assert row["missing"] is True and row["message"]["content"].startswith("first. second. Full content saved to:")


def test_an_interrupted_export_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), whole_file(tmp_path / "mail", force=True) as out:
        out.write(b"x" * 10_000_000)
        raise KeyboardInterrupt
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_came_meanwhile_is_not_replaced(tmp_path: Path) -> None:
    target = tmp_path / "mail"
    with pytest.raises(IpcError, match="came meanwhile"), whole_file(target, force=False) as out:
        out.write(b"x")
        target.write_text("theirs")
    assert [path.read_text() for path in tmp_path.iterdir()] == ["theirs"]


@pytest.mark.deep
def test_a_broker_that_is_killed_while_mail_comes_in_stores_each_message_once(empty: Shell) -> None:
    out, count = empty.home / "many.jsonl", 4000
    told = [row(n, str(n), thread=str(n - n % 5 or n)) for n in range(1, count + 1)]
    out.write_bytes(b"".join([json_lines.head("abc", "now"), *map(json_lines.line, told), json_lines.end(count)]))
    empty.ok("up")
    running = subprocess.Popen([*IPC, "import", str(out)], env=empty.env, cwd=empty.home, stdout=subprocess.PIPE)
    broker = json.loads((empty.data / "run" / "supervisor.json").read_text())["children"]["broker"]["pid"]
    with closing(sqlite3.connect(f"file:{empty.data / 'ipc.db'}?mode=ro", uri=True)) as db:
        wait_for("some of the mail", lambda: db.execute("SELECT count(*) FROM message").fetchone()[0] > 200)
    os.kill(broker, signal.SIGKILL)
    running.communicate(timeout=120)
    assert empty.ok("import", str(out), "--json")
    again = empty.home / "again.jsonl"
    empty.ok("export", "-o", str(again))
    assert [r["message"]["content"] for r in lines(again)[1:-1]] == [str(n) for n in range(1, count + 1)]


@pytest.mark.deep
def test_the_largest_message_goes_out_and_comes_in(left: Shell, empty: Shell) -> None:
    text = "\0\r" * (8 * 1024 * 1024)
    with connect("big", settings=Settings.load(env=empty.env)) as me:
        me.send("nova", text)
    out = empty.home / "big.jsonl"
    empty.ok("export", "--name", "big", "-o", str(out))
    assert left.ok("import", str(out)).startswith("1 message imported")
    left.ok("export", "--name", "nova", "--force", "-o", str(out))
    assert lines(out)[1]["message"]["content"] == text


def test_bad_lines_stop_an_import_unless_they_are_left_out(left: Shell, empty: Shell) -> None:
    out, bad = left.home / "for-bad.jsonl", empty.home / "bad.jsonl"
    left.ok("export", "--name", "claude", "-o", str(out))
    head, row, end = out.read_bytes().splitlines(keepends=True)
    wrong = json.dumps({**json.loads(row), "id": "3", "from": "a b\x1b"}).encode() + b"\n"
    bad.write_bytes(b"".join((head, wrong, row, end.replace(b'"messages":1', b'"messages":2'))))
    said = empty.fails(1, "import", str(bad))
    assert "line 2: its from is no name" in said and "1 line of" in said
    assert not (empty.data / "ipc.db").exists()
    done = empty.run("import", "--skip-bad", str(bad))
    assert (done.returncode, done.stdout) == (1, "1 message imported, 0 were there already, 1 line left out\n")
    assert "is no export of agent-ipc" in empty.fails(2, "import", __file__)
