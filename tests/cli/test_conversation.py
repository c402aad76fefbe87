"""Conversation, company and plain words, as a person or a script has them in the shell."""

import json
import signal
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest

from bridges.cli.commands import COMMANDS
from broker.protocol.actions import ACTIONS
from tests.cli.test_ipc import IPC, Shell, shell
from tests.conftest import wait_for

__all__ = ["shell"]
BY_COMMAND = {
    "ack": "check",
    "release": "check",
    "touch": "check",
    "subscribe": "watch",
    "unsubscribe": "watch",
    "group_create": "group",
    "group_join": "group",
    "group_leave": "group",
    "claim_release": "release",
    "import": "import-legacy",
    "end_session": "keys",
    "ping": "doctor",
}


@pytest.mark.parametrize("action", sorted(ACTIONS))
def test_the_shell_lacks_no_action(action: str) -> None:
    assert BY_COMMAND.get(action, action) in COMMANDS


@pytest.fixture
def pair(shell: Shell) -> Shell:
    shell.ok("register", "claude")
    shell.ok("register", "fred")
    return shell


def as_json(shell: Shell, *arguments: str) -> Any:
    return json.loads(shell.ok(*arguments, "--json"))


def test_a_question_is_asked_answered_and_listed(pair: Shell) -> None:
    asking = subprocess.Popen([*IPC, "ask", "claude", "which", "branch?"], env=pair.env, stdout=subprocess.PIPE, cwd=pair.home)
    (question,) = wait_for("the question", lambda: as_json(pair, "check", "--as", "claude"))
    assert question["question"]["waiting"] is True
    assert "answers their question" in pair.ok("reply", question["id"], "main", "--as", "claude")
    out, _ = asking.communicate(timeout=30)
    assert ("main" in out.decode(), asking.returncode) == (True, 0)
    assert "answered" in pair.ok("asks")
    assert pair.ok("receipts", question["id"]).split()[2] == "answered"


def test_an_ask_without_an_answer_in_time_says_that_it_comes_as_mail(pair: Shell) -> None:
    done = pair.run("ask", "claude", "?", "--wait", "0.1")
    assert (done.returncode, "it will come as mail" in done.stdout) == (1, True)


def test_threads_history_search_forward_and_withdraw(pair: Shell) -> None:
    pair.ok("send", "claude", "the parser eats quotes", "--id", "m1")
    (mail,) = as_json(pair, "check", "--as", "claude")
    pair.ok("reply", mail["id"], "fixed", "--as", "claude")
    assert "parser eats" in pair.ok("search", "quotes")
    assert pair.run("search", "nothing").returncode == 1
    pair.ok("register", "bob")
    pair.ok("forward", mail["id"], "bob", "--note", "look", "--as", "claude")
    assert "forwarded, written by fred" in pair.ok("check", "--as", "bob")
    thread = as_json(pair, "history", "--thread", mail["id"], "--as", "fred")["messages"]
    assert [m["message"]["content"] for m in thread] == ["fixed", "the parser eats quotes"]
    pair.ok("send", "claude", "oops", "--id", "m2", "--as", "fred")
    assert as_json(pair, "count", "--as", "claude")["unread"] == 1
    assert "Withdrawn" in pair.ok("withdraw", "m2", "--as", "fred")
    assert pair.run("withdraw", "m1", "--as", "fred").returncode == 1


def test_groups_presence_blocks_and_automatic_checks(pair: Shell) -> None:
    assert pair.ok("group", "create", "team") == "Created group team\n"
    pair.ok("group", "join", "team", "--as", "claude")
    assert pair.ok("send", "team", "hi") == "Posted to 1 member of team (number 1)\n"
    assert "team" in pair.ok("groups")
    assert pair.ok("presence", "working", "the", "parser") == "working: the parser\n"
    assert "the parser" in pair.ok("list")
    assert "working" in pair.ok("status") and "its own checks" in pair.ok("status")
    pair.ok("block", "claude")
    assert "takes no mail from you" in pair.fails(4, "send", "fred", "x", "--as", "claude")
    assert pair.ok("blocks").split() == ["claude", "block"]
    assert "every 3 minutes" in pair.ok("autocheck", "start", "3")
    assert "every 3 minutes" in pair.ok("autocheck")


def test_a_claim_names_files_by_their_absolute_path(pair: Shell) -> None:
    pair.ok("claim", "src/**", "--note", "routes")
    error = pair.fails(5, "claim", "./src/api/a.py", "--as", "claude")
    assert f"fred has claimed {pair.home}/src/**" in error
    assert pair.ok("claim", "staging database", "--as", "claude").startswith("Claimed staging database until")
    assert "routes" in pair.ok("claims", "src/x.py")
    assert pair.ok("release") == "Released 1\n"
    assert pair.ok("claim", "src/api/a.py", "--as", "claude").startswith("Claimed")


# plain words


def test_plain_words_are_understood_shown_and_done(pair: Shell) -> None:
    assert pair.ok("say", "msg claude: the build is green").endswith("Message sent (number 1)\n")
    assert "the build is green" in pair.ok("say", "chekc", "my", "mesages", "--as", "claude")
    assert pair.ok("say", "reply: great", "--as", "claude").endswith("Message sent (number 2)\n")
    assert "great" in pair.ok("say", "any new messages?")
    assert pair.ok("say", "start auto checking every 3 minutes").endswith("ipc watch prints mail as it comes\n")
    assert "claude" in pair.ok("say", "who's online?")
    assert "fred, 0 unread" in pair.ok("say", "who am I?")
    (pair.home / "notes.md").write_text("as agreed")
    assert "Share the file notes.md with claude?" in pair.fails(2, "say", "share notes.md with claude")
    assert "No new messages" in pair.ok("check", "--as", "claude")
    pair.ok("say", "share notes.md with claude", "--yes")
    assert "as agreed" in pair.ok("check", "--as", "claude")
    assert pair.ok("say", "change my name to freddy").endswith("Renamed fred to freddy\n")
    assert pair.ok("whoami") == "freddy, 0 unread\n"


def test_plain_words_reach_several_and_groups(pair: Shell) -> None:
    pair.ok("group", "create", "team")
    result = as_json(pair, "say", "tell claude and team lunch is at noon", "--as", "claude")
    assert [r["message"] for r in result["results"]] == ["Message sent", "Posted to 1 member of team"]


def test_a_dry_run_shows_what_was_understood_and_does_nothing(pair: Shell) -> None:
    assert pair.ok("say", "msg claude: hi", "--dry-run") == '→ send {"to": ["claude"], "content": "hi"}\n'
    assert pair.ok("check", "--as", "claude") == "No new messages\n"


def test_what_is_unsure_is_asked_back_and_done_with_yes(pair: Shell) -> None:
    assert "nessa isn't registered. Send anyway?" in pair.fails(2, "say", "msg nessa welcome")
    assert "Did you mean claude?" in pair.fails(2, "say", "msg cluade: hi")
    assert "Tell claude what?" in pair.fails(2, "say", "tell claude", "--yes")
    assert "Send this to claude?" in pair.fails(2, "say", "send hi to claude")
    assert "No new messages" in pair.ok("check", "--as", "claude")
    assert "no command" in pair.fails(2, "say", "write a test for send()")
    assert "no message yet to answer" in pair.fails(2, "say", "reply: ok")
    assert "Message queued for nessa" in pair.ok("say", "msg nessa welcome", "--yes")


def test_a_question_in_plain_words_stands_among_the_open_ones(pair: Shell) -> None:
    assert "ipc asks lists open questions" in pair.ok("say", "ask claude: which branch?")
    assert "which branch?" in pair.ok("asks")


def test_plain_words_register_a_shell_that_has_no_name(shell: Shell) -> None:
    assert "Not registered" in shell.fails(4, "say", "msg fred: hi")
    assert "Not registered" in shell.fails(4, "say", "msg nessa welcome", "--yes")
    assert shell.ok("say", "call me jarvis").endswith("Registered jarvis\n")
    assert shell.ok("whoami") == "jarvis, 0 unread\n"


def test_free_words_without_a_command_are_led_to_say(shell: Shell) -> None:
    assert "did you mean: ipc say 'msg fred hi'" in shell.fails(2, "msg", "fred", "hi")


def test_words_of_ones_own_come_from_the_configuration(pair: Shell) -> None:
    (pair.home / "ipc" / "config.toml").write_text('[nlparse]\nsend_verbs = ["holler_at"]\n')
    assert pair.ok("say", "holler at claude hi").endswith("Message sent (number 1)\n")
    (pair.home / "ipc" / "config.toml").write_text('[nlparse]\nverbs = ["x"]\n')
    assert "unknown part of the vocabulary 'verbs'" in pair.fails(2, "say", "msg claude: hi")


# watch


@pytest.fixture
def start(pair: Shell) -> Any:
    started: list[subprocess.Popen[bytes]] = []

    def run(*arguments: str) -> subprocess.Popen[bytes]:
        out = open(pair.home / "out.txt", "wb")  # noqa: SIM115 (closed with the process)
        started.append(subprocess.Popen([*IPC, *arguments], env=pair.env, cwd=pair.home, stdout=out, stderr=out))
        out.close()
        return started[-1]

    yield run
    for process in started:
        process.send_signal(signal.SIGINT)
        process.wait(20)


def test_watch_prints_mail_as_it_comes_and_acknowledges_it(pair: Shell, start: Callable[..., Any]) -> None:
    process = start("watch", "--as", "claude")
    pair.ok("send", "claude", "one")
    wait_for("the first", lambda: "one" in (pair.home / "out.txt").read_text())
    pair.ok("send", "claude", "two")
    wait_for("the second", lambda: "two" in (pair.home / "out.txt").read_text())
    process.send_signal(signal.SIGINT)
    assert process.wait(20) == 130
    assert pair.ok("check", "--as", "claude") == "No new messages\n"


def test_watch_hands_mail_to_a_command_and_never_to_a_shell(pair: Shell, start: Callable[..., Any]) -> None:
    note = "import os,sys;print(os.environ['IPC_MAIL_FROM'], sys.stdin.read(), flush=True)"
    start("watch", "--as", "claude", "--exec", sys.executable, "-c", note)
    hostile = "$(touch pwned); `touch pwned`"
    pair.ok("send", "claude", hostile)
    wait_for("the command's output", lambda: f"fred {hostile}" in (pair.home / "out.txt").read_text())
    assert not (pair.home / "pwned").exists()


def test_mail_for_a_command_that_can_not_be_run_stays(pair: Shell) -> None:
    pair.ok("send", "claude", "kept")
    assert "can't be run" in pair.fails(2, "watch", "--as", "claude", "--exec", "/no/such/command")
    assert "kept" in pair.ok("check", "--as", "claude")
