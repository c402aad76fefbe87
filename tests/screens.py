"""What a person sees: a program in a real pseudo-terminal, and the screen that its output draws."""

import fcntl
import os
import re
import signal
import struct
import subprocess
import sys
import termios
from pathlib import Path

from tests.conftest import wait_for

_LEADER = "import os, sys; os.login_tty(0); os.execvp(sys.argv[1], sys.argv[1:])"
_PART = re.compile(
    r"\x1b\[(?P<given>[<=>?]?[0-9;:]*)[ !\"$']*(?P<final>[@-~])"  # control sequence
    r"|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|\x1bP.*?\x1b\\|\x1b[()*+].|\x1b[=>78cDEHM]|(?P<control>[\x00-\x1f])|(?P<text>[^\x00-\x1f]+)",
    re.S,
)


class Screen:
    """A program at a terminal of so many lines and columns, as ``with``. Its end closes the window, and the program with it."""

    def __init__(self, argv: list[str], env: dict[str, str], folder: Path, lines: int = 24, columns: int = 80) -> None:
        self._master, slave = os.openpty()
        self.lines, self.columns = lines, columns
        self._size(slave)
        given = {"TERM": "xterm-256color", "LANG": "C.UTF-8", **env}
        self.program = subprocess.Popen(
            [sys.executable, "-c", _LEADER, *argv], stdin=slave, stdout=slave, stderr=slave, env=given, cwd=folder
        )
        os.close(slave)
        os.set_blocking(self._master, False)
        self.output = ""
        self._bytes = b""
        self._drawn = 0
        self._clear()

    def __enter__(self) -> "Screen":
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._master)
        self.program.kill()
        self.program.wait()

    def _size(self, terminal: int) -> None:
        fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", self.lines, self.columns, 0, 0))

    def resize(self, lines: int, columns: int) -> None:
        """Make the window another size; the program is told by a signal, as always."""
        self.lines, self.columns = lines, columns
        self._clear()
        self._size(self._master)
        self.program.send_signal(signal.SIGWINCH)

    def press(self, keys: str) -> None:
        os.write(self._master, keys.encode())

    def shows(self, *texts: str) -> str:
        """The screen, once all of these stand on it."""
        wait_for(f"{texts} on the screen", lambda: all(text in self.text() for text in texts), explain=self.text)
        return self.text()

    def shows_no(self, text: str) -> str:
        """The screen, once that has gone from it."""
        wait_for(f"the end of {text!r} on the screen", lambda: text not in self.text(), explain=self.text)
        return self.text()

    def ended(self) -> int:
        """The program's exit status, once it has ended."""
        wait_for("the program's end", lambda: self.text() and self.program.poll() is not None, explain=self.text)
        return self.program.wait()

    def text(self) -> str:
        """The lines of the screen as they are now."""
        self._read()
        parts = list(_PART.finditer(self.output, self._drawn))
        for part in parts:
            self._draw(part)
            self._drawn = part.end()
        return "\n".join("".join(line).rstrip() for line in self._cells)

    def _read(self) -> None:
        try:
            while more := os.read(self._master, 65536):
                self._bytes += more
        except (BlockingIOError, OSError):  # nothing now, or nobody has the terminal open any more
            pass
        whole = self._bytes.decode(errors="ignore") if self._bytes[-1:] < b"\x80" else ""
        if whole and not re.search(r"\x1b[^a-zA-Z~\x07]*$", whole):  # not in the middle of a letter or a sequence
            self.output += whole
            self._bytes = b""

    def _clear(self) -> None:
        self._cells = [[" "] * self.columns for _ in range(self.lines)]
        self._line = self._column = 0

    def _draw(self, part: "re.Match[str]") -> None:
        if part["text"]:
            for letter in part["text"]:
                self._put(letter)
        elif part["control"]:
            self._move(part["control"])
        elif part["final"]:
            self._obey(part["final"], part["given"])

    def _put(self, letter: str) -> None:
        if self._column >= self.columns:
            self._line, self._column = min(self._line + 1, self.lines - 1), 0
        if self._line < self.lines:
            self._cells[self._line][self._column] = letter
        self._column += 1

    def _move(self, control: str) -> None:
        if control == "\r":
            self._column = 0
        elif control == "\b":
            self._column = max(0, self._column - 1)
        elif control == "\n":
            self._line += 1
            if self._line >= self.lines:
                self._line = self.lines - 1
                self._cells = [*self._cells[1:], [" "] * self.columns]

    def _obey(self, final: str, given: str) -> None:
        """Do what the sequences do that programs move and clear with. Colours and modes are not looked at."""
        numbers = [int(n) for n in given.split(";") if n.isdecimal()] or [0]
        count = max(1, numbers[0])
        if final in "Hf":
            self._line, self._column = count - 1, max(1, numbers[1] if len(numbers) > 1 else 1) - 1
        elif final == "J" and numbers[0] >= 2:
            self._cells = [[" "] * self.columns for _ in range(self.lines)]
        elif final in "JK" and self._line < self.lines:
            below = range(self._line + 1, self.lines) if final == "J" else ()
            self._cells[self._line][self._column :] = [" "] * (self.columns - self._column)
            for number in below:
                self._cells[number] = [" "] * self.columns
        elif final == "C":
            self._column = min(self.columns - 1, self._column + count)
        elif final == "D":
            self._column = max(0, self._column - count)
        elif final == "A":
            self._line = max(0, self._line - count)
        elif final == "B":
            self._line = min(self.lines - 1, self._line + count)
