"""Bodies that mail has started for closed sessions, and the lock that whoever opens a session takes.

``resume/`` of the data folder, made by the door that starts bodies; where it is missing, nobody looks here.

    SESSION.lock      held while a process decides to be the session's body: the starter of a body, and the hook by which a
                      session that a person opens begins
    SESSION.json      the last body: its process (id and start), the message it was started for, until when, whether it began
    SESSION.N.body    locked by the body's processes, which get the descriptor from the starter over exec
    SESSION.out       what it printed

A body lives while its process does. Until its first hook has run, so that the host's own process is known (a host's program may
be a script that starts another), it also lives while anything holds the lock of SESSION.N.body. Locks end with the processes
that hold them, and a process id is told from a later one by its start: nothing is left behind by kill -9.
"""

from __future__ import annotations

import json
import os
import signal
import time

from bridges import host_sessions, saved_sessions
from broker.home.locks import is_held, lock
from broker.home.process_table import is_alive, lineage, process_started

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

FOLDER = "resume"
_END_S = 3.0
"""Seconds that a body has to end in order, before it is killed."""
_POLL_S = 0.02


class StartedBody:
    """One body. Times are Unix seconds."""

    __slots__ = ("at_s", "attempt", "began", "ended", "host", "name", "newest", "pid", "session", "started", "until_s")

    def __init__(
        self,
        *,
        session: str,
        name: str,
        host: str,
        newest: int,
        attempt: int,
        pid: int,
        started: str,
        at_s: float,
        until_s: float,
        began: bool = False,
        ended: str = "",
    ) -> None:
        self.session = session
        self.name = name
        self.host = host
        self.newest = newest
        """The message for which it was started, and how many times it was tried for that one."""
        self.attempt = attempt
        self.pid = pid
        self.started = started
        self.at_s = at_s
        self.until_s = until_s
        self.began = began
        """Its first hook ran: it is known that the host went on with the session."""
        self.ended = ended
        """Why it ended; empty while that is unknown."""

    def runs(self) -> bool:
        """True while the process that was started lives."""
        return is_alive(self.pid, self.started) is True


def folder(home: str) -> str:
    return os.path.join(home, FOLDER)


def path_of(home: str, session: str, ending: str) -> str:
    kept = os.path.basename(host_sessions.path_of("", session)).removesuffix(".json")
    return os.path.join(folder(home), f"{kept}.{ending}")


def held_path(home: str, session: str, attempt: int) -> str:
    return path_of(home, session, f"{attempt}.body")


def is_used(home: str) -> bool:
    """True where bodies may be started."""
    return os.path.isdir(folder(home))


def of_session(home: str, session: str) -> StartedBody | None:
    """The last body of a session."""
    return _read(path_of(home, session, "json"))


def all_of(home: str) -> list[StartedBody]:
    """The last body of each session."""
    try:
        entries = os.listdir(folder(home))
    except FileNotFoundError:
        return []
    found = (
        _read(os.path.join(folder(home), entry)) for entry in entries if entry.startswith("host-") and entry.endswith(".json")
    )
    return [body for body in found if body is not None]


def _read(path: str) -> StartedBody | None:
    try:
        return StartedBody(**saved_sessions.read_json(path))
    except TypeError:  # there is none, or one of another version
        return None


def save(home: str, body: StartedBody) -> None:
    """Keep it on the disk. Raises OSError."""
    from broker.home.files import write_private

    text = json.dumps({name: getattr(body, name) for name in StartedBody.__slots__})
    write_private(path_of(home, body.session, "json"), text, durable=True)


def lives(home: str, body: StartedBody | None) -> bool:
    """True while a process of the body goes on with the session."""
    if body is None:
        return False
    return body.runs() or (not body.began and is_held(held_path(home, body.session, body.attempt)))


def is_mine(body: StartedBody | None) -> bool:
    """True for a process of the body, such as its hooks."""
    return body is not None and body.runs() and body.pid in lineage(os.getpid())


def opens(home: str, session: str) -> lock:
    """Hold this, and wait for it, to decide to be the session's body."""
    return lock(path_of(home, session, "lock"), wait=True)


def end(home: str, body: StartedBody, why: str) -> bool:
    """End a body in order, and kill it if it does not. Its record says why. False if the disk did not take the record.

    It leads a process group of its own, in which children live on that hold its lock behind a program that has ended.
    """
    now, kept = of_session(home, body.session), True
    if now is not None and (now.pid, now.started) == (body.pid, body.started) and not now.ended:
        now.ended = why
        kept = _saved(home, now)  # before the signal, since whoever sees it end asks why
    if lives(home, body) and process_started(body.pid) in ("", body.started):  # else the id is a later process's
        _signal(os.kill if body.runs() else os.killpg, body.pid, signal.SIGTERM)
        end_s = time.monotonic() + _END_S
        while lives(home, body) and time.monotonic() < end_s:
            time.sleep(_POLL_S)
        _signal(os.killpg, body.pid, signal.SIGKILL)
    return kept


def _signal(send: Any, pid: int, number: int) -> None:
    try:
        send(pid, number)
    except (ProcessLookupError, PermissionError):  # nobody is there, or nobody of ours
        return


def note_begin(home: str, body: StartedBody) -> bool:
    """The body's first hook runs. False if the disk did not take it: then the body is known by its lock as before."""
    if body.began:
        return True
    body.began = True
    return _saved(home, body)


def _saved(home: str, body: StartedBody) -> bool:
    try:
        save(home, body)
    except OSError:
        return False
    return True


class Opening:
    """The moment in which a process of a host takes up a session, for its hook: ``with Opening(home, session) as ended``.

    A body's own hook notes that it began. For any other process this is a person's terminal, which wins: a body that runs is
    ended, and ``ended`` is its name, else empty. Nobody starts one until the block is left.
    """

    def __init__(self, home: str, session: str, note: Callable[..., None]) -> None:
        """``note(event, name=...)`` is told of what the disk did not take."""
        self._home = home
        self._session = session
        self._note = note
        self._lock: lock | None = None

    def __enter__(self) -> str:
        if not is_used(self._home):
            return ""
        body = of_session(self._home, self._session)
        if body is not None and is_mine(body):
            if not note_begin(self._home, body):
                self._note("begin_not_kept", name=body.name)
            return ""
        self._hold()
        body = of_session(self._home, self._session)
        if body is None or not lives(self._home, body):
            return ""
        if not end(self._home, body, "the session was opened in a terminal"):
            self._note("end_not_kept", name=body.name)
        return body.name

    def _hold(self) -> None:
        self._lock = opens(self._home, self._session)
        try:
            self._lock.__enter__()
        except OSError as e:  # a full disk: the terminal wins all the same
            if e.errno not in saved_sessions.NO_ROOM:
                raise
            self._lock = None

    def __exit__(self, *_: object) -> None:
        if self._lock is not None:
            self._lock.__exit__()
