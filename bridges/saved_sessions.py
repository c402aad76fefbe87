"""Sessions that doors keep in files, so that the next process of the same project and name resumes them.

``sessions/mcp-TAG.json`` holds name, token and project folder. Only its owner can read it. TAG is a hash of project and name.
With a key file, the broker is another machine's: file names then begin with ``key-`` and a tag of the key, so that a token goes
only to the broker that gave it. The MCP door and the hooks share these files, so that one agent is one instance. Hooks import
this module (see broker.home.paths).
"""

from __future__ import annotations

import errno
import json
import os
import time

from broker.home import environment
from broker.home.locks import is_held, lock
from broker.protocol.names import is_name

NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS})

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from broker.client.keyfile import KeyFile


def folder(home: str) -> str:
    return os.path.join(home, "sessions")


def key() -> KeyFile | None:
    """The key file with which this process reaches another machine's broker. Raises SettingsError."""
    path = environment.key_file()
    if not path:
        return None
    from broker.client.keyfile import KeyFile

    return KeyFile.load(path)


def prefix(kind: str) -> str:
    """How the file names of this kind begin, for the broker that this process reaches. Raises SettingsError."""
    found = key()
    return f"{kind}-" if found is None else f"key-{found.tag}-{kind}-"


def path_of(home: str, project: str, name: str) -> str:
    """The file of a project's session of that name."""
    import hashlib

    tag = hashlib.sha256(f"{project}\0{name}".encode("utf-8", "surrogateescape")).hexdigest()[:16]
    return os.path.join(folder(home), f"{prefix('mcp')}{tag}.json")


def shell_path(home: str, name: str) -> str:
    """The file of a session that a shell registered."""
    return os.path.join(folder(home), f"{prefix('cli')}{name}.json")


def default_name(home: str) -> str:
    """The name of shells without a terminal; empty if there is none."""
    try:
        with open(os.path.join(folder(home), "cli-current"), encoding="utf-8") as f:
            name = f.read().strip()
    except (OSError, ValueError):
        return ""
    return name if is_name(name) else ""


def set_default_name(home: str, name: str) -> None:
    from broker.home.files import write_private

    write_private(os.path.join(folder(home), "cli-current"), name + "\n")


def process_path(home: str) -> str:
    """How the path of a file begins that says that a host's sessions ran in a process. ``PID.json`` ends it."""
    return os.path.join(folder(home), prefix("process"))


def lock_path(path: str) -> str:
    """The lock that an MCP session holds beside the file it uses."""
    return path.removesuffix(".json") + ".lock"


def read_json(path: str) -> dict[str, Any]:
    """The object in the file; empty if there is no file, or no object in it."""
    try:
        with open(path, encoding="utf-8") as f:
            stored = json.load(f)
    except (OSError, ValueError):
        return {}
    return stored if isinstance(stored, dict) else {}


def write_json(path: str, value: dict[str, Any]) -> None:
    """Write the file whole or not at all, mode 0600."""
    from broker.home.files import write_private

    write_private(path, json.dumps(value))


def keep_json(path: str, value: dict[str, Any]) -> bool:
    """Write the file, or return False if the disk is full or read-only: the work goes on without."""
    try:
        write_json(path, value)
    except OSError as e:
        if e.errno not in NO_ROOM:
            raise
        return False
    return True


def store(home: str, project: str, name: str, token: str, host: str = "", body: dict[str, Any] | None = None) -> str:
    """Keep a session and return the file's path. ``host`` says whose hooks made it, ``body`` who acts for it. What else the
    file holds stays."""
    path = path_of(home, project, name)
    stored = {"since": time.time(), **read_json(path), "name": name, "token": token, "project": project}
    if host:
        stored["host"] = host
    if body is not None:
        stored["body"] = body["key"]
    keep_json(path, stored)
    return path


def is_anothers(stored: dict[str, Any], body: dict[str, Any] | None) -> bool:
    """Whether a stored session is known to be another body's: an agent of the folder has taken the name from this one."""
    return body is not None and stored.get("body") not in (None, body["key"])


def follow(home: str, token: str, name: str, renewed: str = "") -> None:
    """Write the mailbox's new name, and its new token if it was ``renewed``, into every file that keeps the token.

    A lock that somebody holds beside a session's file moves with the file. The default name of shells follows, too.
    """
    for entry in os.listdir(folder(home)):
        path = os.path.join(folder(home), entry)
        if not entry.endswith(".json") or (stored := read_json(path)).get("token") != token:
            continue
        changed = {**stored, "token": renewed or token}
        place, before = path, stored.get("name")
        if before != name:
            changed["name"] = name
            if not entry.startswith(prefix("host")):
                changed["was"] = [w for w in (*stored.get("was", ()), before) if w != name]
            if entry.startswith(prefix("mcp")):  # the file name is made of the name
                place = path_of(home, str(stored.get("project")), name)
            elif entry.startswith(prefix("cli")):
                place = shell_path(home, name)
                if default_name(home) == before:
                    set_default_name(home, name)
        if changed != stored:
            write_json(place, changed)
        if place != path:
            os.unlink(path)
            if os.path.exists(lock_path(path)):
                os.replace(lock_path(path), lock_path(place))


def of_project(home: str, project: str, host: str = "") -> list[tuple[str, str]]:
    """(name, path) of the project's stored sessions, the oldest first. With ``host``, sessions of other hosts are left out."""
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
                found.append((float(stored.get("since", 0)), str(stored["name"]), path))
    return [(name, path) for _, name, path in sorted(found)]


def find(home: str, project: str, name: str) -> dict[str, Any]:
    """The project's stored session that has or had the name; empty if there is none."""
    stored = [read_json(path) for path in (path_of(home, project, name), *(p for _, p in of_project(home, project)))]
    return next((s for s in stored if name == s.get("name") or name in s.get("was", ())), {})


def one_at_a_time(home: str) -> lock:
    """Processes that choose a name, or register one again, do so one after the other."""
    os.makedirs(folder(home), mode=0o700, exist_ok=True)
    return lock(os.path.join(folder(home), "naming.lock"), wait=True)


def in_use(path: str) -> bool:
    """True while a bridge holds the lock beside the session's file."""
    return is_held(lock_path(path))
