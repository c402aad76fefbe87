"""The ``ipc`` command as a person types it."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

IPC = [sys.executable, "-m", "bridges.cli"]


class Shell:
    """A person's shell with a home, and a data folder of its own unless one is given."""

    def __init__(self, home: Path, data: Path | None = None) -> None:
        self.home = home
        self.data = data or home / "ipc"
        self.env = {"HOME": str(home), "IPC_HOME": str(self.data), "IPC_PORT": "0", "PATH": os.environ["PATH"]}

    def run(self, *arguments: str, stdin: bytes = b"", **env: str) -> subprocess.CompletedProcess[str]:
        environment = {**self.env, **env}
        options: dict[str, Any] = {"input": stdin, "capture_output": True, "timeout": 40, "cwd": self.home}
        done = subprocess.run([*IPC, *arguments], env=environment, start_new_session=True, **options)  # without a terminal
        return subprocess.CompletedProcess(arguments, done.returncode, done.stdout.decode(), done.stderr.decode())

    def ok(self, *arguments: str, **options: Any) -> str:
        done = self.run(*arguments, **options)
        assert done.returncode == 0, (done.stdout, done.stderr)
        return done.stdout

    def fails(self, status: int, *arguments: str, **options: Any) -> str:
        done = self.run(*arguments, **options)
        assert done.returncode == status, (done.stdout, done.stderr)
        assert "Traceback" not in done.stderr
        return done.stderr
