"""Conversation, company and plain words, as a person or a script has them in the shell."""

import json
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest

from bridges.cli.commands import COMMANDS
from broker import connect
from broker.home.settings import Settings
from broker.protocol.actions import ACTIONS
from broker.protocol.owner_rows import OWNER_ROWS
from broker.protocol.site_rows import SITE_ROWS
from tests.conftest import wait_for
from tests.shell import IPC, Shell

BY_COMMAND = {
    "unregister": "register",
    "ack": "check",
    "release": "check",
    "touch": "check",
    "subscribe": "watch",
    "unsubscribe": "watch",
    "way": "monitor",
    "group_create": "group",
    "group_join": "group",
    "group_leave": "group",
    "claim_release": "release",
    "dead_send": "dead",
    "dead_drop": "dead",
    "report": "hook",
    "permission_ask": "hook",
    "permission_decide": "permit",
    "watch_agent": "tell-me",
    "unwatch_agent": "unwatch",
    "schedules": "schedule",
    "schedule_drop": "schedule",
    "end_session": "keys",
    "ping": "doctor",
    "sites": "status",
}
FOR_DOORS = frozenset(("post", *(row.name for row in (*SITE_ROWS, *OWNER_ROWS) if row.name != "sites")))
"""Asked by the processes that take webhooks and that carry mail between sites, by page and terminal view."""


@pytest.mark.parametrize("action", sorted(ACTIONS.keys() - FOR_DOORS))
def test_the_shell_lacks_no_action(action: str) -> None:
    assert BY_COMMAND.get(action, action) in COMMANDS


def as_json(shell: Shell, *arguments: str) -> Any:
    return json.loads(shell.ok(*arguments, "--json"))


def test_a_question_is_asked_answered_and_listed(shared_pair: Shell, tag: str) -> None:
    asking = subprocess.Popen(
        [*IPC, "ask", f"claude{tag}", "which", "branch?"], env=shared_pair.env, stdout=subprocess.PIPE, cwd=shared_pair.home
    )
    (question,) = wait_for("the question", lambda: as_json(shared_pair, "check", "--as", f"claude{tag}"))
    assert question["question"]["waiting"] is True
    assert "answers their question" in shared_pair.ok("reply", question["id"], "main", "--as", f"claude{tag}")
    out, _ = asking.communicate(timeout=30)
    assert ("main" in out.decode(), asking.returncode) == (True, 0)
    assert "answered" in shared_pair.ok("asks")
    assert shared_pair.ok("receipts", question["id"]).split()[2] == "answered"


def test_an_ask_without_an_answer_in_time_says_that_it_comes_as_mail(shared_pair: Shell, tag: str) -> None:
    done = shared_pair.run("ask", f"claude{tag}", "?", "--wait", "0.1")
    assert (done.returncode, "it will come as mail" in done.stdout) == (1, True)


def test_threads_history_search_forward_and_withdraw(shared_pair: Shell, tag: str) -> None:
    shared_pair.ok("send", f"claude{tag}", "the parser eats quotes", "--id", "m1")
    (mail,) = as_json(shared_pair, "check", "--as", f"claude{tag}")
    shared_pair.ok("reply", mail["id"], "fixed", "--as", f"claude{tag}")
    assert "parser eats" in shared_pair.ok("search", "quotes")
    assert shared_pair.run("search", "nothing").returncode == 1
    shared_pair.ok("register", f"bob{tag}")
    shared_pair.ok("forward", mail["id"], f"bob{tag}", "--note", "look", "--as", f"claude{tag}")
    assert f"forwarded, written by fred{tag}" in shared_pair.ok("check", "--as", f"bob{tag}")
    thread = as_json(shared_pair, "history", "--thread", mail["id"], "--as", f"fred{tag}")["messages"]
    assert [m["message"]["content"] for m in thread] == ["fixed", "the parser eats quotes"]
    shared_pair.ok("send", f"claude{tag}", "oops", "--id", "m2", "--as", f"fred{tag}")
    assert as_json(shared_pair, "count", "--as", f"claude{tag}")["unread"] == 1
    assert "Withdrawn" in shared_pair.ok("withdraw", "m2", "--as", f"fred{tag}")
    assert shared_pair.run("withdraw", "m1", "--as", f"fred{tag}").returncode == 1


def test_mail_that_its_reader_refused_is_listed_shown_sent_again_and_dropped(shared_pair: Shell, tag: str) -> None:
    fred, claude = f"fred{tag}", f"reader{tag}"
    assert shared_pair.run("dead", "--as", fred).stdout == "No dead letters\n"
    for text in ("one", "two\x1b[2J"):
        shared_pair.ok("send", claude, text, "--as", fred)
    with connect(claude, settings=Settings.load(env=shared_pair.env)) as reader:
        two = reader.check()
        reader.release(two, refuse=True, why="not my job")
    listed = shared_pair.ok("dead", "--as", fred)
    assert "refused: not my job" in listed and "two" in listed and "\x1b" not in listed
    shown = shared_pair.ok("dead", "show", two[0].id, "--as", fred)
    assert re.search(r"refused 2\S+: not my job", shown)  # a pipe gets the time itself
    shared_pair.ok("register", f"bob{tag}")
    assert "Message sent" in shared_pair.ok("dead", "send", two[0].id, "--to", f"bob{tag}", "--as", fred)
    assert f"sent again, first as #{two[0].id}" in shared_pair.ok("check", "--as", f"bob{tag}")
    assert shared_pair.ok("dead", "drop", "#" + two[1].id, "--as", fred) == "Dropped 1 dead letter\n"
    assert shared_pair.run("dead", "--as", fred).returncode == 1
    assert "needs the number" in shared_pair.run("dead", "send", "--as", fred).stderr


@pytest.mark.deep
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


def test_a_claim_names_files_by_their_absolute_path(shared_pair: Shell, tag: str) -> None:
    shared_pair.ok("claim", "src/**", "--note", "routes")
    error = shared_pair.fails(5, "claim", "./src/api/a.py", "--as", f"claude{tag}")
    assert f"fred{tag} has claimed {shared_pair.home}/src/**" in error
    assert shared_pair.ok("claim", "staging database", "--as", f"claude{tag}").startswith("Claimed staging database until")
    assert "routes" in shared_pair.ok("claims", "src/x.py")
    shared_pair.ok("claim", "new.txt", "--as", f"claude{tag}")  # a file that is yet to be made
    (shared_pair.home / "new.txt").touch()
    assert f"claude{tag} has claimed {shared_pair.home}/new.txt" in shared_pair.fails(5, "claim", "new.txt")
    assert shared_pair.ok("release") == "Released 1\n"
    assert shared_pair.ok("claim", "src/api/a.py", "--as", f"claude{tag}").startswith("Claimed")


# plain words


@pytest.mark.deep
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


def test_plain_words_reach_several_and_groups(shared_pair: Shell, tag: str) -> None:
    shared_pair.ok("group", "create", f"team{tag}")
    result = as_json(shared_pair, "say", f"tell claude{tag} and team{tag} lunch is at noon", "--as", f"claude{tag}")
    assert [r["message"] for r in result["results"]] == ["Message sent", f"Posted to 1 member of team{tag}"]


def test_a_dry_run_shows_what_was_understood_and_does_nothing(shared_pair: Shell, tag: str) -> None:
    assert shared_pair.ok("say", f"msg claude{tag}: hi", "--dry-run") == f'→ send {{"to": ["claude{tag}"], "content": "hi"}}\n'
    assert shared_pair.ok("check", "--as", f"claude{tag}") == "No new messages\n"


@pytest.mark.deep
def test_what_is_unsure_is_asked_back_and_done_with_yes(shared_pair: Shell, tag: str) -> None:
    assert f"nessa{tag} isn't registered. Send anyway?" in shared_pair.fails(2, "say", f"msg nessa{tag} welcome")
    assert f"Did you mean claude{tag}?" in shared_pair.fails(2, "say", f"msg cluade{tag}: hi")
    assert f"Tell claude{tag} what?" in shared_pair.fails(2, "say", f"tell claude{tag}", "--yes")
    assert f"Send this to claude{tag}?" in shared_pair.fails(2, "say", f"send hi to claude{tag}")
    assert "No new messages" in shared_pair.ok("check", "--as", f"claude{tag}")
    assert "no command" in shared_pair.fails(2, "say", "write a test for send()")
    assert "no message yet to answer" in shared_pair.fails(2, "say", "reply: ok")
    assert f"Message queued for nessa{tag}" in shared_pair.ok("say", f"msg nessa{tag} welcome", "--yes")


def test_a_question_in_plain_words_stands_among_the_open_ones(shared_pair: Shell, tag: str) -> None:
    assert "ipc asks lists open questions" in shared_pair.ok("say", f"ask claude{tag}: which branch?")
    assert "which branch?" in shared_pair.ok("asks")


def test_plain_words_register_a_shell_that_has_no_name(shared_shell: Shell, tag: str) -> None:
    assert "Not registered" in shared_shell.fails(4, "say", f"msg fred{tag}: hi")
    assert "Not registered" in shared_shell.fails(4, "say", f"msg nessa{tag} welcome", "--yes")
    assert shared_shell.ok("say", f"call me jarvis{tag}").endswith(f"Registered jarvis{tag}\n")
    assert shared_shell.ok("whoami") == f"jarvis{tag}, 0 unread\n"


def test_free_words_without_a_command_are_led_to_say(shared_shell: Shell, tag: str) -> None:
    assert f"did you mean: ipc say 'msg fred{tag} hi'" in shared_shell.fails(2, "msg", f"fred{tag}", "hi")


def test_words_of_ones_own_come_from_the_configuration(pair: Shell) -> None:
    (pair.home / "ipc" / "config.toml").write_text('[nlparse]\nsend_verbs = ["holler_at"]\n')
    assert pair.ok("say", "holler at claude hi").endswith("Message sent (number 1)\n")
    (pair.home / "ipc" / "config.toml").write_text('[nlparse]\nverbs = ["x"]\n')
    assert "unknown part of the vocabulary 'verbs'" in pair.fails(2, "say", "msg claude: hi")


# watch


@pytest.fixture
def start(shared_pair: Shell) -> Any:
    started: list[subprocess.Popen[bytes]] = []

    def run(*arguments: str) -> subprocess.Popen[bytes]:
        out = open(shared_pair.home / "out.txt", "wb")  # noqa: SIM115 (closed with the process)
        started.append(subprocess.Popen([*IPC, *arguments], env=shared_pair.env, cwd=shared_pair.home, stdout=out, stderr=out))
        out.close()
        return started[-1]

    yield run
    for process in started:
        process.send_signal(signal.SIGINT)
        process.wait(20)


def test_watch_prints_mail_as_it_comes_and_acknowledges_it(shared_pair: Shell, tag: str, start: Callable[..., Any]) -> None:
    process = start("watch", "--as", f"claude{tag}")
    shared_pair.ok("send", f"claude{tag}", "one")
    wait_for("the first", lambda: "one" in (shared_pair.home / "out.txt").read_text())
    shared_pair.ok("send", f"claude{tag}", "two")
    wait_for("the second", lambda: "two" in (shared_pair.home / "out.txt").read_text())
    process.send_signal(signal.SIGINT)
    assert process.wait(20) == 130
    assert shared_pair.ok("check", "--as", f"claude{tag}") == "No new messages\n"


def test_watch_hands_mail_to_a_command_and_never_to_a_shell(shared_pair: Shell, tag: str, start: Callable[..., Any]) -> None:
    note = "import os,sys;print(os.environ['IPC_MAIL_FROM'], sys.stdin.read(), flush=True)"
    start("watch", "--as", f"claude{tag}", "--exec", sys.executable, "-c", note)
    hostile = "$(touch pwned); `touch pwned`"
    shared_pair.ok("send", f"claude{tag}", hostile)
    wait_for("the command's output", lambda: f"fred{tag} {hostile}" in (shared_pair.home / "out.txt").read_text())
    assert not (shared_pair.home / "pwned").exists()


def test_mail_for_a_command_that_can_not_be_run_stays(shared_pair: Shell, tag: str) -> None:
    shared_pair.ok("send", f"claude{tag}", "kept")
    assert "can't be run" in shared_pair.fails(2, "watch", "--as", f"claude{tag}", "--exec", "/no/such/command")
    assert "kept" in shared_pair.ok("check", "--as", f"claude{tag}")


def test_a_message_is_shown_with_its_way_to_its_readers(shared_pair: Shell, tag: str) -> None:
    printed = shared_pair.ok("send", f"claude{tag}", "the parser eats quotes", "--id", f"m{tag}")
    number = printed.partition("(number ")[2].partition(")")[0]
    shown = shared_pair.ok("show", f"m{tag}")
    assert "the parser eats quotes" in shown and f"to claude{tag}: stored: claude{tag}: nothing wakes it" in shown
    shared_pair.ok("check", "--as", f"claude{tag}")
    shared_pair.ok("reply", number, "fixed", "--as", f"claude{tag}")
    shown = shared_pair.ok("show", f"#{number}")
    assert [line.split()[1:] for line in shown.splitlines()[-3:]] == [["stored"], ["in", "context"], ["answered"]]
    assert shared_pair.ok("show", number, "--as", f"claude{tag}").endswith("the parser eats quotes\n"), (
        "its reader sees the text"
    )
    told = as_json(shared_pair, "show", number)
    assert (told["message"]["id"], [row["step"] for row in told["receipts"]]) == (number, ["answered"])
    assert "ipc history" in shared_pair.fails(1, "show", "999999")


def test_a_send_warns_of_a_reader_that_nothing_wakes(shared_pair: Shell, tag: str) -> None:
    assert shared_pair.run("send", f"claude{tag}", "hello").stderr == "", "it looked a moment ago"
    shared_pair.ok("presence", "gone", "--as", f"claude{tag}")
    done = shared_pair.run("send", f"claude{tag}", "hello")
    assert (done.returncode, done.stderr.partition("; last")[0]) == (0, f"ipc: claude{tag}: nothing wakes it")
    assert as_json(shared_pair, "send", f"claude{tag}", "hello")["unreached"] is True
    asked = shared_pair.run("ask", f"claude{tag}", "?", "--wait", "0")
    assert f"No answer yet (claude{tag} is away)" in asked.stdout
