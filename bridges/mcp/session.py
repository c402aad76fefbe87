"""Which session this bridge is: one Claude Code session, one instance.

The token is kept in ``sessions/mcp-*.json`` of the data folder, named for project folder and instance, so that the next
bridge of the same project and name resumes it. A bridge holds a lock beside the file it uses: a second bridge in the same
folder never takes up by itself a session that is in use.
"""

import contextlib
import fcntl
import hashlib
import json
import os
from pathlib import Path
from typing import Any

from broker.aio import AsyncConnection
from broker.client import DEFAULT_TIMEOUT_S
from broker.errors import IpcError, RemoteError
from broker.ids import auth_token, new_message_id
from broker.runtime import prepare_home, write_private
from broker.settings import Settings


class NotRegistered(Exception):
    """No name has been taken yet in this session."""


class BridgeSession:
    """The connection, name and token of this process. The token never leaves it."""

    def __init__(self, settings: Settings, project: str, wanted: str | None) -> None:
        self._settings = settings
        self._project = project
        self._wanted = wanted
        self._connection: AsyncConnection | None = None
        self._token: str | None = None
        self._lock_fd: int | None = None
        self._read: list[str] = []
        self.name: str | None = None

    async def register(self, name: str) -> dict[str, Any]:
        """Resume this project's session of that name, or register it anew; the reply of the broker."""
        await self._settle()
        prepare_home(self._settings)
        path = self._path(name)
        token = self._stored(path).get("token")
        if token:
            with contextlib.suppress(RemoteError):
                found = await self._ask({"action": "whoami", "session_token": token})
                if found["instance_id"] == name:
                    self._take(name, token)
                    # what a bridge that was killed had fetched and nobody acknowledged
                    await self._ask({"action": "release", "session_token": token})
                    return {"message": f"Resumed {name}", "queued": found["queued"]}
        proof = auth_token(name, self._settings.shared_secret)
        reply = await self._ask({"action": "register", "instance_id": name, "auth_token": proof})
        self._take(name, reply["session_token"])
        return reply

    async def request(self, action: str, *, timeout_s: float = DEFAULT_TIMEOUT_S, **fields: Any) -> dict[str, Any]:
        """A request as this session. Acknowledges first what the last ``check`` showed. Raises NotRegistered, IpcError."""
        if self._token is None:
            await self._resume()
        await self._settle()
        if action in ("send", "broadcast"):
            fields["message_id"] = new_message_id()
        fields = {k: v for k, v in fields.items() if v is not None}
        reply = await self._ask({"action": action, "session_token": self._token, **fields}, timeout_s)
        if action == "check":
            self._read = [m["id"] for m in reply["messages"]]
        elif action == "rename":
            self._forget_file()
            self._take(fields["new_id"], str(self._token))
        return reply

    async def status(self) -> dict[str, Any]:
        return await self._ask({"action": "status"})

    async def close(self) -> None:
        """The orderly end: what was shown is acknowledged."""
        if self._connection is not None:
            with contextlib.suppress(IpcError):
                await self._settle()
            await self._connection.close()

    async def _settle(self) -> None:
        """The client came back after a ``check``: what it was shown has arrived."""
        if self._read and self._token is not None:
            ids, self._read = self._read, []
            await self._ask({"action": "ack", "session_token": self._token, "ids": ids})

    async def _resume(self) -> None:
        """Take up a session without being asked: of the configured name, or the only one of this project."""
        if self._wanted is not None:
            await self.register(self._wanted)
            return
        names = self._free_names()
        if len(names) != 1:
            raise NotRegistered
        await self.register(names[0])

    async def _ask(self, body: dict[str, Any], timeout_s: float = DEFAULT_TIMEOUT_S) -> dict[str, Any]:
        if self._connection is None:
            self._connection = AsyncConnection(self._settings, door="mcp")
            self._connection.on_orphan = self._give_back
        reply = await self._connection.request(body, timeout_s)
        if reply.get("status") != "ok":
            raise RemoteError(reply)
        return reply

    def _give_back(self, request: dict[str, Any], reply: dict[str, Any]) -> None:
        """The reply of a ``check`` that the client cancelled: nobody saw the mail."""
        if self._connection is not None:
            ids = [m["id"] for m in reply["messages"]]
            self._connection.begin({"action": "release", "session_token": request["session_token"], "ids": ids})

    # the file

    def _path(self, name: str) -> Path:
        tag = hashlib.sha256(f"{self._project}\0{name}".encode("utf-8", "surrogateescape")).hexdigest()[:16]
        return self._settings.home / "sessions" / f"mcp-{tag}.json"

    def _stored(self, path: Path) -> dict[str, Any]:
        try:
            stored = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return stored if isinstance(stored, dict) else {}

    def _take(self, name: str, token: str) -> None:
        self.name, self._token = name, token
        path = self._path(name)
        write_private(path, json.dumps({"name": name, "token": token, "project": self._project}))
        self._hold(path)

    def _hold(self, path: Path) -> None:
        """Lock the session while this process lives, so that no other bridge takes it up unasked."""
        if self._lock_fd is not None:
            os.close(self._lock_fd)
        self._lock_fd = os.open(path.with_suffix(".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        with contextlib.suppress(BlockingIOError):
            fcntl.flock(self._lock_fd, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def _forget_file(self) -> None:
        if self.name is not None:
            self._path(self.name).unlink(missing_ok=True)
            self._path(self.name).with_suffix(".lock").unlink(missing_ok=True)

    def _free_names(self) -> list[str]:
        """Names of this project's stored sessions that no living bridge uses."""
        names = []
        for path in sorted((self._settings.home / "sessions").glob("mcp-*.json")):
            stored = self._stored(path)
            if stored.get("project") == self._project and not _locked(path.with_suffix(".lock")):
                names.append(str(stored.get("name")))
        return names


def _locked(path: Path) -> bool:
    try:
        fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(fd)
    return False
