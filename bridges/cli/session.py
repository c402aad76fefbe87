"""Which agent the shell is: ``sessions/cli-NAME.json`` of the data folder. ``cli-current`` names the present one."""

from __future__ import annotations

import contextlib
import json
import os

from bridges import saved_sessions
from broker.client.json_lines import QuickConnection
from broker.home import environment
from broker.home.paths import Place, working_folder
from broker.protocol.errors import IpcError, RemoteError
from broker.protocol.essentials import DEFAULT_TIMEOUT_S
from broker.protocol.names import is_name

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class ShellNotRegistered(Exception):
    """The shell has no session, or not the wanted one."""


class Shell:
    """A shell's session and its connection, as a context manager. Its end gives back mail that was not acknowledged."""

    def __init__(self, place: Place, name: str, token: str, path: str, door: QuickConnection | None = None) -> None:
        self.name = name
        self.token = token
        self._place = place
        self.path = path
        """The file that keeps the token: the shell's own, or that of its agent's host or folder."""
        self._door = door or QuickConnection(place)

    def __enter__(self) -> Shell:
        return self

    def __exit__(self, *_: object) -> None:
        self._door.close()

    def request(self, action: str, *, timeout_s: float = DEFAULT_TIMEOUT_S, **fields: Any) -> dict[str, Any]:
        """Make a request of any action as this session. Returns the reply without ``status``. Raises IpcError.

        A session that ended by its timeout is renewed under its name.
        """
        if action == "list":
            self._bury()
        body = {"action": action, "session_token": self.token, **fields}
        try:
            reply = self._door.request(body, timeout_s=timeout_s)
        except RemoteError as e:
            if e.kind.http != 401:
                raise
            from bridges.session_renewal import renew

            self.token = renew(self._place, self.name, self.token, self.path, door="cli")
            reply = self._door.request({**body, "session_token": self.token}, timeout_s=timeout_s)
        reply.pop("status")
        return reply

    def _bury(self) -> None:
        """Report sessions of hosts that were killed as gone."""
        from bridges import host_sessions

        for request in host_sessions.lost(self._place.home):
            with contextlib.suppress(RemoteError):  # the name may be another's by now
                self._door.request(request)


def _folder(place: Place) -> str:
    return os.path.join(place.home, "sessions")


def _file(place: Place, name: str) -> str:
    return os.path.join(_folder(place), f"{saved_sessions.prefix('cli')}{name}.json")


def current_name(place: Place, wanted: str | None) -> str:
    """``--as``, $IPC_NAME, or the name last registered in a shell. With a key file, its name. Raises ShellNotRegistered."""
    name = wanted or environment.own_name()
    key = saved_sessions.key()
    if key is not None:
        if name not in (None, key.name):
            raise IpcError("key_bound", name=key.name, claimed=name)
        return key.name
    if name is None:
        try:
            with open(os.path.join(_folder(place), "cli-current"), encoding="utf-8") as f:
                name = f.read().strip()
        except (OSError, ValueError):
            raise ShellNotRegistered("Not registered") from None
    if not is_name(name):
        raise IpcError("invalid_name")
    return name


def save(place: Place, name: str, token: str) -> None:
    """Keep the session and make it the shell's present one."""
    from broker.home.files import write_private

    write_private(_file(place, name), json.dumps({"name": name, "token": token}))
    if saved_sessions.key() is None:
        write_private(os.path.join(_folder(place), "cli-current"), name + "\n")


def forget(place: Place, name: str) -> None:
    with contextlib.suppress(FileNotFoundError):
        os.unlink(_file(place, name))


def renamed(place: Place, shell: Shell, name: str) -> None:
    """Note the new name of the shell's session. An agent's hooks and tools follow."""
    saved_sessions.follow(place.home, shell.token, name)
    if shell.path == _file(place, shell.name):
        save(place, name, shell.token)
        if shell.name != name:
            forget(place, shell.name)


def register(place: Place, name: str) -> dict[str, Any]:
    """Register the name and make it the shell's. Returns the broker's reply."""
    from broker.home.data_folder import prepare_home
    from broker.home.settings import Settings
    from broker.protocol.ids import auth_token

    settings = Settings.load(home=place.home)
    prepare_home(settings)
    proof = "" if settings.key_file else auth_token(name, settings.shared_secret)  # this machine's secret stays here
    with QuickConnection(place) as door:
        reply = door.request({"action": "register", "instance_id": name, "auth_token": proof})
    save(place, name, reply["session_token"])
    return reply


def resume(place: Place, wanted: str | None) -> Shell:
    """The shell's session, without a request of its own. Raises ShellNotRegistered.

    The shell of an agent is the agent: if the host's session, or the folder's, is registered, it is that session.
    """
    given = wanted or environment.own_name()
    hosted = None if given else _of_host(place)
    if hosted is not None:
        return hosted
    try:
        name = current_name(place, wanted)
    except ShellNotRegistered:
        only = _of_folder(place, None)
        if only is None:
            raise
        return only
    try:
        with open(_file(place, name), encoding="utf-8") as f:
            token = json.load(f)["token"]
    except (OSError, ValueError, KeyError, TypeError):
        found = _of_folder(place, name) if given else None
        if found is None:
            raise ShellNotRegistered(f"{name} is not registered in this shell's sessions") from None
        return found
    return Shell(place, name, str(token), _file(place, name))


def _of_host(place: Place) -> Shell | None:
    """The session of the Claude Code that runs this shell as a tool; None outside of one."""
    session = os.environ.get("CLAUDE_CODE_SESSION_ID")
    if not session:
        return None
    from bridges import host_sessions

    bound = host_sessions.load(place.home, session)
    path = host_sessions.path_of(place.home, bound.session) if bound is not None else ""
    return Shell(place, bound.name, bound.token, path) if bound is not None else None


def _of_folder(place: Place, name: str | None) -> Shell | None:
    """The session that an agent of this folder has under a name; without a name, the folder's only one."""
    found = [(n, path) for n, path in saved_sessions.of_project(place.home, working_folder()) if name in (None, n)]
    token = saved_sessions.read_json(found[0][1]).get("token") if len(found) == 1 else None
    return Shell(place, found[0][0], str(token), found[0][1]) if token else None
