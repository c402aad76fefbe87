"""Who is at the other end of a connection. The broker decides it by what the kernel says of the client's process.

    a person       the process has a controlling terminal, and no agent's host is among it and its ancestors
    may decide     no host is among them; or it is a door of this service, whoever has started that
    nobody         any other: ZeroMQ, another pid namespace, a process that has ended; without /proc nobody is a person

broker.home.host_processes says how a host is known, and why none of this is a proof.
"""

import os
from collections.abc import Callable

from broker.core.facts import Body
from broker.core.state import Route, State
from broker.home.host_processes import has_terminal, under_host
from broker.home.process_table import is_alive, parent_of, stat


class Persons:
    """One verdict a connection, made when it first matters. ``process_of`` gives the process at its other end, or 0."""

    def __init__(self, state: State, process_of: Callable[[Route], int]) -> None:
        self._state = state
        self._process_of = process_of
        self._verdicts: dict[Route, bool] = {}

    def __call__(self, route: Route) -> bool:
        verdict = self._verdicts.get(route)
        if verdict is None:
            pid = self._process_of(route)
            if not pid:
                return False
            verdict = self._verdicts[route] = is_person(pid, self._hosts())
        return verdict

    def may_decide(self, route: Route) -> bool:
        """Whether the connection may decide about a permission, beside showing the owner's key. Looked at anew each time."""
        return may_decide(self._process_of(route), self._hosts())

    def _hosts(self) -> dict[int, Body]:
        bodies = [session.body for session in self._state.sessions.values() if session.body is not None]
        return {body.pid: body for body in bodies if body.kind == "session"}

    def forget(self, route: Route) -> None:
        """The connection has ended."""
        self._verdicts.pop(route, None)


def is_person(pid: int, hosts: dict[int, Body]) -> bool:
    """The verdict on a process; ``hosts`` are bodies of sessions by process."""
    return has_terminal(pid) and not _under_host(pid, hosts)


def may_decide(pid: int, hosts: dict[int, Body]) -> bool:
    """The verdict on a process, 0 for one that is not known."""
    if not os.path.isdir("/proc/self"):
        return True  # nothing can be told of it
    if not pid or not stat(pid)[1]:
        return False
    supervisor = os.getppid()
    if supervisor > 1 and parent_of(pid) == supervisor:  # a door, also where an agent's first request started the service
        return True
    return not _under_host(pid, hosts)


def _under_host(pid: int, hosts: dict[int, Body]) -> bool:
    def is_session(one: int) -> bool:
        body = hosts.get(one)
        return body is not None and bool(is_alive(one, body.started))

    return under_host(pid, is_session)
