"""Real terminals: a pseudo-terminal each, with a shell as its session leader, in which commands are typed."""

import contextlib
import os
import shlex
import subprocess
import sys
import termios
from collections.abc import Callable
from pathlib import Path

from tests.conftest import wait_for
from tests.shell import IPC, Shell

_LEADER = "import os; os.login_tty(0); os.execvp('sh', ['sh'])"
_INSIDE = "stty -echo; echo inside.; exec sh"
_INNER = f"""{shlex.quote(sys.executable)} -c 'import pty; pty.spawn(["sh", "-c", "{_INSIDE}"]); print("outside.")'\n"""
"""What tmux, screen and ssh do: a session of its own with a terminal of its own."""


class Terminal:
    """A person's terminal, as ``with``. Its end hangs up, as closing the window does."""

    def __init__(self, shell: Shell, folder: Path | None = None, **env: str) -> None:
        self._master, slave = os.openpty()
        attributes = termios.tcgetattr(slave)
        attributes[3] &= ~termios.ECHO
        termios.tcsetattr(slave, termios.TCSANOW, attributes)
        given = {**shell.env, "PS1": "", "PS2": "", "NO_COLOR": "1", **env}
        self._leader = subprocess.Popen(
            [sys.executable, "-c", _LEADER], stdin=slave, stdout=slave, stderr=slave, env=given, cwd=folder or shell.home
        )
        os.close(slave)
        os.set_blocking(self._master, False)
        self._typed = 0

    @property
    def pid(self) -> int:
        """The session leader's process id."""
        return self._leader.pid

    def __enter__(self) -> "Terminal":
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._master)
        self._leader.kill()
        self._leader.wait()

    def type(self, command: str) -> tuple[int, str]:
        """(exit status, what was shown) of a command line."""
        self.begin(command)
        return self.end()

    def begin(self, command: str) -> None:
        """Type a command line and do not wait for its end."""
        self._typed += 1
        os.write(self._master, f"{command}\necho {self._mark} $?.\n".encode())

    def end(self) -> tuple[int, str]:
        """(exit status, what was shown) of the command line that was begun."""
        text, _, status = self._shown_until(self._mark).partition(self._mark)
        return int(status.partition(".")[0]), text

    @property
    def _mark(self) -> str:
        return f"end of {self._typed}:"

    def until(self, what: str, enough: Callable[[str], object]) -> str:
        """What is shown until it is ``enough``."""
        shown = bytearray()

        def ended() -> object:
            with contextlib.suppress(BlockingIOError):
                shown.extend(os.read(self._master, 65536))
            return enough(text())

        def text() -> str:
            return shown.decode(errors="replace").replace("\r\n", "\n")

        wait_for(what, ended, explain=text)
        return text()

    def _shown_until(self, mark: str) -> str:
        """What is shown until the mark and the full stop behind it."""
        return self.until(repr(mark), lambda shown: "." in shown.partition(mark)[2])

    def run(self, *arguments: str) -> tuple[int, str]:
        """(exit status, output with errors) of an ``ipc`` command."""
        return self.type(shlex.join([*IPC, *arguments]))

    def ok(self, *arguments: str) -> str:
        status, shown = self.run(*arguments)
        assert status == 0, shown
        return shown

    def fails(self, status: int, *arguments: str) -> str:
        found, shown = self.run(*arguments)
        assert found == status and "Traceback" not in shown, (found, shown)
        return shown

    def enter_inner(self) -> None:
        """Go into a terminal inside this one, as tmux makes them."""
        os.write(self._master, _INNER.encode())
        self._shown_until("inside")

    def leave_inner(self) -> None:
        os.write(self._master, b"exit\n")
        self._shown_until("outside")
