"""A person's home that ``ipc install`` works on."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.shell import IPC


class User:
    """A person's home with a project in it."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.project = home / "project"
        self.project.mkdir()
        self.env = {"HOME": str(home), "IPC_HOME": str(home / "ipc"), "IPC_PORT": "0", "PATH": os.environ["PATH"]}

    def run(self, *arguments: str, **env: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [*IPC, *arguments], cwd=self.project, env={**self.env, **env}, capture_output=True, text=True, timeout=50
        )

    def ok(self, *arguments: str, **env: str) -> str:
        done = self.run(*arguments, **env)
        assert done.returncode == 0, (done.stdout, done.stderr)
        return done.stdout

    def files(self) -> dict[str, str]:
        """Everything but our own data folder."""
        found = {}
        for path in self.home.rglob("*"):
            name = str(path.relative_to(self.home))
            if not name.startswith("ipc"):
                found[name] = path.read_text() if path.is_file() else ""
        return found

    def write(self, name: str, text: str, mode: int = 0o640) -> Path:
        path = self.home / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(mode)
        return path


@pytest.fixture
def user(home: Path) -> Iterator[User]:
    user = User(home)
    yield user
    if (user.home / "ipc" / "run").exists():
        user.run("down")
