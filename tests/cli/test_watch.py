"""``ipc watch --exec``: the user's command gets each message; one that fails does not lose it."""

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import IO

import pytest

from tests.conftest import wait_for
from tests.shell import IPC, Shell

COMMAND = """
import os, sys
text = sys.stdin.read()
with open("seen", "a") as seen:
    seen.write(text + "\\n")
sys.exit(os.path.exists("bad") and text == "bad")
"""


@pytest.fixture
def fred(shared_shell: Shell, tag: str) -> Shell:
    shared_shell.ok("register", f"fred{tag}")
    return shared_shell


class Watch:
    """A running ``ipc watch --exec`` that notes what it was given in the file ``seen``."""

    def __init__(self, shell: Shell) -> None:
        (shell.home / "command.py").write_text(COMMAND)
        self.seen = shell.home / "seen"
        self.errors: IO[bytes] = open(shell.home / "errors", "wb")  # noqa: SIM115
        command = [*IPC, "watch", "--pause", "0.05", "--exec", sys.executable, "command.py"]
        self.process = subprocess.Popen(command, env=shell.env, cwd=shell.home, stderr=self.errors)

    def texts(self) -> list[str]:
        return self.seen.read_text().splitlines() if self.seen.exists() else []

    def stop(self) -> str:
        os.kill(self.process.pid, signal.SIGINT)
        assert self.process.wait(20) == 130
        self.errors.close()
        return Path(self.errors.name).read_text()


def test_a_message_whose_command_failed_is_tried_again_first(fred: Shell, tag: str) -> None:
    (fred.home / "bad").touch()
    watch = Watch(fred)
    number = fred.ok("send", f"fred{tag}", "bad").rpartition(" ")[2].rstrip(")\n")
    wait_for("the first try", watch.texts)
    (fred.home / "bad").unlink()
    fred.ok("send", f"fred{tag}", "next")
    wait_for("the next message", lambda: watch.texts()[-1:] == ["next"])
    assert watch.texts()[:-1] in (["bad"] * 2, ["bad"] * 3)
    wait_for("the last acknowledgement", lambda: fred.ok("count") == "0 unread\n")
    assert f"ended with status 1 for message #{number}: unread again, next try in 0.05 s" in watch.stop()


def test_after_three_failures_a_message_is_a_dead_letter_and_the_mail_goes_on(fred: Shell, tag: str) -> None:
    (fred.home / "bad").touch()
    number = fred.ok("send", f"fred{tag}", "bad").rpartition(" ")[2].rstrip(")\n")
    fred.ok("send", f"fred{tag}", "next")
    watch = Watch(fred)
    wait_for("the next message", lambda: "next" in watch.texts())
    assert watch.texts() == [*["bad"] * 3, "next"]
    told = watch.stop()
    assert f"ended with status 1, 3 times, for message #{number}: it is a dead letter now\nnext: ipc dead show {number}" in told
    assert "its handler failed: " in fred.ok("dead", "show", number)
    assert "bad" in fred.ok("dead")


def test_a_watch_that_is_stopped_between_two_tries_leaves_the_message_unread(fred: Shell, tag: str) -> None:
    (fred.home / "bad").touch()
    fred.ok("send", f"fred{tag}", "bad")
    command = [*IPC, "watch", "--pause", "3600", "--exec", sys.executable, "command.py"]
    (fred.home / "command.py").write_text(COMMAND)
    watch = subprocess.Popen(command, env=fred.env, cwd=fred.home, stderr=subprocess.PIPE)
    assert watch.stderr is not None
    assert b"unread again" in watch.stderr.readline()
    watch.send_signal(signal.SIGINT)
    watch.communicate(timeout=20)
    assert "bad" in fred.ok("check")
