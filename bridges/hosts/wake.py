"""Waking an idle agent. A notice points to the mail; only a read or an injected delivery acknowledges it.

Ways, best first: of Claude Code the session's inbox socket, a channel notification, a plugin monitor's line, an asyncRewake
hook; of Codex CLI its queue of messages. Each that is armed for a session holds a lock, and gives notice only while no
better one is armed: so nothing is said twice. While a turn runs no way is needed, because hooks bring the mail.

Nothing here waits: the process that serves MCP for all agents calls it from its event loop.
"""

from __future__ import annotations

import json
import os
import socket
import time

from bridges import sessions
from bridges.hosts import binding as bindings

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from bridges.hosts.binding import Binding

WAYS = ("socket", "channel", "monitor", "queue", "rewake")
CHANNEL_CAPABILITY: dict[str, dict[str, Any]] = {"claude/channel": {}}
"""Claude Code takes a server that announces this for a channel: what it pushes reaches an idle agent."""
CHANNEL_METHOD = "notifications/claude/channel"
SOCKET_VARIABLE = "CLAUDE_CODE_MESSAGING_SOCKET"
TOKEN_VARIABLE = "CLAUDE_CODE_MESSAGING_TOKEN"  # noqa: S105 (the variable's name)


def notice(name: str, push: Mapping[str, Any]) -> str:
    """What a notice says: ``push`` has ``unread``, ``interrupt`` and ``from`` as the broker's pushes have them."""
    unread, urgent = int(push.get("unread", 1)), int(push.get("interrupt", 0))
    senders = [str(name) for name in push.get("from") or ()]
    parts = [f"agent-ipc: {unread} unread message{'s' if unread != 1 else ''} for {name}"]
    if urgent:
        parts.append(f"{urgent} urgent")
    if senders:
        more = f" and {len(senders) - 3} others" if len(senders) > 3 else ""
        parts.append(f"from {', '.join(senders[:3])}{more}")
    return f"{', '.join(parts)}. The check tool of the ipc server reads {'it' if unread == 1 else 'them'}."


# the inbox socket of a Claude Code session


def frames(text: str, token: str | None) -> bytes:
    """What the inbox socket takes, a JSON object a line: the token first, then the text. Nothing is answered.

    The form is not in the host's documentation: its debug log shows it, and 2.1.331 takes it.
    """
    lines: list[dict[str, Any]] = [{"type": "auth", "token": token}] if token else []
    lines.append({"type": "user", "message": {"role": "user", "content": text}})
    return b"".join(json.dumps(line).encode() + b"\n" for line in lines)


def post(path: str, token: str | None, text: str) -> bool:
    """Hand the text to the session that listens at the socket. False if none does, or if it would have to be waited for."""
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


def arm(home: str, session: str, way: str) -> int | None:
    """Say that this process can wake the session in this way, while the descriptor is open; None if another does already."""
    return sessions.hold(_way_path(home, session, way))


def better_armed(home: str, session: str, way: str) -> bool:
    """True while a better way than this is armed for the session."""
    better = WAYS[: WAYS.index(way)]
    return any(sessions.locked(_way_path(home, session, other)) for other in better)


def _way_path(home: str, session: str, way: str) -> str:
    return bindings.path_of(home, session).removesuffix(".json") + f".{way}"


def wanted(home: str, session: str, way: str) -> bool:
    """True if a notice in this way is wanted now: no turn runs, and no better way is armed."""
    return not bindings.busy(home, session, time.time()) and not better_armed(home, session, way)


def reach_of_hooks(binding: Binding) -> list[str]:
    """How mail arrives by hooks, and whether the session's inbox socket answers; for the presence that others see."""
    ways = ["prompt", "tool"]
    if binding.holds:
        ways.append("stop")
    if binding.wake:
        ways.insert(0, "queue")
    if binding.host == "claude" and listens(os.environ.get(SOCKET_VARIABLE, "")):
        ways.insert(0, "socket")
    return ways
