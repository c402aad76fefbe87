"""The blocks of shell in docs/many-machines.md, typed at the machines that they name.

A block's first line is ```sh MACHINE ...``: it is typed at each of these; with ``status=1`` it ends so. A machine is a folder
of this one, with a home, a data folder and a copy of ``deploy`` whose ports are free here.
"""

import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

from tests.conftest import wait_for
from tests.processes import alive

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "many-machines.md").read_text(encoding="utf-8")
_LIMIT_S = 90.0
_SCP = """#!/bin/sh
# scp FILE MACHINE:PLACE, where each machine is a folder beside this one's
cp "$1" "$HOME/../${2%%:*}/${2#*:}"
"""


class Block(NamedTuple):
    machines: list[str]
    status: int
    commands: str


def blocks(part: str) -> list[Block]:
    """Those under a heading, in their order."""
    _, found, text = PAGE.partition(f"# {part}\n")
    assert found, f"the page has no part {part}"
    text = re.split(r"^#{2,3} ", text, maxsplit=1, flags=re.M)[0]
    found_blocks = []
    for where, commands in re.findall(r"^```sh ?(.*)\n([^`]*)^```$", text, re.M):
        machines, status, number = where.partition(" status=")
        found_blocks.append(Block(machines.split(), int(number) if status else 0, commands))
    return found_blocks


class Machine:
    """Types commands in its folder; ``words`` are what the page has for a person to replace."""

    def __init__(self, folder: Path, words: dict[str, str]) -> None:
        self.folder = folder
        self.words = words
        self._servers: dict[str, int] = {}
        """The process of each nats-server, by its folder."""
        folder.mkdir()
        (folder / "bin").mkdir()
        (folder / "bin" / "scp").write_text(_SCP)
        (folder / "bin" / "scp").chmod(0o755)
        shutil.copytree(ROOT / "deploy", folder / "deploy")
        path = f"{folder}/bin:{Path(sys.executable).parent}:{os.environ['PATH']}"
        self.env = {**os.environ, "HOME": str(folder), "IPC_HOME": str(folder / "ipc"), "IPC_PORT": "0", "PATH": path}

    def type(self, commands: str, status: int = 0) -> str:
        """What the commands print. The first that fails ends them, and fails the test unless the page says so."""
        for word, meant in self.words.items():
            commands = commands.replace(word, meant)
        shown = self.folder / "shown"
        with shown.open("wb") as output:  # a file: what a command leaves running would keep a pipe open
            done = subprocess.run(
                ["bash", "-euo", "pipefail", "-c", commands],
                cwd=self.folder,
                env=self.env,
                timeout=_LIMIT_S,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        text = shown.read_text(encoding="utf-8", errors="replace")
        assert done.returncode == status, f"{commands}\n{text}"
        self._wait_as_a_person(commands)
        return text

    def _wait_as_a_person(self, commands: str) -> None:
        """Until a server that was started listens, and one that was ended is gone."""
        for name in re.findall(r'-P "\$PWD/(\w+)/pid"', commands):
            self._servers[name] = wait_for(
                "nats-server", lambda n=name: self._pid(n), explain=(self.folder / name / "log").read_text
            )
        for name in re.findall(r'^kill "\$\(cat (\w+)/pid\)"$', commands, re.M):
            pid = self._servers.pop(name)
            wait_for("the end of nats-server", lambda pid=pid: not alive(pid))

    def _pid(self, name: str) -> int:
        """Of a server that is ready; 0 before."""
        log, file = self.folder / name / "log", self.folder / name / "pid"
        return int(file.read_text()) if log.exists() and file.exists() and "Listening for client" in log.read_text() else 0

    def stop(self) -> None:
        """End what the page has started here."""
        self.type("ipc down || true")
        for pid in self._servers.values():
            os.kill(pid, signal.SIGKILL)
            wait_for("the end of nats-server", lambda pid=pid: not alive(pid))
