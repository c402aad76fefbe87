"""Each terminal is somebody of its own."""

import json
import os
import re
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from bridges import shell_names
from tests.conftest import wait_for
from tests.shell import Shell
from tests.terminals import Terminal


@dataclass(frozen=True)
class OwnName:
    """What ``whoami`` prints, however much waits: the service tells a person at a terminal of agents that are stuck."""

    name: str

    def __eq__(self, said: object) -> bool:
        return isinstance(said, str) and re.fullmatch(rf"{self.name}, \d+ unread\n", said) is not None


me = OwnName


def test_a_name_taken_in_one_terminal_leaves_the_other_who_it_is(shared_shell: Shell, tag: str) -> None:
    with Terminal(shared_shell) as a, Terminal(shared_shell) as b:
        assert a.ok("register", f"alice{tag}") == f"Registered alice{tag}\n"
        b.ok("register", f"bob{tag}")
        assert (a.ok("whoami"), b.ok("whoami")) == (me(f"alice{tag}"), me(f"bob{tag}"))
        b.ok("send", f"alice{tag}", "hello")
        assert "hello" in a.ok("check")


def test_a_new_terminal_says_that_it_has_no_name_and_offers_its_folders(shared_shell: Shell, tag: str, tmp_path: Path) -> None:
    folder = tmp_path / f"web {tag}"
    folder.mkdir()
    with Terminal(shared_shell) as a, Terminal(shared_shell, folder) as b:
        a.ok("register", f"alice{tag}")
        said = b.fails(4, "check")
        assert said == f"ipc: This terminal has no name yet\nnext: ipc register web-{tag}\n"
        a.ok("register", f"web-{tag}")
        assert f"next: ipc register web-{tag}-shell\n" in b.fails(4, "check")


def test_a_terminal_inside_a_terminal_is_another_one(shared_shell: Shell, tag: str) -> None:
    with Terminal(shared_shell) as outer:
        outer.ok("register", f"alice{tag}")
        outer.enter_inner()
        assert "no name yet" in outer.fails(4, "whoami")
        outer.ok("register", f"bob{tag}")
        assert outer.ok("whoami") == me(f"bob{tag}")
        outer.leave_inner()
        assert outer.ok("whoami") == me(f"alice{tag}")


def test_a_subshell_and_a_pipe_are_their_terminal_and_setsid_is_none(shared_shell: Shell, tag: str) -> None:
    with Terminal(shared_shell) as a, Terminal(shared_shell) as b:
        a.ok("register", f"alice{tag}")
        b.ok("register", f"bob{tag}")
        ipc = " ".join(shared_shell_words())
        assert b.type(f"(true | sh -c '{ipc} whoami' | cat)") == (0, me(f"bob{tag}"))
        assert b.type(f"setsid -w {ipc} whoami") == (0, me(f"alice{tag}"))  # the first name is the default one


def shared_shell_words() -> list[str]:
    from tests.shell import IPC

    return IPC


def test_without_a_terminal_the_default_name_goes_on_as_ever(shared_shell: Shell, tag: str) -> None:
    assert "Not registered" in shared_shell.fails(4, "whoami")
    with Terminal(shared_shell) as a:
        a.ok("register", f"alice{tag}")
        assert shared_shell.ok("whoami") == me(f"alice{tag}")
        a.ok("rename", f"ann{tag}")
        assert shared_shell.ok("whoami") == me(f"ann{tag}")
        shared_shell.ok("register", f"cron{tag}")
        shared_shell.ok("register", f"cron{tag}")
        assert (shared_shell.ok("whoami"), a.ok("whoami")) == (me(f"cron{tag}"), me(f"ann{tag}"))


def test_the_first_terminal_after_an_upgrade_inherits_the_name_of_all_shells_once(shared_shell: Shell, tag: str) -> None:
    shared_shell.ok("register", f"alice{tag}")
    (shared_shell.data / "sessions" / "cli-inherited").unlink()  # which 0.3.0 does not have
    with Terminal(shared_shell) as a, Terminal(shared_shell) as b:
        assert a.ok("whoami") == me(f"alice{tag}")
        assert "no name yet" in b.fails(4, "whoami")
        b.ok("register", f"bob{tag}")
        assert (a.ok("whoami"), b.ok("whoami"), shared_shell.ok("whoami")) == (
            me(f"alice{tag}"),
            me(f"bob{tag}"),
            me(f"alice{tag}"),
        )


def test_a_terminal_that_takes_a_name_after_an_upgrade_leaves_the_old_one_to_the_next(shared_shell: Shell, tag: str) -> None:
    shared_shell.ok("register", f"alice{tag}")
    (shared_shell.data / "sessions" / "cli-inherited").unlink()
    with Terminal(shared_shell) as a, Terminal(shared_shell) as b, Terminal(shared_shell) as c:
        b.ok("register", f"bob{tag}")
        assert (a.ok("whoami"), b.ok("whoami")) == (me(f"alice{tag}"), me(f"bob{tag}"))
        assert "no name yet" in c.fails(4, "whoami")


def test_no_terminal_inherits_the_name_that_a_script_took(shared_shell: Shell, tag: str) -> None:
    shared_shell.ok("register", f"cron{tag}")
    with Terminal(shared_shell) as a:
        assert "no name yet" in a.fails(4, "whoami")


def test_another_process_of_the_leaders_id_is_another_terminal(shared_shell: Shell, tag: str) -> None:
    sessions = shared_shell.data / "sessions"
    with Terminal(shared_shell) as a:
        a.ok("register", f"alice{tag}")
        (kept,) = sessions.glob("terminal-*.json")
        pid, _, started = kept.name.removeprefix("terminal-").partition("@")
        assert int(pid) == a.pid
        kept.rename(sessions / f"terminal-{pid}@1{started}")
        assert "no name yet" in a.fails(4, "whoami")
        a.ok("register", f"ann{tag}")
        assert list(sessions.glob("terminal-*.json")) == [kept]  # the file of the process that is gone was swept


def test_the_files_of_terminals_that_are_gone_are_swept_and_unseen_ones_are_kept_for_a_month(
    shared_shell: Shell, tag: str
) -> None:
    sessions = shared_shell.data / "sessions"
    with Terminal(shared_shell) as a:
        a.ok("register", f"alice{tag}")
    (gone,) = sessions.glob("terminal-*.json")
    start, _, place = gone.name.partition("@")[2].partition("@")
    unseen = sessions / f"terminal-7@{start}@1.{place.partition('.')[2]}"
    unseen.write_text(gone.read_text())
    with Terminal(shared_shell) as b:
        b.ok("register", f"bob{tag}")
        assert not gone.exists() and unseen.exists()
        os.utime(unseen, (0, 0))
        b.ok("register", f"bob{tag}")
        assert not unseen.exists()


@pytest.mark.parametrize("how", ["variable", "option"])
@pytest.mark.parametrize("door", ["shell", "other"])
def test_the_name_that_was_asked_for_survives_a_rename(shared_shell: Shell, tag: str, how: str, door: str) -> None:
    env = {"IPC_NAME": f"ann{tag}"} if how == "variable" else {}
    words = () if how == "variable" else ("--as", f"ann{tag}")
    with Terminal(shared_shell, **env) as a, Terminal(shared_shell, **env) as b:
        a.ok("register", f"ann{tag}")
        if door == "shell":
            a.ok("rename", f"eve{tag}", *words)
        else:
            token = json.loads((shared_shell.data / "sessions" / f"cli-ann{tag}.json").read_text())["token"]
            rename(shared_shell, token, f"eve{tag}")
        assert (a.ok("whoami", *words), b.ok("whoami", *words)) == (me(f"eve{tag}"), me(f"eve{tag}"))
        assert b.ok("whoami", "--as", f"eve{tag}") == me(f"eve{tag}")


def rename(shell: Shell, token: str, name: str) -> None:
    """As a program does that has the session's token."""
    from broker.client.json_lines import request
    from broker.home.paths import Place

    request(Place(str(shell.data)), {"action": "rename", "new_id": name, "session_token": token})


def test_errors_name_who_asked_for_the_name(shared_shell: Shell, tag: str) -> None:
    with Terminal(shared_shell, IPC_NAME=f"ann{tag}") as a:
        said = a.fails(4, "whoami")
        assert f"IPC_NAME asks for ann{tag}, which no shell has registered" in said
        assert f"next: ipc register ann{tag}, or unset IPC_NAME" in said
        said = a.fails(4, "whoami", "--as", f"bob{tag}")
        assert f"--as asks for bob{tag}" in said and f"next: ipc register bob{tag}, or leave --as out" in said
        assert "IPC_NAME asks for 'a b'" in a.type(f"IPC_NAME='a b' {' '.join(shared_shell_words())} whoami")[1]
        a.ok("register", f"ann{tag}")
        said = a.ok("register", f"eve{tag}")
        assert f"IPC_NAME asks for ann{tag}, so commands here go on as ann{tag}" in said
        assert a.ok("whoami") == me(f"ann{tag}")


def test_what_a_host_starts_has_no_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GEMINI_CLI", "1")
    assert shell_names.terminal() is None


def test_the_guard_knows_the_terminal(shared_shell: Shell, tag: str, tmp_path: Path) -> None:
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    (tmp_path / "a").touch()
    with Terminal(shared_shell, tmp_path, HOME=str(tmp_path)) as a, Terminal(shared_shell, tmp_path) as b:
        a.ok("register", f"alice{tag}")
        b.ok("register", f"bob{tag}")
        b.ok("claim", "a")
        a.type("git add a"), b.type("git add a")
        assert b.run("guard") == (0, "")
        assert f"bob{tag} has claimed" in a.fails(1, "guard")


def test_the_name_of_a_terminal_that_lives_is_taken_by_force_alone_and_the_terminal_is_told(
    shared_shell: Shell, tag: str
) -> None:
    with Terminal(shared_shell) as a, Terminal(shared_shell) as b:
        a.ok("register", f"alice{tag}")
        a.ok("register", f"alice{tag}")  # as itself
        said = b.fails(1, "register", f"alice{tag}")
        assert f"alice{tag} is held by a terminal at pts/" in said and " since 20" in said
        assert "next: ipc register OTHER, or the same with --force: its holder is told" in said
        assert "is held by a terminal" in shared_shell.fails(1, "register", f"alice{tag}")
        b.ok("register", f"alice{tag}", "--force")
        assert b.ok("whoami") == me(f"alice{tag}")
        for words in (("whoami",), ("send", f"bob{tag}", "hello"), ("whoami", "--as", f"alice{tag}")):
            told = a.fails(4, *words)
            assert f"alice{tag} was registered again elsewhere: by a terminal at pts/" in told and ", at 20" in told
            assert f"next: ipc register OTHER, or ipc register alice{tag} --force to take it back" in told
        a.ok("register", f"alice{tag}", "--force")
        assert "was registered again elsewhere" in b.fails(4, "check")
        assert a.ok("whoami") == me(f"alice{tag}")


def test_the_name_of_a_terminal_that_was_closed_is_free_and_shown_apart(shared_shell: Shell, tag: str) -> None:
    with Terminal(shared_shell) as b:
        with Terminal(shared_shell) as a:
            a.ok("register", f"alice{tag}")
        b.ok("register", f"bob{tag}")
        b.ok("send", f"unborn{tag}", "hello")
        there, _, ended = b.ok("list").partition("Their terminal, session or program has ended; mail to them waits:")
        assert f"bob{tag} " in there and f"alice{tag} " in ended and f"unborn{tag}" not in there + ended
        whole = b.ok("list", "--all")
        rows = {line.split()[0]: line for line in whole.splitlines() if tag in line}
        assert "SILENT FOR" in whole and "terminal at pts/" in rows[f"bob{tag}"] and " ended " in rows[f"alice{tag}"]
        assert " not registered " in rows[f"unborn{tag}"]
        b.ok("register", f"alice{tag}")


def test_a_name_that_is_given_back_keeps_its_mail_and_the_shell_has_none(shared_shell: Shell, tag: str) -> None:
    with Terminal(shared_shell) as a, Terminal(shared_shell) as b:
        a.ok("register", f"alice{tag}")
        b.ok("register", f"bob{tag}")
        b.ok("send", f"alice{tag}", "hello")
        assert a.ok("unregister") == f"Unregistered alice{tag} with 1 queued messages, which stay\n"
        assert "no name yet" in a.fails(4, "whoami")
        assert "which no shell has registered" in a.fails(4, "whoami", "--as", f"alice{tag}")
        b.ok("register", f"alice{tag}")
        assert "hello" in b.ok("check")


def test_all_shells_without_a_terminal_are_one(shared_shell: Shell, tag: str) -> None:
    """Scripts of cron register again and again, each in a session of its own."""
    for _ in range(3):
        shared_shell.ok("register", f"cron{tag}")
    assert shared_shell.ok("unregister").startswith(f"Unregistered cron{tag}")
    assert "Not registered" in shared_shell.fails(4, "whoami")


@pytest.mark.deep
def test_a_terminal_whose_session_ended_by_its_timeout_holds_its_name_again(make_service: Any, home: Path) -> None:
    service = make_service(IPC_SESSION_TIMEOUT="1").start()
    with Terminal(Shell(home, service.home), IPC_SESSION_TIMEOUT="1") as a:
        a.ok("register", "alice")
        end_s = time.monotonic() + 1.1
        wait_for("the session's end", lambda: time.monotonic() > end_s)
        assert a.ok("whoami") == me("alice")
        (row,) = json.loads(a.ok("list", "--json"))
        assert (row["body"]["kind"], row["body"]["alive"]) == ("terminal", True)
