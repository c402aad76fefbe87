"""The blocks of a page, run in their order as a reader would: each terminal is a real one, in one temporary home.

A comment stands above each block and says what it is:

    <!-- run -->                       typed in the page's terminal; must end well
    <!-- run: ann -->                  typed in the terminal called ann
    <!-- run: ann, waits -->           the same, and its end is not waited for until ann's ``shows``, or the page's end
    <!-- run: ann, stays -->           it runs until the page's end
    <!-- run: status 1 -->             must end with that status
    <!-- shows: ann -->                what that terminal shows; … stands for anything, alone on a line for any lines
    <!-- file: ask.sh -->              the reader saves it under that name
    <!-- not run: why -->

What must be there first, and the page does not show, is run as it stands between ``<!-- first:`` and ``-->``.
"""

import os
import re
import shlex
import socket
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

from tests.shell import Shell
from tests.terminals import Terminal

DOCS = Path(__file__).parents[2] / "docs"
_BLOCK = re.compile(
    r"^<!-- first:\n(.*?)^-->$|(?:^<!-- (run|shows|file|not run)(?:: ([^>]*))? -->\n)?^```(\w*)[^\n]*\n(.*?)^```$", re.M | re.S
)
_PORTS = {"9876": "IPC_PORT", "9877": "IPC_WEB_PORT", "9878": ""}
"""The ports that pages show, and the variables that set them. Here they are free ones."""


class Block(NamedTuple):
    kind: str
    about: str
    """The terminal, the file's name, or why it is not run."""
    words: list[str]
    """waits, stays"""
    status: int
    language: str
    text: str


def blocks(page: str) -> Iterator[Block]:
    for first, kind, about, language, text in _BLOCK.findall((DOCS / page).read_text(encoding="utf-8")):
        if first:
            yield Block("run", "", [], 0, "sh", first)
            continue
        words = [word.strip() for word in about.split(",")] if kind in ("run", "shows") else [about]
        status = next((int(word.split()[1]) for word in words if word.startswith("status ")), 0)
        terminal = next((word for word in words if word not in ("waits", "stays") and not word.startswith("status ")), "")
        yield Block(kind, terminal, words, status, language, text)


def free_port() -> str:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return str(s.getsockname()[1])


class Reader:
    """Types what a page says. As ``with``; at its end the service is stopped."""

    def __init__(self, home: Path) -> None:
        self.shell = Shell(home)
        self._ports = {shown: free_port() for shown in _PORTS}
        self._more = {
            **{variable: self._ports[shown] for shown, variable in _PORTS.items() if variable},
            "REPOSITORY": str(DOCS.parent),
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        }
        self._terminals: dict[str, Terminal] = {}
        self._begun: dict[str, Block] = {}
        """Of a terminal, the block whose end nobody has seen."""
        self._shown: dict[str, str] = {}
        self._ends = ExitStack()

    def __enter__(self) -> "Reader":
        return self

    def __exit__(self, *_: object) -> None:
        self._ends.close()
        self.shell.run("down", **self._more)

    def follow(self, block: Block) -> None:
        text = block.text
        for shown, port in self._ports.items():
            text = text.replace(shown, port)
        if block.kind == "file":
            path = self.shell.home / block.about
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        elif block.kind == "run":
            self._end(block.about)
            self._terminal(block.about).begin(f"eval {shlex.quote(text)}")
            self._begun[block.about] = block
            if not {"waits", "stays"} & set(block.words):
                self._end(block.about)
        elif block.kind == "shows":
            self._shows(block.about, text)

    def _shows(self, terminal: str, text: str) -> None:
        pattern = like(text)
        if terminal in self._begun and "stays" in self._begun[terminal].words:
            self._terminals[terminal].until(text, lambda shown: pattern.fullmatch(shown.strip()))
            return
        self._end(terminal)
        found = self._shown[terminal]
        assert pattern.fullmatch(found.strip()), f"the page shows\n{text}\nthe terminal\n{found}"

    def finish(self) -> None:
        for name, block in list(self._begun.items()):
            if "stays" not in block.words:
                self._end(name)

    def _end(self, terminal: str) -> None:
        block = self._begun.pop(terminal, None)
        if block:
            status, self._shown[terminal] = self._terminals[terminal].end()
            failed = re.search("^ipc: ", self._shown[terminal], re.M) and not block.status
            assert status == block.status and not failed, (block.text, status, self._shown[terminal])

    def _terminal(self, name: str) -> Terminal:
        if name not in self._terminals:
            self._terminals[name] = self._ends.enter_context(Terminal(self.shell, **self._more))
        return self._terminals[name]


def like(shown: str) -> re.Pattern[str]:
    """What a page shows, as the pattern that the real text must fit."""
    lines = []
    shown = shown.replace("just now", "…")  # a slow machine shows another time
    for line in shown.strip().split("\n"):
        lines.append(
            r"(?:.*\n)*?.*" if line.strip() == "…" else ".*?".join(map(re.escape, line.rstrip().split("…"))) + r"[ \t]*"
        )
    return re.compile("\n".join(lines))
