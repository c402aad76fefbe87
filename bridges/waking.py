"""What gives notices that wake an idle agent: one class a way, and the text of a notice.

The broker decides when a notice is given and by which way (broker.core.wakes). A process beside the host arms its ways with
``subscribe``. At a push ``wake`` the way gives the notice, and the process answers what became of it:

    given     the host has it, or may have it: most hosts answer nothing
    failed    it could not be given now
    refused   the host said no

A notice points to the mail; only a read or an injected delivery acknowledges it. A new way is a class here, and its place in
the order of broker.core.ways; without a place it comes last.
"""

from __future__ import annotations

import json
import os
import socket
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

    from bridges.host_sessions import Binding

GIVEN, FAILED, REFUSED = "given", "failed", "refused"
CHANNEL_CAPABILITY: dict[str, dict[str, Any]] = {"claude/channel": {}}
"""A server that announces this is a channel for Claude Code: its pushes reach an idle agent."""
CHANNEL_METHOD = "notifications/claude/channel"
SOCKET_VARIABLE = "CLAUDE_CODE_MESSAGING_SOCKET"
TOKEN_VARIABLE = "CLAUDE_CODE_MESSAGING_TOKEN"  # noqa: S105 (the variable's name)
_QUEUE_S = 30.0


def loud(count: Mapping[str, Any]) -> int:
    """How much of what the broker counted is worth waking its reader, or a word: all but what comes with other mail."""
    return int(count.get("unread", 0)) - int(count.get("digest", 0))


def notice(count: Mapping[str, Any]) -> str:
    """The text of a notice, from the broker's ``count``.

    It names the newest message, because Claude Code drops a text that equals the one before. In the turn that a notice begins,
    the host's prompt hook may have brought the mail already.
    """
    urgent = "urgent " if count.get("interrupt") else ""
    newest = f" #{count['newest']}" if count.get("newest") else ""
    return f"agent-ipc: {urgent}mail{newest}. If it is not shown here, call check."


def frames(text: str, token: str | None) -> bytes:
    """What the inbox socket takes: a JSON object a line, the token first, then the text. It answers nothing.

    The host's documentation lacks this form; its debug log shows it, and 2.1.332 takes it.
    """
    lines: list[dict[str, Any]] = [{"type": "auth", "token": token}] if token else []
    lines.append({"type": "user", "message": {"role": "user", "content": text}})
    return b"".join(json.dumps(line).encode() + b"\n" for line in lines)


class WakeWay:
    """One way by which this process can wake the agent."""

    name = ""
    ends: int | None = None
    """The status with which the process ends after a notice, where that is the way."""

    def give(self, text: str, count: Mapping[str, Any]) -> str:
        """Give a notice of what the broker counted: GIVEN, FAILED or REFUSED. It waits at most for the host's program."""
        raise NotImplementedError

    def look(self) -> bool:
        """See what became of what was given. True if it is to be looked at again soon."""
        return False


class SocketWay(WakeWay):
    """The inbox socket of a Claude Code session."""

    name = "socket"

    def __init__(self, path: str, token: str | None) -> None:
        self._path = path
        self._token = token

    def there(self) -> bool:
        """True if a session listens. Nothing is said to it."""
        return bool(self._path) and self._say(b"") == GIVEN

    def give(self, text: str, _count: Mapping[str, Any]) -> str:
        return self._say(frames(text, self._token))

    def _say(self, raw: bytes) -> str:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as s:
            s.setblocking(False)
            try:
                s.connect(self._path)
                return GIVEN if s.send(raw) == len(raw) else FAILED
            except PermissionError:
                return REFUSED
            except (OSError, ValueError):
                return FAILED


class ChannelWay(WakeWay):
    """A notification of our MCP server, which Claude Code takes if its user started it so. ``send`` begins to send it."""

    name = "channel"

    def __init__(self, send: Callable[[str, dict[str, str]], object]) -> None:
        self._send = send

    def give(self, text: str, count: Mapping[str, Any]) -> str:
        self._send(text, {"unread": str(count["unread"]), "name": str(count["instance_id"])})
        return GIVEN


class MonitorWay(WakeWay):
    """A line on standard output, which reaches the model of a Claude Code whose plugin runs us."""

    name = "monitor"

    def give(self, text: str, _count: Mapping[str, Any]) -> str:
        try:
            print(text, flush=True)
        except BrokenPipeError:
            return FAILED
        return GIVEN


class RewakeWay(WakeWay):
    """The end of an asyncRewake hook of Claude Code, with status 2 and a text on standard error."""

    name = "rewake"
    ends = 2

    def give(self, text: str, _count: Mapping[str, Any]) -> str:
        print(text, file=sys.stderr, flush=True)
        return GIVEN


class QueueWay(WakeWay):
    """The queue of Codex CLI: an idle session takes a queued text as a prompt, and its prompt hook adds the mail.

    The host's program and environment are read from its process.
    """

    name = "queue"

    def __init__(self, binding: Binding) -> None:
        self._binding = binding

    def give(self, text: str, _count: Mapping[str, Any]) -> str:
        import subprocess

        from bridges.host_sessions import is_plain
        from broker.home.process_table import environment_of

        if not self._binding.live():
            return FAILED
        if not is_plain(self._binding.session):
            return REFUSED
        command = [program_of(self._binding.pid), "queue", "--thread", self._binding.session, "--message", text]
        try:
            done = subprocess.run(  # noqa: S603 (the host's own program)
                command,
                cwd=self._binding.project,
                env=environment_of(self._binding.pid),  # where it keeps its sessions depends on it
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                timeout=_QUEUE_S,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired):
            return FAILED
        return REFUSED if done.returncode else GIVEN


NAMES = frozenset(way.name for way in (SocketWay, ChannelWay, MonitorWay, RewakeWay, QueueWay))
"""The ways that the broker is told of by ``subscribe``, and not by the presence."""


def program_of(pid: int) -> str:
    """The program that a process runs; empty without /proc."""
    try:
        return os.readlink(f"/proc/{pid}/exe")
    except OSError:
        return ""


def reach_of_hooks(binding: Binding) -> list[str]:
    """The ways by which hooks bring mail. Others see them in the presence."""
    return ["prompt", "tool", "stop"] if binding.holds else ["prompt", "tool"]
