"""A process that stands for a host: hooks and the commands of an agent's shell are its children, as with real hosts."""

import base64
import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.conftest import Service
from tests.hosts.agent import Agent
from tests.shell import IPC

_LOOP = """
import base64, json, subprocess, sys
for line in sys.stdin:
    asked = json.loads(line)
    given = base64.b64decode(asked.pop("input"))
    done = subprocess.run(asked.pop("command"), input=given, capture_output=True, timeout=30, start_new_session=True, **asked)
    out = [base64.b64encode(part).decode() for part in (done.stdout, done.stderr)]
    print(json.dumps([done.returncode, *out]), flush=True)
"""


class HostProcess:
    """One process, which runs what it is told to. A command in ``inside`` another host's process has both above it."""

    def __init__(self, processes: list[Any], **env: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", _LOOP], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=env or None, text=True
        )
        processes.append(self.process)

    @property
    def pid(self) -> int:
        return self.process.pid

    def run(
        self, command: list[str], env: Mapping[str, str], folder: Path, given: bytes = b""
    ) -> "subprocess.CompletedProcess[bytes]":
        assert self.process.stdin is not None and self.process.stdout is not None
        asked = {"command": command, "env": dict(env), "cwd": str(folder), "input": base64.b64encode(given).decode()}
        self.process.stdin.write(json.dumps(asked) + "\n")
        self.process.stdin.flush()
        status, out, err = json.loads(self.process.stdout.readline())
        return subprocess.CompletedProcess(command, status, base64.b64decode(out), base64.b64decode(err))


class HostedAgent(Agent):
    """One session of a host, whose hooks and shell are the host's children."""

    def __init__(self, service: Service, process: HostProcess, host: str = "claude", project: str = "web", **env: str) -> None:
        super().__init__(service, host, project, **env)
        self.process = process

    def run(self, event: str, stdin: bytes, *arguments: str, **_options: Any) -> "subprocess.CompletedProcess[bytes]":
        command = [*IPC, "hook", self.host, event.partition("-")[0], *arguments]
        return self.process.run(command, self.env, self.project, stdin)

    def shell(self, *arguments: str, folder: Path | None = None, **env: str) -> tuple[int, str]:
        """(exit status, output with errors) of an ``ipc`` command that the agent runs as a tool."""
        done = self.process.run([*IPC, *arguments], {**self.env, **env}, folder or self.project)
        text = done.stdout.decode() + done.stderr.decode()
        assert "Traceback" not in text, text
        return done.returncode, text
