"""Sessions that doors keep in files, so that the next process of the same project and name resumes them.

``sessions/mcp-TAG.json`` holds name, token and project folder, readable by the owner only; TAG is made of project and name.
Where a key file says that the broker is another machine's, all names begin with ``key-`` and a tag of that key: a token goes
to the broker that gave it, and to no other.
The MCP door and the hooks share these files, so that one agent is one instance. Imports nothing that costs time (see
broker.place).
"""

from __future__ import annotations

import fcntl
import json
import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from broker.keyfile import KeyFile


def folder(home: str) -> str:
    return os.path.join(home, "sessions")


def key() -> KeyFile | None:
    """The key file with which this process reaches another machine's broker. Raises SettingsError."""
    path = os.environ.get("IPC_KEY_FILE")
    if not path:
        return None
    from broker.keyfile import KeyFile

    return KeyFile.load(path)


def prefix(kind: str) -> str:
    """How the names of this kind's files begin, for the broker that this process reaches. Raises SettingsError."""
    found = key()
    return f"{kind}-" if found is None else f"key-{found.tag}-{kind}-"


def path_of(home: str, project: str, name: str) -> str:
    """The file of a project's session of that name."""
    import hashlib

    tag = hashlib.sha256(f"{project}\0{name}".encode("utf-8", "surrogateescape")).hexdigest()[:16]
    return os.path.join(folder(home), f"{prefix('mcp')}{tag}.json")


def lock_path(path: str) -> str:
    """The lock that a living bridge holds beside the session it uses."""
    return path.removesuffix(".json") + ".lock"


def read_json(path: str) -> dict[str, Any]:
    """The file's object; empty if there is none."""
    try:
        with open(path, encoding="utf-8") as f:
            stored = json.load(f)
    except (OSError, ValueError):
        return {}
    return stored if isinstance(stored, dict) else {}


def write_json(path: str, value: dict[str, Any]) -> None:
    """Write the file whole or not at all, mode 0600."""
    temporary = f"{path}.{os.getpid()}.{os.urandom(4).hex()}.tmp"
    fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    try:
        with os.fdopen(fd, "w", encoding="utf-8") as f:
            json.dump(value, f)
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise


def store(home: str, project: str, name: str, token: str, host: str = "") -> str:
    """Keep a session; the file's path. ``host`` says whose hooks made it, and stays when others write it anew."""
    path = path_of(home, project, name)
    host = host or str(read_json(path).get("host") or "")
    write_json(path, {"name": name, "token": token, "project": project, **({"host": host} if host else {})})
    return path


def forget(path: str) -> None:
    for gone in (path, lock_path(path)):
        if os.path.exists(gone):
            os.unlink(gone)


def of_project(home: str, project: str, host: str = "") -> list[tuple[str, str]]:
    """(name, path) of the project's stored sessions, the most recently stored first; with ``host``, not another host's."""
    found = []
    try:
        entries = os.listdir(folder(home))
    except OSError:
        return []
    ours = prefix("mcp")
    for entry in entries:
        if entry.startswith(ours) and entry.endswith(".json"):
            path = os.path.join(folder(home), entry)
            stored = read_json(path)
            other = bool(host) and stored.get("host") not in (None, host)
            if stored.get("project") == project and isinstance(stored.get("name"), str) and not other:
                found.append((os.stat(path).st_mtime, str(stored["name"]), path))
    return [(name, path) for _, name, path in sorted(found, reverse=True)]


def in_use(path: str) -> bool:
    """True while a bridge holds the lock beside the session's file."""
    return locked(lock_path(path))


def locked(path: str) -> bool:
    """True while another open file holds the exclusive lock on this one."""
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


def hold(path: str) -> int | None:
    """Lock the file while the returned descriptor is open; None if another has it. The kernel drops it with the process."""
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(fd)
        return None
    return fd
