"""Where the data folder and its sockets are, for programs that have no time to read settings.

A command or a hook is a whole process for one request: what it imports is most of what it costs. So this module, like
broker.client.json_lines and broker.protocol.errors, does without dataclasses, typing, pathlib and hashlib (13, 4, 5, 3 ms).
"""

from __future__ import annotations

import os
import sys

from broker.version import VERSION

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

_SOCKET_PATH_BYTES = 100
"""sockaddr_un holds 108 bytes with the closing NUL; libzmq needs a little of it."""
_LONGEST_SOCKET = "broker.sock"


class Place:
    """One data folder, by its path alone; ``Settings.load(home=place.home)`` reads the rest when something must be started."""

    __slots__ = ("home",)

    def __init__(self, home: str) -> None:
        self.home = home

    @classmethod
    def here(cls) -> Place:
        """The data folder of this process's environment."""
        return cls(home_folder(os.environ))


def python() -> list[str]:
    """The command that runs a module of ours. ``-P -E`` keeps modules of its name in the present folder out, and PYTHONPATH.

    PYTHONPATH counts where our own packages come from it.
    """
    ours = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    folder, given = working_folder(), os.environ.get("PYTHONPATH", "").split(os.pathsep)
    is_given = ours in (os.path.normpath(os.path.join(folder, path)) for path in given)
    return [sys.executable, "-P"] if is_given else [sys.executable, "-P", "-E"]


def working_folder() -> str:
    """The folder that this process works in; its last path if it was removed."""
    try:
        return os.getcwd()
    except FileNotFoundError:
        return os.environ.get("PWD", os.sep)


def home_folder(env: Mapping[str, str], given: str | None = None) -> str:
    """The data folder's absolute path: given, $IPC_HOME, or the platform's."""
    return os.path.abspath(os.path.expanduser(given or env.get("IPC_HOME") or default_home(env)))


def default_home(env: Mapping[str, str]) -> str:
    """The platform's user data folder for agent-ipc, as platformdirs has it (whose import would cost 18-33 ms)."""
    home = env.get("HOME") or os.path.expanduser("~")
    if sys.platform == "darwin":
        return os.path.join(home, "Library", "Application Support", "agent-ipc")
    if sys.platform == "win32":
        return os.path.join(env.get("LOCALAPPDATA") or os.path.join(home, "AppData", "Local"), "agent-ipc")
    return os.path.join(env.get("XDG_DATA_HOME") or os.path.join(home, ".local", "share"), "agent-ipc")


def socket_folder(home: str) -> str:
    """Where sockets live: ``run`` in the data folder, or a short folder when that path is too long for a socket."""
    folder = os.path.join(home, "run")
    if len(os.fsencode(os.path.join(folder, _LONGEST_SOCKET))) <= _SOCKET_PATH_BYTES:
        return folder
    import hashlib

    tag = hashlib.sha256(os.fsencode(home)).hexdigest()[:12]
    base = os.environ.get("XDG_RUNTIME_DIR")
    if not base:
        import tempfile

        base = tempfile.gettempdir()
    if len(os.fsencode(base)) > 60:
        base = "/tmp"  # noqa: S108 (the folder made in it is checked to be ours and private)
    return os.path.join(base, f"agent-ipc-{os.getuid()}-{tag}")


def runs_older(home: str) -> bool:
    """True if an earlier version started the service of the data folder. Takes 30 us."""
    try:
        with open(os.path.join(home, "run", "supervisor.json"), "rb") as f:
            said = f.read()
    except OSError:
        return False
    _, found, rest = said.partition(b'"version": "')
    return version_number(rest.partition(b'"')[0].decode("ascii", "replace") if found else "") < version_number(VERSION)


def version_number(version: str) -> tuple[int, ...]:
    """(0, 10, 2) of ``0.10.2``. Parts that are no number do not count."""
    return tuple(int(part) for part in version.split("+")[0].split(".") if part.isdecimal())


def wire_socket(home: str) -> str:
    """The Unix socket at which the broker takes frames and JSON lines."""
    return os.path.join(socket_folder(home), "wire.sock")


def door_socket(home: str) -> str:
    """Where the JSON door of 0.3 had its Unix socket."""
    return os.path.join(socket_folder(home), "door.sock")


def mcp_socket(home: str) -> str:
    """The Unix socket of the process that serves MCP for all agents."""
    return os.path.join(socket_folder(home), "mcp.sock")
