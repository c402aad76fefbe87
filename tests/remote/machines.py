"""A broker with a door for other machines, and key files for them; the other machine is a home of its own."""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

from broker.client.sync import Client, connect
from broker.home.settings import Settings
from tests.conftest import Service, wait_for
from tests.processes import alive
from tests.shell import IPC


class Host:
    """The broker's machine. ``ipc`` runs a command there."""

    def __init__(self, service: Service, folder: Path) -> None:
        self.service = service
        self.folder = folder

    def ipc(self, *arguments: str, status: int = 0) -> str:
        done = run(self.service.env, self.folder, *arguments)
        assert done.returncode == status, (done.stdout, done.stderr)
        return done.stdout + done.stderr

    def address(self) -> tuple[str, int]:
        """Where the door for other machines listens."""
        path = self.service.home / "run" / "remote.json"

        def listening() -> dict[str, Any] | None:
            state = json.loads(path.read_text()) if path.exists() else {}
            return state if state and not state["error"] and alive(state["pid"]) else None

        state = wait_for("the remote door", listening, explain=self.service.describe)
        return "127.0.0.1", int(state["endpoint"].rpartition(":")[2])

    def new_key(self, name: str, file: str = "") -> Path:
        self.address()
        path = self.folder / (file or f"{name}.key")
        self.ipc("keys", "new", name, "--out", str(path))
        return path


class Machine:
    """Another machine: a home without a service."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._clients: list[Client] = []

    def env(self, key: Path) -> dict[str, str]:
        return {"IPC_HOME": str(self.folder / "ipc"), "IPC_KEY_FILE": str(key)}

    def connect(self, key: Path, name: str, **options: Any) -> Client:
        client = connect(name, settings=Settings.load(env=self.env(key)), **options)
        self._clients.append(client)
        return client

    def ipc(self, key: Path, *arguments: str, status: int = 0) -> str:
        done = run(self.env(key), self.folder, *arguments)
        assert done.returncode == status, (done.stdout, done.stderr)
        assert "Traceback" not in done.stderr
        return done.stdout + done.stderr

    def close(self) -> None:
        for client in self._clients:
            client.close()


def run(env: dict[str, str], folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {"PATH": os.environ["PATH"], "HOME": str(folder), **env}
    return subprocess.run([*IPC, *arguments], env=environment, cwd=folder, capture_output=True, text=True, timeout=50)
