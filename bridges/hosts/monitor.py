"""``ipc monitor`` and ``ipc wait``: processes beside a host's session that wake it when the broker says so.

The monitor runs as long as the session (monitors/monitors.json of the plugin). Each line it prints reaches the model, also an
idle one. With ``--queue`` it queues the notice for Codex CLI, with ``--socket`` it writes the mail into the session's inbox
(bridges.hosts.inbox_frames). ``ipc wait`` is for a hook with ``asyncRewake``: at the first notice it ends with status 2 and a
text on standard error. Each arms one way (bridges.waking) and acknowledges no mail.
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
from bridges.hosts.inbox_frames import FrameWay
from broker.client.json_lines import QuickConnection
from broker.home.paths import Place
from broker.protocol.errors import IpcError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from bridges.host_sessions import Binding
    from bridges.waking import WakeWay

_BOUND_S = 600.0
"""Seconds to wait for the session's first hook. The host asks its user for trust before."""
_POLL_S = 0.25
_HOST_S = 30.0
"""Seconds between looks at whether the host still runs."""
_SOON_S = 1.0
_ANSWER_S = 5.0
_RETRY_S = (0.2, 5.0)


def monitor(arguments: list[str]) -> int:
    """Print a line for each notice, or give it by the way named. Exit status 0 when the session ends."""
    session = arguments[0] if arguments else _session_of_environment()
    if arguments[1:] == ["--queue"]:
        return _run(session, waking.QueueWay)
    if arguments[1:] == ["--socket"]:
        return _run(session, lambda binding: FrameWay(Place.here().home, binding))
    return _run(session, lambda _binding: waking.MonitorWay())


def wait(arguments: list[str]) -> int:
    """Wait for a notice. Exit status 2 with a text on standard error; 0 where another process waits, or nobody attends.

    An unattended ``claude -p`` would not end before this does.
    """
    if os.environ.get("CLAUDE_CODE_SESSION_ATTENDED") == "0":
        return 0
    session = arguments[0] if arguments else _session_of_environment() or _session_on_stdin()
    return _run(session, lambda _binding: waking.RewakeWay())


def _session_of_environment() -> str:
    return os.environ.get("CLAUDE_CODE_SESSION_ID", "")


def _session_on_stdin() -> str:
    """The session id in the JSON that a hook gets on standard input; empty if there is none."""
    try:
        given = json.load(sys.stdin)
    except ValueError:
        return ""
    found = given.get("session_id") if isinstance(given, dict) else None
    return found if isinstance(found, str) else ""


def _run(session: str, way_of: Callable[[Binding], WakeWay]) -> int:
    """Give the session's notices by a way, to the end of its host. The process's exit status."""
    home = Place.here().home
    try:
        if saved_sessions.key() is not None:
            return 0  # no pushes come from another machine; hooks bring the mail at prompts and tool calls
        return 0 if _bound(home, session) is None else _stand_by(home, session, way_of)
    except (BrokenPipeError, KeyboardInterrupt):
        return 0
    except Exception as e:  # the one broad catch of this process: the session goes on without it
        failure(home, e, "watch_failed")
        return 0


def _bound(home: str, session: str) -> Binding | None:
    """The session's binding, once its first hook has made it; None if none comes."""
    end_s = time.monotonic() + _BOUND_S
    while session and time.monotonic() < end_s:
        binding = host_sessions.load(home, session)
        if binding is not None:
            return binding
        time.sleep(_POLL_S)
    return None


def _stand_by(home: str, session: str, way_of: Callable[[Binding], WakeWay]) -> int:
    """Arm the way, and again after each loss of the broker."""
    pause_s = _RETRY_S[0]
    while (binding := host_sessions.load(home, session)) is not None and binding.live():
        try:
            with QuickConnection(Place(home), autostart=False, door="hook") as broker:
                AgentSession(home, broker, binding).ask("whoami")  # renews a session that ended
                pause_s = _RETRY_S[0]
                status = _give_notices(home, session, way_of(binding), broker, binding)
                if status is not None:
                    return status
        except (OSError, ValueError, IpcError) as e:  # the service is down, restarts, or refuses: it will come back
            note(home, "info", "watch_lost", error=str(e))
        time.sleep(pause_s)
        pause_s = min(pause_s * 2, _RETRY_S[1])
    return 0


def _give_notices(home: str, session: str, way: WakeWay, broker: QuickConnection, binding: Binding) -> int | None:
    """Obey the broker's pushes until the host ends; the exit status, None where the session has another token now.

    Raises OSError when the connection ends, ValueError for a refusal.
    """
    me = {"session_token": binding.token, "door": "hook"}
    arming = {"action": "subscribe", "notify": True, "ways": [way.name], "look_s": binding.look_s, **me}
    broker.send([arming], time.monotonic() + _ANSWER_S)
    while True:
        ready, _, _ = select.select([broker], [], [], _SOON_S if way.look() else _HOST_S)
        if not ready:
            if (found := host_sessions.load(home, session)) is None or not found.live():
                return 0
            continue
        for told in broker.receive(time.monotonic() + _ANSWER_S):
            if told.get("status") == "error":
                raise ValueError(told.get("message"))
            if told.get("armed") == []:
                return 0  # another process gives them
            if told.get("push") == "wake":
                result = way.give(waking.notice(told), told)
                answer = {"action": "way", "way": way.name, "result": result, **me}
                broker.send([answer], time.monotonic() + _ANSWER_S)
                note(home, "info", "woken", way=way.name, result=result, name=told.get("instance_id"))
                if result == waking.GIVEN and way.ends is not None:
                    return way.ends
