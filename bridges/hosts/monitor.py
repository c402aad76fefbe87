"""``ipc monitor`` and ``ipc wait``: processes beside a host's session that tell it of new mail.

The monitor runs as long as the session (monitors/monitors.json of the plugin). Each line it prints reaches the model, also an
idle one. ``ipc wait`` is for a hook with ``asyncRewake``: at the first mail it ends with status 2 and a text on standard error.
Both learn of mail from a subscription that carries no mail. They acknowledge nothing.
"""

from __future__ import annotations

import json
import os
import select
import sys
import time

from bridges import host_sessions, saved_sessions, waking
from bridges.hosts.agent_session import AgentSession
from bridges.hosts.hook_log import failure, note
from broker.client.json_lines import QuickConnection
from broker.home.paths import Place
from broker.protocol.errors import IpcError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from bridges.host_sessions import Binding

_BOUND_S = 600.0
"""Seconds to wait for the session's first hook. The host asks its user for trust before."""
_POLL_S = 0.25
_LOOK_S = 0.2
"""Seconds between looks at whether a notice that is due may be given."""
_ANSWER_S = 5.0
_RETRY_S = (0.2, 5.0)
REWAKE = 2
"""The exit status that wakes the model."""


def monitor(arguments: list[str]) -> int:
    """Print a line for each arrival of mail that nothing else brings. With ``--queue``, queue it for Codex CLI.

    Exit status 0 when the session ends.
    """
    if arguments[1:] == ["--queue"]:
        return _run(arguments, "queue", lambda text: _queue(arguments[0], text))
    return _run(arguments, "monitor", _print)


def wait(arguments: list[str]) -> int:
    """Wait for mail. Exit status 2 with a text on standard error; 0 if another way is armed, or if nobody attends the session.

    An unattended ``claude -p`` would not end before this does.
    """
    if os.environ.get("CLAUDE_CODE_SESSION_ATTENDED") == "0":
        return 0
    return _run(arguments, "rewake", _exit)


def _print(text: str) -> None:
    print(text, flush=True)


def _queue(session: str, text: str) -> None:
    from bridges.hosts.codex_queue import queue

    binding = host_sessions.load(Place.here().home, session)
    if binding is not None and binding.live():
        queue(binding, text)


class _Woken(Exception):
    """The notice was given; the process ends."""


def _exit(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
    raise _Woken


def _run(arguments: list[str], way: str, tell: Any) -> int:
    home = Place.here().home
    session = arguments[0] if arguments else os.environ.get("CLAUDE_CODE_SESSION_ID", "")
    try:
        if saved_sessions.key() is not None:
            return 0  # no pushes come from another machine; hooks bring the mail at prompts and tool calls
        if not session and way == "rewake":
            session = _session_on_stdin()
        armed = waking.HeldWay(home, session, way)
        if _bound(home, session) is None or not armed.arm():
            return 0
        try:
            for count in notices(home, session, armed):
                tell(waking.notice(count))
        finally:
            armed.rest()
    except _Woken:
        return REWAKE
    except (BrokenPipeError, KeyboardInterrupt):
        return 0
    except Exception as e:  # the one broad catch of this process: the session goes on without it
        failure(home, e, "watch_failed", way=way)
        return 0
    return 0


def _session_on_stdin() -> str:
    """The session id in the JSON that a hook gets on standard input; empty if there is none."""
    try:
        given = json.load(sys.stdin)
    except ValueError:
        return ""
    found = given.get("session_id") if isinstance(given, dict) else None
    return found if isinstance(found, str) else ""


def _bound(home: str, session: str) -> Binding | None:
    """The session's binding, once its first hook has made it; None if none comes."""
    end_s = time.monotonic() + _BOUND_S
    while session and time.monotonic() < end_s:
        binding = host_sessions.load(home, session)
        if binding is not None:
            return binding
        time.sleep(_POLL_S)
    return None


def notices(home: str, session: str, way: waking.HeldWay) -> Iterator[dict[str, Any]]:
    """The count of what waits, each time that a notice is due. Ends with the host's process."""
    pause_s = _RETRY_S[0]
    while (binding := host_sessions.load(home, session)) is not None and binding.live():
        try:
            with QuickConnection(Place(home), autostart=False, door="hook") as broker:
                body = {"action": "subscribe", "session_token": binding.token, "notify": True, "door": "hook"}
                broker.send([body], time.monotonic() + _ANSWER_S)
                pause_s = _RETRY_S[0]
                yield from _pushes(home, session, way, broker)
        except (OSError, ValueError, IpcError) as e:  # the service is down, restarts, or refuses: it will come back
            note(home, "info", "watch_lost", way=way.name, error=str(e))
            unread(home, session)  # renews a session that ended
        time.sleep(pause_s)
        pause_s = min(pause_s * 2, _RETRY_S[1])


def _pushes(home: str, session: str, way: waking.HeldWay, broker: QuickConnection) -> Iterator[dict[str, Any]]:
    """The count of what waits, each time that a notice is due: after a burst, outside of turns, one at a time.

    Raises OSError when the connection ends.
    """
    due_s: float | None = None
    given: waking.Outlook | None = None
    way.arm()
    while True:
        if given is not None and (given.heeded() or given.over()):
            given = _next_way(home, session, way, given)
        if given is None and due_s is not None and time.monotonic() >= due_s and way.wanted():
            due_s, count = None, unread(home, session)  # a hook may have brought the mail meanwhile
            if count is not None:
                given = waking.Outlook(home, session)
                yield count
        idle = due_s is None and given is None
        ready, _, _ = select.select([broker], [], [], 30.0 if idle else _LOOK_S)
        if not ready:
            if (binding := host_sessions.load(home, session)) is None or not binding.live():
                return
            continue
        for told in broker.receive(time.monotonic() + _ANSWER_S):
            if told.get("status") == "error":
                raise ValueError(told.get("message"))
            # the reply to subscribe counts what came before; a count of its own would tell mail between the two twice
            if due_s is None and (told.get("push") == "new" or told.get("unread")):
                due_s = time.monotonic() + waking.GATHER_S


def _next_way(home: str, session: str, way: waking.HeldWay, given: waking.Outlook) -> waking.Outlook | None:
    """Leave a notice that was not heeded to a worse way for as long again. None once this way may speak again."""
    if given.heeded() or way.resting() or unread(home, session) is None:
        way.arm()
        return None
    way.rest()
    return waking.Outlook(home, session)


def unread(home: str, session: str) -> dict[str, Any] | None:
    """The count of what waits, as a push says it; None if nothing waits."""
    binding = host_sessions.load(home, session)
    if binding is None:
        return None
    try:
        with QuickConnection(Place(home), autostart=False, door="hook") as door:
            found = AgentSession(home, door, binding).ask("count")
    except IpcError as e:
        note(home, "info", "count_failed", code=e.code, text=e.text)
        return None
    return {"instance_id": binding.name, **found} if waking.loud(found) else None
