"""Waking an idle agent. A notice points to the mail; only a read or an injected delivery acknowledges it.

The ways of Claude Code, best first: the session's inbox socket, a channel notification, a line of the plugin's monitor, an
asyncRewake hook. Codex CLI has one, its queue of messages. A way that is armed for a session holds a lock. It gives notice only
while no better way is armed, so nothing is said twice. A way whose notice brought no turn rests, and the next one speaks. While
a turn runs, hooks bring the mail and no way is needed. A session has one notice outstanding, and a burst of mail is one notice.

Nothing here waits: the process that serves MCP for all agents calls it from its event loop.
"""

from __future__ import annotations

import json
import os
import socket
import time

from bridges import host_sessions, host_turns
from bridges.plurals import number_of
from broker.home.locks import hold, is_held

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from bridges.host_sessions import Binding

GATHER_S = 0.3
"""Seconds for which a burst of mail is gathered into one notice."""
WAYS = ("socket", "channel", "monitor", "queue", "rewake")
CHANNEL_CAPABILITY: dict[str, dict[str, Any]] = {"claude/channel": {}}
"""A server that announces this is a channel for Claude Code: its pushes reach an idle agent."""
CHANNEL_METHOD = "notifications/claude/channel"
SOCKET_VARIABLE = "CLAUDE_CODE_MESSAGING_SOCKET"
TOKEN_VARIABLE = "CLAUDE_CODE_MESSAGING_TOKEN"  # noqa: S105 (the variable's name)


def loud(count: Mapping[str, Any]) -> int:
    """How much of what the broker counted is worth waking its reader, or a word: all but what comes with other mail."""
    return int(count.get("unread", 0)) - int(count.get("digest", 0))


def notice(count: Mapping[str, Any]) -> str:
    """The text of a notice, from the broker's ``count``.

    It names the newest message, because Claude Code drops a text that equals the one before. In the turn that a notice begins,
    the host's prompt hook may have brought the mail already.
    """
    unread, urgent, newest = int(count.get("unread", 1)), int(count.get("interrupt", 0)), count.get("newest")
    senders = [str(sender) for sender in count.get("from") or ()]
    parts = [f"agent-ipc: {number_of(unread, 'unread message')} for {count.get('instance_id')}"]
    if newest:
        parts[0] += f" ({'' if unread == 1 else 'newest '}#{newest})"
    if urgent:
        parts.append(f"{urgent} urgent")
    if senders:
        more = f" and {number_of(len(senders) - 3, 'other')}" if len(senders) > 3 else ""
        parts.append(f"from {', '.join(senders[:3])}{more}")
    return f"{', '.join(parts)}. What does not come with this notice, the check tool of the ipc server reads."


# the inbox socket of a Claude Code session


def frames(text: str, token: str | None) -> bytes:
    """What the inbox socket takes: a JSON object a line, the token first, then the text. It answers nothing.

    The host's documentation lacks this form; its debug log shows it, and 2.1.332 takes it.
    """
    lines: list[dict[str, Any]] = [{"type": "auth", "token": token}] if token else []
    lines.append({"type": "user", "message": {"role": "user", "content": text}})
    return b"".join(json.dumps(line).encode() + b"\n" for line in lines)


def post(path: str, token: str | None, text: str) -> bool:
    """Hand the text to the session that listens at the socket. False if none does, or if it would block."""
    raw = frames(text, token)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as s:
        s.setblocking(False)
        try:
            s.connect(path)
            return s.send(raw) == len(raw)
        except (OSError, ValueError):
            return False


def listens(path: str) -> bool:
    """True if a session listens at the socket. Nothing is said to it."""
    if not path:
        return False
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as s:
        s.setblocking(False)
        try:
            s.connect(path)
        except (OSError, ValueError):
            return False
    return True


# which way is armed


class HeldWay:
    """One way by which this process can wake the session, armed while it holds the way's lock."""

    def __init__(self, home: str, session: str, name: str) -> None:
        self._home, self._session, self.name = home, session, name
        self._fd: int | None = None

    def arm(self) -> bool:
        """Take the way. False if another process has it."""
        if self._fd is None:
            self._fd = hold(_way_path(self._home, self._session, self.name))
        return self._fd is not None

    def rest(self) -> None:
        """Leave it to worse ways, until it is armed again."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None

    def resting(self) -> bool:
        return self._fd is None

    def wanted(self) -> bool:
        """True if this way should give notice now: it is armed, no turn runs, and no better way is armed."""
        busy = host_turns.busy(self._home, self._session, time.time())
        return self._fd is not None and not busy and not better_armed(self._home, self._session, self.name)


def better_armed(home: str, session: str, way: str) -> bool:
    """True while a better way is armed for the session."""
    better = WAYS[: WAYS.index(way)]
    return any(is_held(_way_path(home, session, other)) for other in better)


def _way_path(home: str, session: str, way: str) -> str:
    return host_sessions.path_of(home, session).removesuffix(".json") + f".{way}"


class Outlook:
    """Whether a notice brought a turn of the session, which its hooks see. (The other sign is that the mail was read.)

    mail comes --> a burst is gathered --> no turn runs --> notice --> heeded: done
                                                              `-- nothing for ``look_s`` --> the next way
    """

    def __init__(self, home: str, session: str) -> None:
        binding = host_sessions.load(home, session)
        self._home, self._session = home, session
        self._before = host_turns.stirred(home, session)
        self.until_s = time.monotonic() + (binding.look_s if binding is not None else host_sessions.LOOK_S)

    def heeded(self) -> bool:
        return host_turns.stirred(self._home, self._session) != self._before

    def over(self) -> bool:
        return time.monotonic() >= self.until_s


def reach_of_hooks(binding: Binding) -> list[str]:
    """The ways by which hooks bring mail, and the inbox socket if it answers. Others see them in the presence."""
    ways = ["prompt", "tool"]
    if binding.holds:
        ways.append("stop")
    if binding.wake:
        ways.insert(0, "queue")
    if binding.host == "claude" and listens(os.environ.get(SOCKET_VARIABLE, "")):
        ways.insert(0, "socket")
    return ways
