"""Who a shell is, and its requests.

In an agent's shell that is the agent (bridges.agents_shell). In any other it is what ``--as`` or ``$IPC_NAME`` asks for, else
the name of its terminal, else the data folder's default name (bridges.shell_names).
"""

from __future__ import annotations

import os

from bridges import agents_shell, saved_sessions, shell_names
from bridges.agents_shell import SharedProcess, ShellNotRegistered
from broker.client.json_lines import QuickConnection
from broker.home import environment
from broker.home.paths import Place, working_folder
from broker.protocol.errors import IpcError, RemoteError
from broker.protocol.essentials import DEFAULT_TIMEOUT_S
from broker.protocol.names import is_name

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from typing import Any

    from bridges.host_sessions import Binding


class Shell:
    """A shell's session and its connection, as a context manager. Its end gives back mail that was not acknowledged."""

    def __init__(self, place: Place, name: str, token: str, path: str, agent: Binding | None = None) -> None:
        self.name = name
        self.token = token
        self._place = place
        self.path = path
        """The file that keeps the token: the shell's own, or that of its agent's host or folder."""
        self._agent = agent
        self._door = QuickConnection(place)

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

            try:
                self.token = renew(self._place, self.name, self.token, self.path, door="cli", body=self._body())
            except RemoteError as lost:
                lost.data.setdefault("name", self.name)
                raise
            reply = self._door.request({**body, "session_token": self.token}, timeout_s=timeout_s)
        reply.pop("status")
        return reply

    def renamed(self, name: str) -> None:
        """Note the mailbox's name in all files that keep its session: what asks for the old name goes on finding it."""
        saved_sessions.follow(self._place.home, self.token, name)
        self.name = name

    def gave_up(self) -> None:
        """Forget the session, which has no name any more. An agent's host keeps its own, and registers at its next start."""
        if not os.path.basename(self.path).startswith(saved_sessions.prefix("host")):
            shell_names.forget(self._place.home, self.token)

    def _body(self) -> dict[str, Any] | None:
        """Who acts by this session, where it is the agent's whose shell this is, or this terminal's own."""
        if self._agent is not None:
            return self._agent.body()
        at = shell_names.terminal()
        return at.body() if at is not None and at.path(self._place.home) == self.path else None

    def _bury(self) -> None:
        """Report sessions of hosts that were killed as gone."""
        from contextlib import suppress

        from bridges import host_sessions

        for request in host_sessions.lost(self._place.home):
            with suppress(RemoteError):  # the name may be another's by now
                self._door.request(request)


def ask_as(place: Place, options: argparse.Namespace, action: str, **fields: Any) -> dict[str, Any]:
    """The reply to one request of a command. Raises IpcError, ShellNotRegistered."""
    with resume(place, options.as_) as me:
        return me.request(action, **fields)


def asked_name(wanted: str | None) -> tuple[str, str]:
    """(name, who asks for it: ``--as`` or ``IPC_NAME``); both empty if nobody does. Raises ``bad_request``, ``key_bound``."""
    name, by = (wanted, "--as") if wanted else (environment.own_name() or "", environment.NAME)
    if not name:
        return "", ""
    if not is_name(name):
        raise IpcError("bad_request", detail=f"{by} asks for {name[:64]!r}, which can be no name: use 1-32 of A-Z a-z 0-9 _ -")
    key = saved_sessions.key()
    if key is not None and name != key.name:
        raise IpcError("key_bound", name=key.name, claimed=name)
    return name, by


def resume(place: Place, wanted: str | None) -> Shell:
    """The shell's session, without a request of its own. Raises ShellNotRegistered."""
    agent = agent_of(place, wanted)
    if agent is not None:
        return of_agent(place, agent)
    name, by = asked_name(wanted)
    kept = shell_names.of_shell(place.home, name)
    if kept is not None:
        return Shell(place, kept.name, kept.token, kept.path)
    at = shell_names.terminal()
    found = _of_folder(place, name) if name or at is None else None
    if found is None:
        raise _nobody(place, name, by, at)
    return found


def agent_of(place: Place, wanted: str | None) -> Binding | None:
    """The agent whose shell this is, unless ``--as``, or an ``$IPC_NAME`` that was set in this shell, asks for another name."""
    try:
        agent = agents_shell.own_session(place.home)
    except SharedProcess as e:
        name = wanted or environment.own_name()
        if not name or (not wanted and agents_shell.came_with_host(e.running[0], name)):
            raise
        return next((b for b in e.running if b.name == name), None)
    if agent is None or wanted:
        return None
    name = environment.own_name()
    return agent if not name or agents_shell.came_with_host(agent, name) else None


def of_agent(place: Place, agent: Binding) -> Shell:
    from bridges import host_sessions

    return Shell(place, agent.name, agent.token, host_sessions.path_of(place.home, agent.session), agent)


def _of_folder(place: Place, name: str) -> Shell | None:
    """The session that an agent of this folder has under a name; without a name, the folder's only one."""
    found = [(n, path) for n, path in saved_sessions.of_project(place.home, working_folder()) if name in ("", n)]
    token = saved_sessions.read_json(found[0][1]).get("token") if len(found) == 1 else None
    return Shell(place, found[0][0], str(token), found[0][1]) if token else None


def _nobody(place: Place, name: str, by: str, at: shell_names.Terminal | None) -> ShellNotRegistered:
    """Why the shell has no session, and the command that gives it one."""
    if name:
        leave = "leave --as out" if by == "--as" else f"unset {by}"
        return ShellNotRegistered(f"{by} asks for {name}, which no shell has registered", f"ipc register {name}, or {leave}")
    if at is None:
        return ShellNotRegistered("Not registered")
    from bridges.folder_names import free_name

    offered = free_name(place, os.path.basename(working_folder()))
    return ShellNotRegistered("This terminal has no name yet", f"ipc register {offered}")
