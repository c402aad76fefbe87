"""``ipc mcp``: a thin relay between an agent's host and the one process that runs the MCP SDK for all agents.

    host --stdin/stdout-- relay --mcp.sock-- shared process (bridges.mcp.shared_process)

The relay answers the handshake and the lists of tools itself (bridges.mcp.known_answers), while the service starts. Of the rest
it knows only ids. It keeps each request until it is answered. When the shared process goes away, the relay connects to the next
one, says the handshake again (and swallows its second answer), and sends again what has no answer yet. The host notices only a
delay.

One thread polls, and nothing runs while nothing comes. When the host closes its end, its requests are still answered. Then a
``bye`` tells the shared process whether the host has taken its answers (bridges.mcp.host_exit). A relay that is killed says no
bye, and the mail comes back.
"""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]  # signal brings enum
import _socket
import os
import select
import time

from bridges.mcp import host_exit
from bridges.mcp.json_rpc import INVALID_REQUEST, error_line, failed_call, parsed, to_line
from bridges.mcp.known_answers import KnownAnswers
from bridges.mcp.relay_protocol import (
    LINE_BYTES,
    NOTE,
    PROTOCOL,
    agent_environment,
    folder_of_host,
    note,
    project_folder,
    read_note,
)
from bridges.mcp.relayed_session import Exchange, Lines, id_in
from bridges.mcp.resting import Rest
from bridges.mcp.service_start import ABSENT, LISTENS, ServiceStart, connected_or_none, own_process, reap
from broker.home import environment
from broker.home.paths import Place, mcp_socket, runs_older, working_folder
from broker.protocol import plain_json as json
from broker.protocol.errors import IpcError, SettingsError
from broker.version import VERSION

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_READY_S = 20.0
"""Seconds that the shared process may need from our hello to its answer."""
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
_TOO_LONG = "write a file and share its path."


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
        self._server: _socket.socket | None = None
        self._start: ServiceStart | None = None
        """A start of the service that is under way."""
        self._known = KnownAnswers(os.environ)
        self._told_to_rest: dict[str, Any] | None = None
        """What a process that has just ended left to do."""
        self._rest: Rest | None = None
        self._ready_by_s: float | None = None
        self._host_open = True
        self._leaving_since_s: float | None = None
        self._retry_s: float | None = None

    def run(self) -> int:
        """Exit status: 0 the host closed its end, 1 it can't be written to."""
        self._connect(start=True)
        end_s: float | None = None
        while True:
            comes = self._start is not None or self._ready_by_s is not None
            if not self._host_open and not (comes and self._exchange.pending):
                end_s = end_s or time.monotonic() + _END_S  # requests from before the other side was ready are still answered
                if (self._server is None and not self._to_host) or time.monotonic() > end_s:
                    return 0
            for fd, events in self._poll(end_s):
                if fd == 0:
                    self._read_host()
                elif fd == 1:
                    if not self._write_host(events):
                        return 1
                elif self._start is not None and fd == self._start.fd:
                    self._end_start()
                elif self._rest is not None and fd == self._rest.fileno():
                    self._rest.read()
                elif self._server is not None and fd == self._server.fileno():
                    self._serve_server(events)
            self._look_at_clock()

    def _poll(self, end_s: float | None) -> list[tuple[int, int]]:
        poller = select.poll()
        if self._host_open and len(self._to_server) < _HIGH_BYTES:
            poller.register(0, select.POLLIN)
        if self._start is not None:
            poller.register(self._start.fd, select.POLLIN)
        if self._rest is not None and self._rest.fileno() >= 0:
            poller.register(self._rest, select.POLLIN)
        if self._to_host:
            poller.register(1, select.POLLOUT)
        if self._server is not None:
            wanted = select.POLLIN if len(self._to_host) < _HIGH_BYTES else 0
            poller.register(self._server, wanted | (select.POLLOUT if self._to_server else 0))
        rest_s = None if self._rest is None else self._rest.due_s()
        times = [t for t in (self._ready_by_s, self._retry_s, rest_s, end_s) if t is not None]
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
        if self._rest is not None:
            self._rest.look()
            if self._rest.needed and self._server is None and self._start is None and self._retry_s is None:
                self._connect(start=False)
        if self._leaving_since_s is not None and self._ready_by_s is None and self._start is None:
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
            self._leave()

    def _from_host(self, line: bytes) -> None:
        if line.startswith(NOTE):
            return
        message = parsed(line)
        answer = None if message is None else self._known.answer(message)
        if answer is not None:
            self._to_host += to_line(answer)
        if not (self._exchange.from_host(line) if answer is None else self._exchange.answered_here(line, answer["id"])):
            return
        if self._server is None:
            self._connect(start=True)  # sends all that is pending, also this request
        else:
            self._to_server += line + b"\n"

    def _refuse_long(self, head: bytes) -> None:
        limit = LINE_BYTES // (1024 * 1024)
        self._to_host += error_line(id_in(head), INVALID_REQUEST, f"A message is over {limit} MiB. Next: {_TOO_LONG}")

    def _write_host(self, events: int) -> bool:
        if events & (select.POLLERR | select.POLLNVAL):
            return False
        try:
            del self._to_host[: os.write(1, self._to_host[:_PIECE])]
        except BrokenPipeError:
            return False
        return True

    def _fail_all(self, why: str) -> None:
        """Answer every pending request with an error that says what to do."""
        for key in list(self._exchange.pending):
            self._fail(key, f"The mail service can't be reached: {why}. Next: run ipc doctor, then try again.")

    def _fail(self, key: str, text: str) -> None:
        """Answer a request with an error, one for a tool with a result that its model reads."""
        called = json.loads(self._exchange.pending[key])["method"] == "tools/call"
        self._exchange.settle(key)
        number = json.loads(key)
        self._to_host += failed_call(number, text) if called else error_line(number, _SERVER_ERROR, text)

    # the shared process's side

    def _connect(self, *, start: bool) -> None:
        """Connect, say hello, and send what has no answer yet. Without ``start`` only if the service runs."""
        if self._start is not None:
            return
        self._retry_s = None
        server = None
        reap()
        try:
            server = self._open(start)
        except (IpcError, SettingsError, OSError) as e:
            self._fail_all(e.text if isinstance(e, IpcError) else str(e))
        if server is None:
            self._retry_s = None if self._start is not None else time.monotonic() + _RETRY_S
            return
        self._attach(server)

    def _attach(self, server: _socket.socket) -> None:
        """Say hello to a new process, and send what has no answer yet."""
        server.setblocking(False)
        self._server, self._server_lines = server, Lines()
        lines, given_up = self._exchange.replay()
        for key in given_up:
            self._fail(key, "The process that should answer died of it, or beside it, again and again. Next: ipc doctor.")
        self._to_server = bytearray(self._hello() + b"".join(line + b"\n" for line in lines))
        self._ready_by_s = time.monotonic() + _READY_S

    def _open(self, start: bool) -> _socket.socket | None:
        """A connection; None if the service does not run. With ``start`` its start is begun then."""
        if environment.endpoint() or environment.key_file():  # another broker than the data folder's
            return own_process() if start else None
        home = self._place.home
        server = None if start and runs_older(home) else connected_or_none(mcp_socket(home))
        if server is None and start:
            self._start = ServiceStart(home)
        return server

    def _end_start(self) -> None:
        """Connect to what a start has brought."""
        assert self._start is not None
        said, self._start = self._start.result(), None
        if said not in (LISTENS, ABSENT):
            self._retry_s = time.monotonic() + _RETRY_S
            self._fail_all(said)
            return
        self._attach((connected_or_none(mcp_socket(self._place.home)) if said == LISTENS else None) or own_process())

    def _hello(self) -> bytes:
        cwd = folder_of_host(os.environ, working_folder())
        state = self._state
        if state is not None:  # the process that hears it may fetch mail and die
            self._state = {name: value for name, value in state.items() if name != "rested"}
        return note(
            hello=PROTOCOL,
            relay=self._id,
            project=project_folder(os.environ, cwd),
            cwd=cwd,
            name=self._name,
            pid=os.getpid(),
            version=VERSION,
            environment=agent_environment(os.environ),
            state=state,
            rests=True,
        )

    def _serve_server(self, events: int) -> None:
        assert self._server is not None
        try:
            if self._to_server and events & select.POLLOUT:
                del self._to_server[: self._server.send(self._to_server)]
                if not self._to_server and not self._host_open and self._leaving_since_s is None:
                    self._server.shutdown(_socket.SHUT_WR)
            data = self._server.recv(1 << 16) if events & (select.POLLIN | select.POLLHUP | select.POLLERR) else None
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if data == b"":
            self._lose()
            self._go_on()
            return
        for line in self._server_lines.feed(data or b""):
            if line.startswith(NOTE):
                self._take_note(line)
            elif self._exchange.from_server(line):
                self._to_host += line + b"\n"

    def _go_on(self) -> None:
        """After the end of a process: rest if it said so and nothing was asked meanwhile, else go to the next one."""
        fields, self._told_to_rest = self._told_to_rest, None
        if fields is not None:
            before = None if self._rest is None else self._rest.lock_fd
            self._rest = Rest(self._place.home, fields, before)
            if not self._host_open:
                self._leave()
            elif not self._exchange.pending:
                return
        if self._host_open:
            self._connect(start=bool(self._exchange.pending))

    def _leave(self) -> None:
        """The host has closed its end, if it has: the process must hear how."""
        if not self._host_open:
            self._leaving_since_s = time.monotonic()
            self._retry_s = None
            if self._server is None and self._rest is not None and self._state.get("name"):
                self._connect(start=False)

    def _take_note(self, line: bytes) -> None:
        fields = read_note(line)
        if "ready" in fields:
            self._ready_by_s = None
            if self._leaving_since_s is not None:  # it had no time to answer yet
                self._leaving_since_s = time.monotonic()
        if "state" in fields:
            self._state = fields["state"]
        if "watching" in fields and self._rest is not None:
            self._rest.close()
            self._rest.needed = False
        if isinstance(fields.get("rest"), dict):
            self._told_to_rest = fields["rest"]

    def _lose(self) -> None:
        if self._server is not None:
            self._server.close()
        self._server = self._ready_by_s = None
        self._to_server.clear()


def main(name: str | None) -> int:
    """Relay until the host closes its end."""
    _signal.signal(_signal.SIGINT, _signal.SIG_DFL)
    return Relay(Place.here(), name).run()
