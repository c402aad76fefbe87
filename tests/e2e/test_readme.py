"""What the README tells a newcomer to type works as it stands there."""

import os
import re
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Service, wait_for

README = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")


def section(title: str) -> str:
    return README.partition(f"\n## {title}\n")[2].partition("\n## ")[0]


def steps() -> list[tuple[str, str]]:
    """The commands of the two terminals, row by row; a cell without code is empty."""
    rows = re.findall(r"^\| (.*) \| (.*) \|$", section("Sixty seconds with two terminals"), re.M)[1:]
    return [tuple(cell.split("`")[1] if cell.startswith("`") else "" for cell in row) for row in rows]  # type: ignore[misc]


_LEADER = "import fcntl, os, sys, termios; fcntl.ioctl(int(sys.argv[1]), termios.TIOCSCTTY, 0); os.execvp('bash', ['bash'])"


class Terminal:
    """A shell that is typed into and has a terminal; what it shows goes to a file."""

    def __init__(self, shown: Path, env: dict[str, str]) -> None:
        self._shown = shown
        with shown.open("wb") as output:
            self._master, slave = os.openpty()
            streams = {"stdin": subprocess.PIPE, "stdout": output, "stderr": output, "pass_fds": [slave]}
            leader = [sys.executable, "-c", _LEADER, str(slave)]
            self._shell = subprocess.Popen(leader, **streams, env=env, start_new_session=True)  # type: ignore[call-overload]
            os.close(slave)

    def type(self, line: str) -> None:
        assert self._shell.stdin is not None
        self._shell.stdin.write(line.encode() + b"\n")
        self._shell.stdin.flush()

    def shows(self, text: str) -> None:
        wait_for(f"{text!r} on the screen", lambda: text in self._shown.read_text(), explain=self._shown.read_text)

    def close(self) -> None:
        os.killpg(self._shell.pid, signal.SIGKILL)  # the shell, and what runs in it
        self._shell.communicate()
        os.close(self._master)


def test_two_terminals_talk_in_the_readmes_words(service: Service, tmp_path: Path) -> None:
    path = os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"]))
    env = {"HOME": str(tmp_path), **service.env, "PATH": path}
    ann, bob = (Terminal(tmp_path / name, env) for name in ("ann", "bob"))
    try:
        rows = steps()
        assert len(rows) == 4, "the table of the README"
        after = {
            "ipc register ann": (ann, "Registered ann"),
            "ipc register bob": (bob, "Registered bob"),
            'ipc send ann "is the build green?"': (ann, "is the build green?"),
            'ipc reply 1 "yes, all 12 jobs"': (ann, "Message sent"),
            "ipc check": (bob, "yes, all 12 jobs"),
            'ipc say "tell ann lunch is ready"': (ann, "lunch is ready"),
        }
        for left, right in rows:
            for terminal, typed in ((ann, left), (bob, right)):
                if typed:
                    terminal.type(typed)
                if typed in after:
                    where, text = after.pop(typed)
                    where.shows(text)
        assert not after
    finally:
        ann.close()
        bob.close()


@pytest.fixture
def claude(service: Service) -> Any:
    """Answers one question and writes one letter."""
    me = service.connect("claude")
    fred = service.connect("fred")
    fred.close()

    def work() -> None:
        mail = next(m for _ in range(100) for m in me.check(wait=5) if m.question)
        me.reply(mail, "main")
        me.send("fred", "see you")

    worker = threading.Thread(target=work, daemon=True)
    worker.start()
    yield me
    worker.join(20)


def test_the_python_of_the_readme_runs(service: Service, claude: Any) -> None:
    code = section("Python").partition("```python\n")[2].partition("```")[0]
    with service.environment():
        found: dict[str, Any] = {}
        exec(compile(code, "README.md", "exec"), found)  # noqa: S102 (our own page)
    assert found["answer"].content == "main"
    assert [m.content for m in claude.check(wait=10)] == ["read: see you"]
