"""``ipc mcp``: a thin relay between an agent's host and the one process that runs the MCP SDK for all agents.

    host --stdin/stdout-- relay --mcp.sock-- shared process (bridges.mcp.shared_process)

The SDK takes 0.7 s and 66 MB a process, this relay 0.1 s and a fifth of the memory. Of MCP it knows only ids and the handshake.
It keeps each request until it is answered. When the shared process goes away, the relay connects to the next one, says the
handshake again (and swallows its second answer), and sends again what has no answer yet. The host notices only a delay.

One thread polls, and nothing runs while nothing comes. When the host closes its end, its requests are still answered. Then a
``bye`` tells the shared process whether the host has taken its answers (bridges.mcp.host_exit). A relay that is killed says no
bye, and the mail comes back.
"""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import time

from bridges.mcp import host_exit
from bridges.mcp.relay_protocol import LINE_BYTES, NOTE, PROTOCOL, agent_environment, note, project_folder, read_note
from bridges.mcp.relayed_session import Exchange, Lines, id_in
from broker.home import environment
from broker.home.local_sockets import connected
from broker.home.paths import Place, mcp_socket, python, runs_older, working_folder
from broker.protocol.errors import IpcError, SettingsError
from broker.version import VERSION

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_READY_S = 20.0
"""Seconds that the shared process may need from our hello to its answer. Its SDK takes 0.7 s to import."""
_SOCKET_S = 3.0
"""Seconds after the service's start that its socket may be missing. Then a process of our own takes its place."""
_RETRY_S = 2.0
"""Seconds between looks for a service that went away, while nothing is asked."""
_END_S = 5.0
_LEAVE_S = (0.05, 1.0)
"""Seconds after the host closed its end: the first and the last look at whether it lives and has taken its answers. Hosts kill
what needs 2 s."""
_LOOK_S = 0.02
_PIECE = 4096
"""Bytes that a pipe that is ready takes without blocking (PIPE_BUF)."""
_HIGH_BYTES = 4 * 1024 * 1024
"""Unwritten bytes for one side from which on the other side is not read."""
_SERVER_ERROR = -32000
_INVALID_REQUEST = -32600


class Relay:
    """The loop. ``run`` returns when the host has closed its end."""

    def __init__(self, place: Place, name: str | None) -> None:
        self._place = place
        self._name = name
        self._id = os.urandom(8).hex()
        self._state: Any = None
        self._exchange = Exchange()
        self._host_lines, self._server_lines = Lines(), Lines()
        self._to_host, self._to_server = bytearray(), bytearray()
        self._server: socket.socket | None = None
        self._ready_by_s: float | None = None
        self._host_open = True
        self._leaving_since_s: float | None = None
        self._retry_s: float | None = None

    def run(self) -> int:
        """Exit status: 0 the host closed its end, 1 it can't be written to."""
        self._connect(start=True)
        end_s: float | None = None
        while True:
            if not self._host_open and not (self._ready_by_s is not None and self._exchange.pending):
                end_s = end_s or time.monotonic() + _END_S  # requests from before the other side was ready are still answered
                if (self._server is None and not self._to_host) or time.monotonic() > end_s:
                    return 0
            for fd, events in self._poll(end_s):
                if fd == 0:
                    self._read_host()
                elif fd == 1:
                    if not self._write_host(events):
                        return 1
                elif self._server is not None and fd == self._server.fileno():
                    self._serve_server(events)
            self._look_at_clock()

    def _poll(self, end_s: float | None) -> list[tuple[int, int]]:
        poller = select.poll()
        if self._host_open and len(self._to_server) < _HIGH_BYTES:
            poller.register(0, select.POLLIN)
        if self._to_host:
            poller.register(1, select.POLLOUT)
        if self._server is not None:
            wanted = select.POLLIN if len(self._to_host) < _HIGH_BYTES else 0
            poller.register(self._server, wanted | (select.POLLOUT if self._to_server else 0))
        times = [t for t in (self._ready_by_s, self._retry_s, end_s) if t is not None]
        if self._leaving_since_s is not None:
            times.append(time.monotonic() + _LOOK_S)
        return poller.poll(max(0.0, min(times) - time.monotonic()) * 1000 + 1 if times else None)

    def _look_at_clock(self) -> None:
        now_s = time.monotonic()
        if self._ready_by_s is not None and now_s > self._ready_by_s:
            self._lose()
            self._retry_s = now_s + _RETRY_S
            self._fail_all("it does not answer")
        if self._retry_s is not None and now_s > self._retry_s:
            self._connect(start=False)
        if self._leaving_since_s is not None and self._ready_by_s is None:
            self._look_at_host(now_s - self._leaving_since_s)

    def _look_at_host(self, gone_for_s: float) -> None:
        """Say the bye once the host has all its answers, or once the last look is over."""
        busy = bool(self._exchange.pending or self._to_host or host_exit.unread(1))
        if gone_for_s < _LEAVE_S[0] or (busy and gone_for_s < _LEAVE_S[1]):
            return
        self._leaving_since_s = None
        self._to_server += note(bye=True, taken=not busy and host_exit.host_lives())

    # the host's side

    def _read_host(self) -> None:
        try:
            data = os.read(0, 1 << 16)
        except OSError:
            data = b""
        for line in self._host_lines.feed(data) if data else self._host_lines.rest():
            self._from_host(line)
        for head in self._host_lines.too_long:
            self._refuse_long(head)
        self._host_lines.too_long.clear()
        if not data:
            self._host_open = False
            self._leaving_since_s = time.monotonic()
            self._retry_s = None

    def _from_host(self, line: bytes) -> None:
        if line.startswith(NOTE) or not self._exchange.from_host(line):
            return
        if self._server is None:
            self._connect(start=True)  # sends all that is pending, also this request
        else:
            self._to_server += line + b"\n"

    def _refuse_long(self, head: bytes) -> None:
        limit = LINE_BYTES // (1024 * 1024)
        self._answer(id_in(head), _INVALID_REQUEST, f"A message is over {limit} MiB. Next: write a file and share its path.")

    def _write_host(self, events: int) -> bool:
        if events & (select.POLLERR | select.POLLNVAL):
            return False
        try:
            del self._to_host[: os.write(1, self._to_host[:_PIECE])]
        except BrokenPipeError:
            return False
        return True

    def _answer(self, number: Any, code: int, text: str) -> None:
        error = {"jsonrpc": "2.0", "id": number, "error": {"code": code, "message": text}}
        self._to_host += json.dumps(error).encode() + b"\n"

    def _fail_all(self, why: str) -> None:
        """Answer every pending request with an error that says what to do."""
        for key in list(self._exchange.pending):
            self._fail(key, f"The mail service can't be reached: {why}. Next: run ipc doctor, then try again.")

    def _fail(self, key: str, text: str) -> None:
        self._exchange.settle(key)
        self._answer(json.loads(key), _SERVER_ERROR, text)

    # the shared process's side

    def _connect(self, *, start: bool) -> None:
        """Connect, say hello, and send what has no answer yet. Without ``start`` only if the service runs."""
        self._retry_s = None
        server = None
        try:
            server = self._open(start)
        except (IpcError, SettingsError, OSError) as e:
            self._fail_all(e.text if isinstance(e, IpcError) else str(e))
        if server is None:
            self._retry_s = time.monotonic() + _RETRY_S
            return
        server.setblocking(False)
        self._server, self._server_lines = server, Lines()
        lines, given_up = self._exchange.replay()
        for key in given_up:
            self._fail(key, "The process that should answer died of it, or beside it, again and again. Next: ipc doctor.")
        self._to_server = bytearray(self._hello() + b"".join(line + b"\n" for line in lines))
        self._ready_by_s = time.monotonic() + _READY_S

    def _open(self, start: bool) -> socket.socket | None:
        if environment.endpoint() or environment.key_file():  # another broker than the data folder's
            return self._own_process() if start else None
        path = mcp_socket(self._place.home)
        server = None if start and runs_older(self._place.home) else _connected(path)
        if server is not None or not start:
            return server
        from broker.home.endpoints import socket_answers
        from broker.home.locks import is_supervised
        from broker.home.settings import Settings
        from broker.service.launcher import ensure_running

        settings = Settings.load(home=self._place.home)
        ensure_running(settings, answers=lambda s: _listens(path) or socket_answers(s))
        until_s = time.monotonic() + (_SOCKET_S if is_supervised(settings.home) else 0)
        while (server := _connected(path)) is None and time.monotonic() < until_s:
            time.sleep(0.01)
        return server or self._own_process()

    def _own_process(self) -> socket.socket:
        """Start a process for this agent alone, where no supervisor offers the socket. It ends with our connection."""
        import subprocess

        ours, theirs = socket.socketpair()
        with theirs:
            command = [*python(), "-m", "bridges.mcp", "--serve", "--connected", str(theirs.fileno())]
            subprocess.Popen(command, pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)  # noqa: S603
        return ours

    def _hello(self) -> bytes:
        cwd = working_folder()
        return note(
            hello=PROTOCOL,
            relay=self._id,
            project=project_folder(os.environ, cwd),
            cwd=cwd,
            name=self._name,
            pid=os.getpid(),
            version=VERSION,
            environment=agent_environment(os.environ),
            state=self._state,
        )

    def _serve_server(self, events: int) -> None:
        assert self._server is not None
        try:
            if self._to_server and events & select.POLLOUT:
                del self._to_server[: self._server.send(self._to_server)]
                if not self._to_server and not self._host_open and self._leaving_since_s is None:
                    self._server.shutdown(socket.SHUT_WR)
            data = self._server.recv(1 << 16) if events & (select.POLLIN | select.POLLHUP | select.POLLERR) else None
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if data == b"":
            self._lose()
            if self._host_open:
                self._connect(start=bool(self._exchange.pending))
            return
        for line in self._server_lines.feed(data or b""):
            if line.startswith(NOTE):
                self._take_note(line)
            elif self._exchange.from_server(line):
                self._to_host += line + b"\n"

    def _take_note(self, line: bytes) -> None:
        fields = read_note(line)
        if "ready" in fields:
            self._ready_by_s = None
        if "state" in fields:
            self._state = fields["state"]

    def _lose(self) -> None:
        if self._server is not None:
            self._server.close()
        self._server = self._ready_by_s = None
        self._to_server.clear()


def _connected(path: str) -> socket.socket | None:
    try:
        return connected(path)
    except OSError:
        return None


def _listens(path: str) -> bool:
    """True if the socket takes a connection, which is closed at once."""
    found = _connected(path)
    if found is not None:
        found.close()
    return found is not None


def main(name: str | None) -> int:
    """Relay until the host closes its end."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    return Relay(Place.here(), name).run()
