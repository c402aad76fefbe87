"""Whether a person writes through a connection. The broker decides it by what the kernel says of the client's process.

    a person     the process has a controlling terminal, and no agent's host is among it and its ancestors
    nobody       any other: ZeroMQ, another pid namespace, a system without /proc, a process that has ended

A host is known as the body of a session, by its program's name, and by what it sets for the commands that it runs. A process of
the same user can get round each of these. So this tells a person's shell from an agent's, and is no proof.
"""

from collections.abc import Callable

from broker.core.facts import Body
from broker.core.state import Route, State
from broker.home.environment import HOST_MARKS, HOST_PROGRAMS
from broker.home.process_table import environment_of, is_alive, lineage, stat

_TERMINAL = 4
"""Which field of ``stat`` is the controlling terminal; 0 stands for none."""


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
            bodies = [session.body for session in self._state.sessions.values() if session.body is not None]
            verdict = self._verdicts[route] = is_person(pid, {body.pid: body for body in bodies if body.kind == "session"})
        return verdict

    def forget(self, route: Route) -> None:
        """The connection has ended."""
        self._verdicts.pop(route, None)


def is_person(pid: int, hosts: dict[int, Body]) -> bool:
    """The verdict on a process; ``hosts`` are bodies of sessions by process."""
    _name, fields = stat(pid)
    if not fields or fields[_TERMINAL] == "0":
        return False
    return not any(_is_host(one, hosts.get(one)) for one in lineage(pid))


def _is_host(pid: int, body: Body | None) -> bool:
    """True if the process is a host, or was started by one."""
    if stat(pid)[0] in HOST_PROGRAMS or (body is not None and is_alive(pid, body.started)):
        return True
    try:
        environment = environment_of(pid)
    except OSError:  # another user's, such as sshd
        return False
    return any(environment.get(mark) for mark in HOST_MARKS)
